"""Data sets from a user's folder, in the formats they are published in, and minibatches that can be resumed.

Nothing is downloaded. The digits come with scikit-learn; MNIST is read from its four IDX files (plain or gzipped), in
the folder that is given or in the one that the environment variable `STRATEGIC_ENVS_DATA` names (in its subfolder
`mnist`, or in the folder itself).
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.errors import DataError, UnknownNameError, require
from strategic_envs.seeding import numpy_stream

__all__ = ["Dataset", "MinibatchSampler", "digits", "load", "mnist", "read_idx"]

_DIGITS_TEST = 360  # of 1,797: a fifth, as is usual
_IDX_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


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
    _check_split(split)
    return _digits(split)


@lru_cache
def _digits(split: str) -> Dataset:
    bunch = require("sklearn.datasets", "data", "The digits data set").load_digits()
    inputs = torch.as_tensor(np.asarray(bunch.images, dtype=np.float32) / 16)
    targets = torch.as_tensor(np.asarray(bunch.target, dtype=np.int64))
    order = torch.as_tensor(numpy_stream(0, "digits", "split").permutation(len(targets)))
    rows = order[-_DIGITS_TEST:] if split == "test" else order[:-_DIGITS_TEST]
    return Dataset(inputs[rows], targets[rows], 10, "digits", split)


def mnist(folder: str | Path | None = None, split: str = "train") -> Dataset:
    """MNIST from its IDX files (LeCun, Cortes and Burges), plain or gzipped, under their published names.

    Args:
        folder: Where the files are; by default the folder that `STRATEGIC_ENVS_DATA` names. A subfolder `mnist` is
            looked into first.
        split: `train` (60,000 samples) or `test` (10,000 samples, the files that begin with `t10k`).

    Returns:
        Inputs of shape `(N, 28, 28)`.

    Raises:
        DataError: If the folder is missing or empty, or a file is missing, truncated or of another format.
        UnknownNameError: If the split is neither `train` nor `test`.
    """
    _check_split(split)
    root = _data_folder(folder, "MNIST")
    images_path, labels_path = (_find(root, name) for name in _MNIST_FILES[split])
    stamps = tuple((s.st_mtime_ns, s.st_size) for s in (images_path.stat(), labels_path.stat()))
    return _mnist(images_path, labels_path, stamps, split)


@lru_cache(maxsize=2)  # the stamps are part of the key: a file that was replaced is read again
def _mnist(images_path: Path, labels_path: Path, stamps: tuple[tuple[int, int], ...], split: str) -> Dataset:
    images, labels = read_idx(images_path, ndim=3), read_idx(labels_path, ndim=1)
    if len(images) != len(labels):
        raise DataError(
            f"got {len(images)} images in {images_path} and {len(labels)} labels in {labels_path}, expected as many "
            "labels as images: take both files from the same copy of the data set"
        )
    if len(labels) == 0 or labels.max() > 9:
        got = "no samples" if len(labels) == 0 else f"the label {int(labels.max())}"
        raise DataError(f"got {got} in {labels_path}, expected labels in 0..9: replace the file")
    inputs = torch.as_tensor(images.astype(np.float32) / 255)
    return Dataset(inputs, torch.as_tensor(labels.astype(np.int64)), 10, "mnist", split)


def read_idx(path: str | Path, ndim: int | None = None) -> np.ndarray:
    """Reads one IDX file: a magic number, the sizes of the axes, the numbers, all big-endian.

    Args:
        path: The file; gzipped if its name ends in `.gz`.
        ndim: How many axes it must have; any number by default.

    Returns:
        An array of the shape and number type that the file states.

    Raises:
        DataError: If the file is missing, truncated, too long, or not an IDX file of `ndim` axes.
    """
    path = Path(path)
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"got no file {path}, expected an IDX file there: give the folder that holds it") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        size = path.stat().st_size
        raise DataError(
            f"{path}: got {size} bytes that end or break inside the gzip stream ({error}), expected a whole gzip file: "
            "copy the file again"
        ) from error
    magic = raw[:4]
    kind, axes = (magic[2], magic[3]) if len(magic) == 4 else (0, 0)
    if magic[:2] != b"\x00\x00" or kind not in _IDX_DTYPES or (ndim is not None and axes != ndim):
        wanted = f"00 00 <type> {ndim:02x}" if ndim is not None else "00 00 <type> <axes>"
        raise DataError(
            f"{path}: got the magic number {magic.hex(' ') or 'of an empty file'}, expected {wanted} with a type of 08 "
            "(bytes) to 0e (doubles): this is not the IDX file that its name says, replace it"
        )
    header = 4 + 4 * axes
    if len(raw) < header:
        raise DataError(f"{path}: got {len(raw)} bytes, expected at least the {header} of the header: copy it again")
    shape = struct.unpack(f">{axes}I", raw[4:header])
    dtype = np.dtype(_IDX_DTYPES[kind])
    expected = header + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if len(raw) != expected:
        what = "the file is truncated" if len(raw) < expected else "the file has a tail that does not belong to it"
        raise DataError(
            f"{path}: got {len(raw)} bytes after decompression, expected {expected} (a header of {header} bytes and "
            f"{' x '.join(map(str, shape))} numbers of {dtype.itemsize} bytes): {what}, copy it again"
        )
    return np.frombuffer(raw, dtype=dtype, offset=header).reshape(shape)


def load(name: str, data_dir: str | Path | None = None, split: str = "train") -> Dataset:
    """A data set by name.

    Args:
        name: `digits` or `mnist`.
        data_dir: Where its files are; `digits` needs none.
        split: `train` or `test`.

    Raises:
        UnknownNameError: If there is no data set of this name.
        DataError: As `mnist` does.

    Example:
        >>> len(load("digits"))
        1437
    """
    loaders: Mapping[str, Callable[[], Dataset]] = {
        "digits": lambda: digits(split),
        "mnist": lambda: mnist(data_dir, split),
    }
    if name not in loaders:
        raise UnknownNameError("data set", name, loaders)
    return loaders[name]()


def _check_split(split: str) -> None:
    if split not in _MNIST_FILES:
        raise UnknownNameError("split", split, _MNIST_FILES)


def _data_folder(folder: str | Path | None, what: str) -> Path:
    given = folder if folder is not None else os.environ.get("STRATEGIC_ENVS_DATA")
    if not given:
        raise DataError(
            f"{what}: got no folder, expected one with its IDX files: pass data_dir=... or set STRATEGIC_ENVS_DATA"
        )
    root = Path(given).expanduser()
    root = root / "mnist" if (root / "mnist").is_dir() else root
    if not root.is_dir():
        raise DataError(f"{what}: got the folder {root}, which does not exist, expected one with its IDX files")
    if not any(root.iterdir()):
        names = ", ".join(f"{n}[.gz]" for n in _MNIST_FILES["train"])
        raise DataError(f"{what}: got the folder {root}, which is empty, expected {names}: copy the files there")
    return root


def _find(root: Path, name: str) -> Path:
    for candidate in (root / name, root / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    there = sorted(p.name for p in root.iterdir())
    shown = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
    raise DataError(f"got the folder {root} with {shown}, expected {name} or {name}.gz in it: copy the file there")


class MinibatchSampler:
    """Deterministic minibatches: every epoch is a permutation of the samples, the last incomplete batch is dropped.

    Batch `t` depends on the seed and on `t` alone, so a run is resumed from the number of batches it has seen.

    Args:
        n_samples: How many samples there are.
        size: How many a batch has.
        seed: The seed of the permutations.

    Raises:
        DataError: If the size is not in 1..n_samples.

    Example:
        >>> sampler = MinibatchSampler(10, size=4, seed=0)
        >>> first, second = sampler.next(), sampler.next()
        >>> resumed = MinibatchSampler(10, size=4, seed=0)
        >>> resumed.load_state_dict({"step": 1})
        >>> bool((resumed.next() == second).all())
        True
    """

    def __init__(self, n_samples: int, size: int, seed: int = 0) -> None:
        if not 1 <= size <= n_samples:
            raise DataError(f"got a minibatch size of {size}, expected one in 1..{n_samples}, the number of samples")
        self.n_samples, self.size, self.seed, self.step = n_samples, size, seed, 0

    @property
    def batches_per_epoch(self) -> int:
        """The number of whole batches in one pass over the samples."""
        return self.n_samples // self.size

    def indices(self, step: int) -> Int[Tensor, " size"]:
        """The samples of batch number `step`."""
        if step < 0:
            raise DataError(f"got the batch number {step}, expected 0 or more")
        epoch, batch = divmod(step, self.batches_per_epoch)
        order = _permutation(self.n_samples, self.seed, epoch)
        return order[batch * self.size : (batch + 1) * self.size].clone()

    def next(self) -> Int[Tensor, " size"]:
        """The samples of the next batch."""
        self.step += 1
        return self.indices(self.step - 1)

    def state_dict(self) -> dict[str, int]:
        """All that a resumed run needs."""
        return {"step": self.step}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continues after `state["step"]` batches."""
        self.step = int(state["step"])


@lru_cache(maxsize=4)
def _permutation(n_samples: int, seed: int, epoch: int) -> Tensor:
    return torch.as_tensor(numpy_stream(seed, "minibatch", epoch).permutation(n_samples))
