"""The handwritten digits that come with scikit-learn: no files, and small enough for every test."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from strategic_envs.data.dataset import Dataset, check_split
from strategic_envs.errors import require
from strategic_envs.seeding import numpy_stream

__all__ = ["digits"]

_TEST = 360  # of 1,797: a fifth, as is usual


def digits(split: str = "train") -> Dataset:
    """The 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn (Alpaydin and Kaynak 1998).

    The split is the same everywhere: a fixed permutation, its last 360 samples are the test set.

    Args:
        split: `train` (1,437 samples) or `test` (360 samples).

    Returns:
        Inputs of shape `(N, 8, 8)`.

    Raises:
        MissingExtraError: If scikit-learn is not installed.
        UnknownNameError: If the split is neither.

    Example:
        >>> digits("test").inputs.shape
        torch.Size([360, 8, 8])
    """
    check_split(split)
    return _digits(split)


@lru_cache
def _digits(split: str) -> Dataset:
    bunch = require("sklearn.datasets", "data", "The digits data set").load_digits()
    inputs = torch.as_tensor(np.asarray(bunch.images, dtype=np.float32) / 16)
    targets = torch.as_tensor(np.asarray(bunch.target, dtype=np.int64))
    order = torch.as_tensor(numpy_stream(0, "digits", "split").permutation(len(targets)))
    rows = order[-_TEST:] if split == "test" else order[:-_TEST]
    return Dataset(inputs[rows], targets[rows], 10, "digits", split)
