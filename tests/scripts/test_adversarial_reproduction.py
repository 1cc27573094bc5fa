from __future__ import annotations

import json
from pathlib import Path

import pytest

from strategic_envs.scripts.reproduce import adversarial


@pytest.mark.slow
def test_the_naive_classifier_is_manipulated_and_the_game_trained_one_resists(tmp_path: Path) -> None:
    rows = adversarial.reproduce(tmp_path, quick=True)
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)
    assert [row["quantity"] for row in rows if not row["within"]] == []
    assert {p.name for p in tmp_path.iterdir()} == {"robustness.png", "examples.png", "robustness.json"}
    curves = json.loads((tmp_path / "robustness.json").read_text())
    assert set(curves) == {"naive", "naive, weight decay", "noise", "persistent", "game"}
    for radii, accuracies in curves.values():
        assert radii == sorted(radii) and accuracies == sorted(accuracies, reverse=True)


def test_the_reproduction_names_itself_and_mnist_is_left_out_without_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert adversarial.NAME == "adversarial" and adversarial.SUMMARY.endswith(".")
    monkeypatch.delenv("STRATEGIC_ENVS_DATA", raising=False)
    assert adversarial._mnist_folder() is None
    monkeypatch.setenv("STRATEGIC_ENVS_DATA", str(tmp_path))
    assert adversarial._mnist_folder() is None
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").touch()
    assert adversarial._mnist_folder() == tmp_path / "mnist"
