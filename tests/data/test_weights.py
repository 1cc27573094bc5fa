"""Weights are read from the usual files, no code in them is run, and what is wrong is told with file and tensor."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from strategic_envs.data.weights import (
    INITIAL_FILE,
    WEIGHTS_FILE,
    initial_of,
    judged_weights,
    read_weights,
    write_weights,
)
from strategic_envs.errors import DataError


def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"0.weight": torch.randn(4, 3, generator=generator), "0.bias": torch.zeros(4)}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def test_safetensors_and_torch_files_give_the_same_tensors_whatever_they_are_called(tmp_path: Path) -> None:
    write_weights(tmp_path / "a.bin", weights())
    torch.save(weights(), tmp_path / "b.safetensors")
    torch.save(weights(), tmp_path / "c.pt", _use_new_zipfile_serialization=False)
    assert all(same(read_weights(tmp_path / n), weights()) for n in ("a.bin", "b.safetensors", "c.pt"))


@pytest.mark.parametrize(
    "nested",
    [
        lambda w: {"state_dict": w, "epoch": torch.tensor(3), "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}},
        lambda w: {"model": {"state_dict": w}, "config": {"width": 3}},
        lambda w: {"model": {"config": 1}, "params": w},
    ],
)
def test_state_dicts_under_a_key_are_found_and_the_optimizer_is_left_out(tmp_path: Path, nested) -> None:
    torch.save(nested(weights()), tmp_path / "run.ckpt")
    assert same(read_weights(tmp_path / "run.ckpt"), weights())


def test_parameters_come_without_their_gradient(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 1).state_dict(keep_vars=True), tmp_path / "p.pt")
    assert not read_weights(tmp_path / "p.pt")["weight"].requires_grad


def test_half_precision_is_judged_in_double_and_counters_are_left_out(tmp_path: Path) -> None:
    stored = {
        "bf": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "half": torch.tensor([0.1], dtype=torch.float16),
        "steps": torch.tensor(7),
    }
    read = read_weights(write_weights(tmp_path / "x.safetensors", stored))
    judged = judged_weights(read)
    assert read["bf"].dtype == torch.bfloat16 and set(judged) == {"bf", "half"}
    assert all(t.dtype == torch.float64 for t in judged.values())
    assert judged["half"][0] == float(stored["half"][0])


def shards(folder: Path) -> Path:
    w = weights()
    save_file({"0.weight": w["0.weight"]}, folder / "model-1.safetensors")
    torch.save({"0.bias": w["0.bias"]}, folder / "model-2.bin")
    places = {"0.weight": "model-1.safetensors", "0.bias": "model-2.bin"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index


def test_shards_are_put_together_by_their_index_or_their_folder(tmp_path: Path) -> None:
    index = shards(tmp_path)
    assert same(read_weights(index), weights())
    assert same(read_weights(tmp_path), weights())


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ({"0.weight": "model-3.safetensors"}, "'0.weight': there is no file model-3.safetensors"),
        ({"1.weight": "model-1.safetensors"}, "'1.weight': model-1.safetensors does not hold it"),
        ({"0.weight": "../model-1.safetensors"}, "the name of one beside the index"),
        ({"0.weight": "model.safetensors.index.json"}, "the name of one beside the index"),
        ({}, "no index of shards"),
        ({"0.weight": 3}, "no index of shards"),
    ],
)
def test_an_index_that_does_not_fit_its_shards_names_the_tensor(tmp_path: Path, places: object, told: str) -> None:
    index = shards(tmp_path)
    index.write_text(json.dumps({"weight_map": places}))
    with pytest.raises(DataError, match=told) as error:
        read_weights(index)
    assert str(index) in str(error.value)


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("was_run"),))


def test_pickled_code_is_refused_unread_and_the_message_says_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Evil()}, "evil.pt")
    Path("plain.pkl").write_bytes(pickle.dumps({"w": Evil()}))
    torch.save(nn.Linear(2, 2), "module.pt")
    for name in ("evil.pt", "plain.pkl", "module.pt"):
        with pytest.raises(DataError, match=rf"{name}: .*(not run|not readable)") as error:
            read_weights(name)
        assert "state_dict()" in str(error.value)
    assert not Path("was_run").exists()


def broken(folder: Path) -> dict[str, Path]:
    write_weights(folder / "whole.safetensors", weights())
    torch.save(weights(), folder / "whole.pt")
    whole = {n: (folder / n).read_bytes() for n in ("whole.safetensors", "whole.pt")}
    files = {
        "cut.safetensors": whole["whole.safetensors"][:-5],
        "cut.pt": whole["whole.pt"][:200],
        "text.pt": b"hello there, this is no network",
        "empty.pt": b"",
        "pointer.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    torch.save([torch.ones(2)], folder / "list.pt")
    torch.save({"epoch": 3}, folder / "none.pt")
    save_file({}, folder / "none.safetensors")
    return {p.name: p for p in folder.iterdir() if not p.name.startswith("whole")}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("cut.safetensors", "truncated"),
        ("cut.pt", "truncated"),
        ("text.pt", "begins with 68 65 6c 6c"),
        ("empty.pt", "an empty file"),
        ("pointer.safetensors", "git lfs pull"),
        ("list.pt", "got a list"),
        ("none.pt", "a dictionary with epoch and no tensors"),
        ("none.safetensors", "without tensors"),
    ],
)
def test_files_that_are_no_weights_are_refused_by_name(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(DataError, match=told) as error:
        read_weights(broken(tmp_path)[name])
    assert name in str(error.value)


def test_missing_files_and_folders_without_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file .*nothing.pt"):
        read_weights(tmp_path / "nothing.pt")
    with pytest.raises(DataError, match="give the file of weights itself"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    ("tensor", "told"),
    [
        (torch.tensor([1.0, float("nan")]), "'w': got 1 of 2 numbers that are NaN or infinite"),
        (torch.tensor([float("inf")]), "'w': got 1 of 1"),
        (torch.ones(2, dtype=torch.complex64), "'w': got torch.complex64"),
        (torch.eye(2).to_sparse(), "'w': .*sparse"),
        (torch.arange(3), "no tensor of real numbers"),
    ],
)
def test_numbers_that_cannot_be_judged_are_named(tensor: Tensor, told: str) -> None:
    with pytest.raises(DataError, match=told) as error:
        judged_weights({"w": tensor}, "net.pt")
    assert str(error.value).startswith("net.pt")


def checkpoint(run: Path) -> Path:
    folder = run / "checkpoint"
    folder.mkdir()
    write_weights(folder / WEIGHTS_FILE, weights())
    write_weights(folder / INITIAL_FILE, {"0.weight": torch.ones(4, 3)})
    (folder / "strategic_envs.json").write_text(json.dumps({"digests": {WEIGHTS_FILE: "0" * 64}}))
    return folder


def test_a_run_folder_gives_the_weights_of_its_checkpoint_and_where_training_began(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path)
    (folder / "strategic_envs.json").unlink()
    assert same(read_weights(tmp_path), weights()) and same(read_weights(folder), weights())
    began = initial_of(tmp_path)
    assert began is not None and began["0.weight"].eq(1).all()
    assert initial_of(tmp_path / "elsewhere") is None


def test_checkpoints_that_have_changed_or_hold_no_layers_are_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path)
    with pytest.raises(DataError, match="has changed since"):
        read_weights(tmp_path)
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(DataError, match=r"checkpoint without weights\.safetensors"):
        read_weights(tmp_path)
