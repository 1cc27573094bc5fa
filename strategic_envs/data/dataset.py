"""Labelled samples, and where a user's files are looked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.errors import DataError, UnknownNameError

__all__ = ["Dataset", "check_split", "data_folder", "list_folder"]

_SPLITS = ("train", "test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled samples.

    Args:
        inputs: One sample a row, float32, pixels scaled to [0, 1].
        targets: The class of each sample, int64, in 0..n_classes - 1.
        n_classes: The number of classes.
        name: Where they come from.
        split: `train` or `test`.
    """

    inputs: Float[Tensor, "N *shape"]
    targets: Int[Tensor, " N"]
    n_classes: int
    name: str
    split: str

    def __len__(self) -> int:
        return len(self.targets)

    def flatten(self) -> Dataset:
        """The same samples with every input as one vector: inputs of shape `(N, features)`."""
        return replace(self, inputs=self.inputs.reshape(len(self), -1))

    def images(self) -> Dataset:
        """The same samples as a convolution reads them: inputs of shape `(N, channels, height, width)`.

        Raises:
            DataError: If they are no images, flattened ones for example.
        """
        shape = tuple(self.inputs.shape[1:])
        if len(shape) not in (2, 3):
            raise DataError(f"{self.name}: got inputs of shape {shape}, expected images: do not flatten them first")
        return self if len(shape) == 3 else replace(self, inputs=self.inputs.unsqueeze(1))


def check_split(split: str) -> None:
    """Refuses what is neither `train` nor `test`.

    Raises:
        UnknownNameError: With the two.
    """
    if split not in _SPLITS:
        raise UnknownNameError("split", split, _SPLITS)


def data_folder(folder: str | Path | None, what: str, subfolders: Sequence[str], files: str, expected: str) -> Path:
    """The folder with a data set's files.

    Args:
        folder: What the user gave; by default what `STRATEGIC_ENVS_DATA` names.
        what: The data set, for messages.
        subfolders: Names of subfolders to look into first.
        files: What lies there, for messages, such as `IDX files`.
        expected: The files' names, for messages.

    Raises:
        DataError: If none is given, or it is missing or empty.
    """
    given = folder if folder is not None else os.environ.get("STRATEGIC_ENVS_DATA")
    if not given:
        raise DataError(
            f"{what}: got no folder, expected one with its {files}: pass data_dir=... or set STRATEGIC_ENVS_DATA"
        )
    root = Path(given).expanduser()
    root = next((root / name for name in subfolders if (root / name).is_dir()), root)
    if not root.is_dir():
        raise DataError(f"{what}: got the folder {root}, which does not exist, expected one with its {files}")
    if not any(root.iterdir()):
        raise DataError(f"{what}: got the folder {root}, which is empty, expected {expected}: copy the files there")
    return root


def list_folder(root: Path) -> str:
    """The first names in a folder, for messages."""
    there = sorted(p.name for p in root.iterdir())
    return ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
