"""The loaders read the published formats and say what is wrong with a file."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from strategic_envs.data import MinibatchSampler, digits, load, mnist, read_idx
from strategic_envs.errors import DataError, MissingExtraError, UnknownNameError


def idx(array: np.ndarray, magic: bytes | None = None) -> bytes:
    head = magic if magic is not None else bytes([0, 0, 8, array.ndim])
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def write_mnist(
    folder: Path, n: int = 6, n_labels: int | None = None, prefix: str = "train", zipped: bool = False
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    images = np.arange(n * 28 * 28).reshape(n, 28, 28) % 256
    labels = np.arange(n_labels if n_labels is not None else n) % 10
    for name, array in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))


def test_digits_split_is_a_partition_of_the_1797_samples() -> None:
    train, test = digits("train"), digits("test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.inputs.dtype == torch.float32 and train.targets.dtype == torch.int64
    assert train.inputs.min() == 0 and train.inputs.max() == 1
    from sklearn.datasets import load_digits

    ours = torch.cat([train.inputs, test.inputs]).reshape(1797, -1).double().sum()
    assert float(ours) == pytest.approx(load_digits(return_X_y=True)[0].sum() / 16)
    assert torch.bincount(torch.cat([train.targets, test.targets])).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]


def test_digits_without_scikit_learn_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from strategic_envs.data import handwriting

    handwriting._digits.cache_clear()
    import sys

    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"strategic-envs\[data\]"):
        digits("train")


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_reads_plain_and_gzipped_files(tmp_path: Path, zipped: bool) -> None:
    write_mnist(tmp_path, zipped=zipped)
    write_mnist(tmp_path, n=3, prefix="t10k", zipped=zipped)
    train, test = mnist(tmp_path), mnist(tmp_path, "test")
    assert train.inputs.shape == (6, 28, 28) and test.inputs.shape == (3, 28, 28)
    assert train.flatten().inputs.shape == (6, 784)
    assert train.targets.tolist() == [0, 1, 2, 3, 4, 5]
    assert float(train.inputs[0, 0, 5]) == pytest.approx(5 / 255)


def test_mnist_uses_the_environment_variable_and_its_subfolder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / "mnist")
    monkeypatch.setenv("STRATEGIC_ENVS_DATA", str(tmp_path))
    assert len(mnist()) == 6


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    write_mnist(tmp_path, n=6)
    assert len(mnist(tmp_path)) == 6
    write_mnist(tmp_path, n=7)
    assert len(mnist(tmp_path)) == 7


def test_no_folder_at_all_says_how_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRATEGIC_ENVS_DATA", raising=False)
    with pytest.raises(DataError, match=r"pass data_dir=... or set STRATEGIC_ENVS_DATA"):
        mnist()


def test_a_missing_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        mnist(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"is empty, expected train-images-idx3-ubyte\[.gz\]"):
        mnist(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    with pytest.raises(DataError, match=r"expected t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz"):
        mnist(tmp_path, "test")


def test_a_truncated_file_says_how_many_bytes_it_has_and_needs(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: got 4620 bytes .* expected 4720 .*truncated"):
        mnist(tmp_path)


def test_a_truncated_gzip_file_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path, zipped=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz: got \d+ bytes .*copy the file again"):
        mnist(tmp_path)


def test_a_file_with_a_tail_is_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DataError, match=r"got 15 bytes .* expected 14 .*tail"):
        mnist(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"\x89PNG....", bytes([0, 0, 8, 1, 0, 0, 0, 0]), bytes([0, 0, 7, 3])]
)
def test_a_wrong_magic_number_is_shown(tmp_path: Path, content: bytes) -> None:
    write_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=r"got the magic number .* expected 00 00 <type> 03"):
        mnist(tmp_path)


def test_a_header_that_ends_early_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes([0, 0, 8, 3, 0, 0]))
    with pytest.raises(DataError, match="got 6 bytes, expected at least the 16"):
        read_idx(tmp_path / "a")


def test_images_and_labels_of_different_number_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path, n=6, n_labels=5)
    with pytest.raises(DataError, match=r"got 6 images .* and 5 labels"):
        mnist(tmp_path)


def test_labels_above_nine_and_no_samples_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path, n=2)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.array([1, 10])))
    with pytest.raises(DataError, match="got the label 10"):
        mnist(tmp_path)
    write_mnist(tmp_path, n=0)
    with pytest.raises(DataError, match="got no samples"):
        mnist(tmp_path)


def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        load("digit")
    with pytest.raises(UnknownNameError, match="did you mean 'train'"):
        digits("trian")


def test_idx_number_types_are_honoured(tmp_path: Path) -> None:
    array = np.array([[1.5, -2.0]])
    (tmp_path / "a").write_bytes(bytes([0, 0, 14, 2]) + struct.pack(">2I", 1, 2) + array.astype(">f8").tobytes())
    assert read_idx(tmp_path / "a").tolist() == [[1.5, -2.0]]


@pytest.mark.data
def test_mnist_has_60000_and_10000_samples_and_the_known_label_counts() -> None:
    train, test = load("mnist"), load("mnist", split="test")
    assert train.inputs.shape == (60000, 28, 28) and test.inputs.shape == (10000, 28, 28)
    assert torch.bincount(train.targets).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert float(train.inputs.double().mean()) == pytest.approx(0.1306604762738, abs=1e-8)


def test_an_epoch_of_minibatches_is_a_permutation() -> None:
    sampler = MinibatchSampler(12, size=4, seed=3)
    epoch = torch.cat([sampler.next() for _ in range(3)])
    assert sorted(epoch.tolist()) == list(range(12))
    following = torch.cat([sampler.next() for _ in range(3)])
    assert sorted(following.tolist()) == list(range(12)) and following.tolist() != epoch.tolist()


def test_minibatches_resume_from_the_step_alone() -> None:
    run = MinibatchSampler(50, size=7, seed=1)
    batches = [run.next().tolist() for _ in range(20)]
    resumed = MinibatchSampler(50, size=7, seed=1)
    resumed.load_state_dict({"step": 13})
    assert [resumed.next().tolist() for _ in range(7)] == batches[13:] and resumed.state_dict() == run.state_dict()
    assert MinibatchSampler(50, size=7, seed=2).next().tolist() != batches[0]


@pytest.mark.parametrize("size", [0, 11])
def test_minibatch_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(DataError, match=r"expected one in 1..10"):
        MinibatchSampler(10, size=size)
    with pytest.raises(DataError, match="batch number -1"):
        MinibatchSampler(10, size=2).indices(-1)
