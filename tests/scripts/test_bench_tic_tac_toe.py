"""The measurement of tic-tac-toe prints its promised figures, and measures what it says."""

from __future__ import annotations

import json
import math

import pytest

from strategic_envs.games.tic_tac_toe import random_play
from strategic_envs.scripts import bench_tic_tac_toe as bench

PROMISED = {
    "random_play_moves_per_s",
    "step_moves_per_s_4096",
    "exploitability_ms",
    "graph_build_ms",
    "pettingzoo_env_moves_per_s",
}


def test_the_line_has_the_promised_figures(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANES", "ROUNDS", "STEPS", "GAMES"):
        monkeypatch.setattr(bench, name, 2)  # the shape of the line is what is tested, not the speed
    bench.main(["--quick"])
    found = json.loads(capsys.readouterr().out)
    figures = found["figures"]
    assert set(found) == {"figures", "versions", "device", "command"}
    assert set(figures) >= PROMISED and all(math.isfinite(v) and v > 0 for v in figures.values())
    assert ("pettingzoo_ratio" in figures) == ("peer_pettingzoo_moves_per_s" in figures)
    assert found["command"] == "python scripts/bench_tic_tac_toe.py --quick"


def test_moves_are_counted_as_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LANES", 8), ("ROUNDS", 20), ("STEPS", 3)):
        monkeypatch.setattr(bench, name, value)
    assert bench.fused() == random_play(20, lanes=8, seed=0).moves
    assert [bench.stepping(draw)() for draw in (True, False)] == [24, 24]
    alone = bench.stepping(draw=False)
    assert [alone() for _ in range(4)] == [24] * 4  # twelve steps: the game is restarted where it ends


def test_the_ratio_compares_neighbouring_turns() -> None:
    clock = iter(range(1000))

    def case(units: int) -> int:
        next(clock)
        return units

    assert bench.ratio(lambda: case(6), lambda: case(2), repeats=3, seconds=0.0) > 0
