"""The commands with the agents of the project, from the words that are typed to the pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from strategic_envs.scripts.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]
RUN = "continuous_game_v0-f1-stonr-seed0"


def test_stonr_trains_on_f1_stops_at_its_end_and_is_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray.rllib")
    monkeypatch.chdir(tmp_path)
    assert main(["train", "continuous_game_v0", "--env.game", "f1", "--agent", "stonr"]) == 0
    printed = capsys.readouterr().out
    assert "local Nash gap" in printed and "converged" in printed
    folder = tmp_path / "results" / RUN
    final = json.loads((folder / "result.json").read_text())["final"]
    assert final["outcome"] == "converged" and final["local_nash_gap"] < 1e-8
    assert {"curves.png", "trajectory.png"} <= {p.name for p in folder.iterdir()}
    assert main(["evaluate", str(folder), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["outcome"] == "converged" and again["local_nash_gap"] == final["local_nash_gap"]


def test_a_game_that_does_not_suit_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray.rllib")
    monkeypatch.chdir(tmp_path)
    assert main(["train", "continuous_game_v0", "--env.game", "f1", "--agent", "hedge"]) == 2
    error = capsys.readouterr().err
    assert "expected a Simplex" in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
