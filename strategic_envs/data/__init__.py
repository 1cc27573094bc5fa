"""Data sets from a user's folder, in the formats they are published in, and minibatches that can be resumed.

Nothing is downloaded. The digits come with scikit-learn; MNIST is read from its four IDX files (plain or gzipped), and
CIFAR-10 from the seven files of its Python version, in the folder that is given or in the one that the environment
variable `STRATEGIC_ENVS_DATA` names (in a subfolder `mnist` or `cifar-10-batches-py`, or in the folder itself).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from strategic_envs.data.cifar import cifar10
from strategic_envs.data.dataset import Dataset
from strategic_envs.data.handwriting import digits
from strategic_envs.data.idx import mnist, read_idx
from strategic_envs.data.minibatches import MinibatchSampler
from strategic_envs.errors import UnknownNameError

__all__ = ["Dataset", "MinibatchSampler", "cifar10", "digits", "load", "mnist", "read_idx"]


def load(name: str, data_dir: str | Path | None = None, split: str = "train") -> Dataset:
    """A data set by name.

    Args:
        name: `digits`, `mnist` or `cifar10`.
        data_dir: Where its files are; `digits` needs none.
        split: `train` or `test`.

    Raises:
        UnknownNameError: If there is no data set of this name.
        DataError: If the files cannot be read.

    Example:
        >>> len(load("digits"))
        1437
    """
    loaders: Mapping[str, Callable[[], Dataset]] = {
        "digits": lambda: digits(split),
        "mnist": lambda: mnist(data_dir, split),
        "cifar10": lambda: cifar10(data_dir, split),
    }
    if name not in loaders:
        raise UnknownNameError("data set", name, loaders)
    return loaders[name]()
