"""MNIST from the IDX files in which it was published."""

from __future__ import annotations

import gzip
import struct
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from strategic_envs.data.dataset import Dataset, check_split, data_folder, list_folder
from strategic_envs.errors import DataError

__all__ = ["mnist", "read_idx"]

_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


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
    check_split(split)
    root = data_folder(folder, "MNIST", ("mnist",), "IDX files", ", ".join(f"{n}[.gz]" for n in _FILES["train"]))
    images_path, labels_path = (_find(root, name) for name in _FILES[split])
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


def _find(root: Path, name: str) -> Path:
    for candidate in (root / name, root / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise DataError(
        f"got the folder {root} with {list_folder(root)}, expected {name} or {name}.gz in it: copy the file there"
    )


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
    if magic[:2] != b"\x00\x00" or kind not in _DTYPES or (ndim is not None and axes != ndim):
        wanted = f"00 00 <type> {ndim:02x}" if ndim is not None else "00 00 <type> <axes>"
        raise DataError(
            f"{path}: got the magic number {magic.hex(' ') or 'of an empty file'}, expected {wanted} with a type of 08 "
            "(bytes) to 0e (doubles): this is not the IDX file that its name says, replace it"
        )
    header = 4 + 4 * axes
    if len(raw) < header:
        raise DataError(f"{path}: got {len(raw)} bytes, expected at least the {header} of the header: copy it again")
    shape = struct.unpack(f">{axes}I", raw[4:header])
    dtype = np.dtype(_DTYPES[kind])
    expected = header + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if len(raw) != expected:
        what = "the file is truncated" if len(raw) < expected else "the file has a tail that does not belong to it"
        raise DataError(
            f"{path}: got {len(raw)} bytes after decompression, expected {expected} (a header of {header} bytes and "
            f"{' x '.join(map(str, shape))} numbers of {dtype.itemsize} bytes): {what}, copy it again"
        )
    return np.frombuffer(raw, dtype=dtype, offset=header).reshape(shape)
