"""CIFAR-10 is read as published, also as Python 2 wrote it; anything else is refused, and nothing in a file is run."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from strategic_envs.data import cifar10, digits, load
from strategic_envs.data.cifar import read_plain_pickle
from strategic_envs.errors import DataError, UnknownNameError


def images(n: int, start: int = 0) -> np.ndarray:
    return ((np.arange(n * 3072).reshape(n, 3072) + start) % 256).astype(np.uint8)


def batch(n: int = 2, start: int = 0) -> dict[bytes, object]:
    return {b"data": images(n, start), b"labels": [(start + k) % 10 for k in range(n)], b"batch_label": b"some"}


def write(folder: Path, n: int = 2, protocol: int = 4) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(5):
        (folder / f"data_batch_{k + 1}").write_bytes(pickle.dumps(batch(n, k), protocol=protocol))
    (folder / "test_batch").write_bytes(pickle.dumps(batch(3, 7), protocol=protocol))
    return folder


def text2(text: bytes) -> bytes:
    """A text as Python 2 pickles it."""
    return b"U" + bytes([len(text)]) + text


def python2(data: np.ndarray, labels: list[int]) -> bytes:
    """The published layout, opcode by opcode, as Python 2 and NumPy 1 wrote it with protocol 2."""
    rows, columns = data.shape
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text2(b"b") + b"\x87R"
    dtype = (
        b"cnumpy\ndtype\n" + text2(b"u1") + b"K\x00K\x01\x87R(K\x03" + text2(b"|") + b"NNN" + 2 * b"J\xff\xff\xff\xff"
    )
    raw = data.tobytes()
    state = b"(K\x01" + b"J" + struct.pack("<i", rows) + b"J" + struct.pack("<i", columns) + b"\x86"
    state += dtype + b"K\x00tb" + b"\x89" + b"T" + struct.pack("<i", len(raw)) + raw + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([k]) for k in labels) + b"e"
    return b"\x80\x02}(" + text2(b"data") + array + state + text2(b"labels") + numbers + b"u."


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_batches_of_every_protocol_are_read_in_order(tmp_path: Path, protocol: int) -> None:
    write(tmp_path, protocol=protocol)
    train, test = cifar10(tmp_path), cifar10(tmp_path, "test")
    assert train.inputs.shape == (10, 3, 32, 32)
    assert test.inputs.shape == (3, 3, 32, 32)
    assert train.inputs.dtype == torch.float32
    assert train.targets.dtype == torch.int64
    assert train.targets.tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert test.targets.tolist() == [7, 8, 9]
    # the first 1,024 numbers of a row are the red of the first row of pixels, and so on
    assert float(train.inputs[0, 0, 0, 5]) == pytest.approx(5 / 255)
    assert float(train.inputs[0, 0, 1, 0]) == pytest.approx(32 / 255)
    assert float(train.inputs[3, 2, 31, 31]) == pytest.approx(float(images(2, 1)[1, -1]) / 255)


def test_a_file_that_python_2_wrote_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    content = python2(images(4), [3, 1, 4, 1])
    assert pickle.loads(content, encoding="bytes")[b"labels"] == [3, 1, 4, 1]  # the opcodes are right
    (tmp_path / "test_batch").write_bytes(content)
    test = cifar10(tmp_path, "test")
    assert test.targets.tolist() == [3, 1, 4, 1]
    assert test.inputs.mul(255).round().to(torch.uint8).reshape(4, -1).numpy().tolist() == images(4).tolist()


def test_arrays_by_columns_and_of_other_byte_order_are_what_numpy_makes_of_them(tmp_path: Path) -> None:
    for array in (np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(4, dtype=">i4"), np.array([True, False])):
        for protocol in (2, 5):
            (tmp_path / "a").write_bytes(pickle.dumps([array], protocol=protocol))
            (read,) = read_plain_pickle(tmp_path / "a")
            assert read.dtype == array.dtype
            assert read.tolist() == array.tolist()


def test_the_environment_variable_and_the_subfolder_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "cifar-10-batches-py")
    monkeypatch.setenv("STRATEGIC_ENVS_DATA", str(tmp_path))
    assert len(load("cifar10")) == 10
    assert len(load("cifar10", split="test")) == 3


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    assert len(cifar10(write(tmp_path))) == 10
    assert len(cifar10(write(tmp_path, n=3))) == 15


class Runs:
    """Runs a program when it is unpickled, unless the reader refuses."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("ran",))


@pytest.mark.parametrize(
    "content",
    [Runs(), {b"data": Runs()}, Path("a"), np.float64, torch.zeros(1), np.array([Runs()]), np.array(["a"]), {1, 2}],
)
def test_a_pickle_of_more_than_plain_data_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    (tmp_path / "data_batch_2").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"data_batch_2: got a pickle that (names|holds) .*is not read"):
        cifar10(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["posix\nsystem", "numpy\nload", "builtins\neval", "numpy.core.multiarray\nscalar"])
def test_a_name_that_arrays_do_not_need_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(b"c" + name.encode() + b"\n(U\x01adtR.")
    with pytest.raises(DataError, match=rf"names {name.replace(chr(10), '.')}"):
        read_plain_pickle(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"not a pickle", b"\x80\x02cnumpy\nndarray\n.", None])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, content: bytes | None) -> None:
    write(tmp_path)
    path = tmp_path / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-2000] if content is None else content)
    with pytest.raises(DataError, match=r"data_batch_3: got .*(copy it again|replace it|take the published one)"):
        cifar10(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1, 2], "pickle of a list"),
        ({b"labels": [1]}, "data of NoneType"),
        ({b"data": images(2)[:, :100], b"labels": [1, 2]}, r"uint8 \(2, 100\), expected uint8 \(N, 3072\)"),
        ({b"data": images(2).astype(float), b"labels": [1, 2]}, "data of float64"),
        ({b"data": images(2)}, "labels with None"),
        ({b"data": images(2), b"labels": [1, 10]}, r"labels with \[10\]"),
        ({b"data": images(2), b"labels": [1, 1.5]}, r"labels with \[1.5\]"),
        ({b"data": images(2), b"labels": [1]}, "2 images and 1 labels"),
        ({b"data": images(0), b"labels": []}, "0 images and 0 labels"),
        ({b"data": images(2), b"fine_labels": [1, 2]}, "labels with None"),  # CIFAR-100
    ],
)
def test_a_batch_of_another_shape_is_refused(tmp_path: Path, content: object, says: str) -> None:
    write(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=f"data_batch_1: got .*{says}"):
        cifar10(tmp_path)


def test_missing_files_are_named_and_a_packed_archive_is_seen(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty, expected data_batch_1, data_batch_2"):
        cifar10(tmp_path)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"expected data_batch_1 in it: unpack cifar-10-python.tar.gz there"):
        cifar10(tmp_path)
    write(tmp_path)
    (tmp_path / "test_batch").unlink()
    with pytest.raises(DataError, match="expected test_batch in it"):
        cifar10(tmp_path, "test")
    with pytest.raises(DataError, match="got no file"):
        read_plain_pickle(tmp_path / "nothing")
    with pytest.raises(UnknownNameError, match="did you mean 'test'"):
        cifar10(tmp_path, "tset")


def test_samples_are_given_as_convolutions_read_them(tmp_path: Path) -> None:
    assert digits("test").images().inputs.shape == (360, 1, 8, 8)
    colour = cifar10(write(tmp_path))
    assert colour.images() is colour
    assert colour.flatten().inputs.shape == (10, 3072)
    with pytest.raises(DataError, match="do not flatten"):
        digits("test").flatten().images()
