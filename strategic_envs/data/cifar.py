"""CIFAR-10 from the files of its Python version, which are pickles.

A pickle may name any function of any module and have it called. Here every name stands for a class of this module or is
refused, so that a file can give arrays of bytes, texts, numbers and lists of them, and nothing else.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from strategic_envs.data.dataset import Dataset, check_split, data_folder, list_folder
from strategic_envs.errors import DataError

__all__ = ["cifar10", "read_plain_pickle"]

_FOLDER = "cifar-10-batches-py"
_FILES = {"train": tuple(f"data_batch_{k}" for k in range(1, 6)), "test": ("test_batch",)}
_PIXELS = 3 * 32 * 32


def cifar10(folder: str | Path | None = None, split: str = "train") -> Dataset:
    """CIFAR-10 (Krizhevsky 2009) from its Python version, `cifar-10-batches-py`, unpacked.

    Args:
        folder: Where the files are; by default the folder that `STRATEGIC_ENVS_DATA` names. A subfolder
            `cifar-10-batches-py` is looked into first.
        split: `train` (`data_batch_1` to `data_batch_5`: 50,000 samples as published) or `test` (`test_batch`: 10,000).

    Returns:
        Inputs of shape `(N, 3, 32, 32)`: red, green and blue, in [0, 1].

    Raises:
        DataError: If the folder is missing or empty, or a file is missing, truncated or of another format, or holds
            anything but plain data.
        UnknownNameError: If the split is neither `train` nor `test`.
    """
    check_split(split)
    root = data_folder(folder, "CIFAR-10", (_FOLDER,), "pickled batches", ", ".join(_FILES[split]))
    paths = tuple(_find(root, name) for name in _FILES[split])
    return _cifar10(paths, tuple((s.st_mtime_ns, s.st_size) for s in (path.stat() for path in paths)), split)


@lru_cache(maxsize=2)  # the stamps are part of the key: a file that was replaced is read again
def _cifar10(paths: tuple[Path, ...], stamps: tuple[tuple[int, int], ...], split: str) -> Dataset:
    batches = [_read_batch(path) for path in paths]
    rows = torch.from_numpy(np.concatenate([data for data, _ in batches]))
    inputs = rows.view(-1, 3, 32, 32).to(torch.float32).div_(255)
    return Dataset(inputs, torch.tensor([k for _, labels in batches for k in labels]), 10, "cifar10", split)


def _find(root: Path, name: str) -> Path:
    if (root / name).is_file():
        return root / name
    packed = next(root.glob("cifar-10-python.tar*"), None)
    mend = f"unpack {packed.name} there" if packed else f"copy the files of {_FOLDER} there"
    raise DataError(f"got the folder {root} with {list_folder(root)}, expected {name} in it: {mend}")


def _read_batch(path: Path) -> tuple[np.ndarray, list[int]]:
    content = read_plain_pickle(path)
    if not isinstance(content, dict):
        raise DataError(
            f"{path}: got a pickle of a {type(content).__name__}, expected a dictionary of data and labels: replace it"
        )
    named = {key.decode(errors="replace") if isinstance(key, bytes) else key: value for key, value in content.items()}
    data, labels = named.get("data"), named.get("labels")
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != _PIXELS:
        shown = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise DataError(f"{path}: got data of {shown}, expected uint8 (N, {_PIXELS}): this is no batch of CIFAR-10")
    if not isinstance(labels, list) or not all(type(k) is int and 0 <= k <= 9 for k in labels):
        wrong = [k for k in labels if not (type(k) is int and 0 <= k <= 9)][:3] if isinstance(labels, list) else labels
        raise DataError(f"{path}: got labels with {wrong!r:.60}, expected a list of whole numbers in 0..9: replace it")
    if len(labels) != len(data) or not labels:
        raise DataError(
            f"{path}: got {len(data)} images and {len(labels)} labels, expected as many labels as images, and one at "
            "least: replace the file"
        )
    return data, labels


def read_plain_pickle(path: str | Path) -> Any:
    """Reads a pickle of plain data without running anything that the file names.

    Args:
        path: The file; it may have been written by Python 2, whose texts come as bytes.

    Returns:
        Dictionaries, lists, tuples, texts, bytes, numbers, and arrays of numbers.

    Raises:
        DataError: If the file is missing or truncated, or names anything but an array of numbers.

    Example:
        >>> from tempfile import NamedTemporaryFile
        >>> with NamedTemporaryFile() as file:
        ...     _ = file.write(pickle.dumps({"data": np.arange(3)})), file.flush()
        ...     read_plain_pickle(file.name)
        {'data': array([0, 1, 2])}
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        return _plain(_Unpickler(io.BytesIO(raw), encoding="bytes").load())
    except FileNotFoundError as error:
        raise DataError(f"got no file {path}, expected a pickle there: give the folder that holds it") from error
    except _NotPlainError as error:
        raise DataError(
            f"{path}: got a pickle that {error}, expected arrays of numbers, texts and lists only: such a file can run "
            "programs and is not read, take the published one"
        ) from error
    except Exception as error:  # whatever a damaged pickle makes of the reader
        reason = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{path}: got {path.stat().st_size} bytes that are no whole pickle ({reason:.100}), expected the published "
            "file: copy it again"
        ) from error


class _NotPlainError(Exception):
    """The file asks for something that is not plain data."""


class _Array:
    """Stands for an array until its numbers have come."""

    def __init__(self, *ignored: object) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_columns, data = state
        self.value = _from_buffer(data, dtype, shape, "F" if by_columns else "C")


class _Dtype:
    """A type of numbers, by its short name such as `u1`; nothing else has one here."""

    def __init__(self, name: object, *ignored: object) -> None:
        text = name.decode("ascii") if isinstance(name, bytes) else name
        if not (isinstance(text, str) and len(text) == 2 and text[0] in "buif" and text[1] in "1248"):
            raise _NotPlainError(f"holds an array of type {text!r:.30}")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in (">", b">"):
            self.dtype = self.dtype.newbyteorder(">")


def _from_buffer(data: object, dtype: object, shape: tuple[int, ...], order: object) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray):
        raise _NotPlainError("holds an array that is not one of numbers")
    return np.frombuffer(bytes(data), dtype.dtype).reshape(shape, order="F" if order == "F" else "C").copy()


def _encode(text: str, encoding: str) -> bytes:  # how Python 3 writes bytes for Python 2
    return text.encode("latin1")


_NAMES: dict[tuple[str, str], Callable[..., object]] = {
    ("multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
}
_MODULES = {f"numpy.{core}.{m}": m for core in ("core", "_core") for m in ("multiarray", "numeric")}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., object]:
        """A class of this module for the few names that arrays need."""
        known = _NAMES.get((_MODULES.get(module, module), name))
        if known is None:
            raise _NotPlainError(f"names {module}.{name}")
        return known


def _plain(value: Any) -> Any:
    """The same with arrays for what stood for them."""
    if isinstance(value, _Array):
        if value.value is None:
            raise _NotPlainError("names an array without giving one")
        return value.value
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(v) for v in value)
    if isinstance(value, np.ndarray | str | bytes | bytearray | int | float | None):
        return value
    raise _NotPlainError(f"holds a {type(value).__name__}")
