"""The measurement of the dynamics prints one line of JSON, and its loops by hand are the update of the library."""

from __future__ import annotations

import json
import math

import pytest
import torch

from strategic_envs.agents.dynamics import Extragradient, run
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.scripts import bench_dynamics as bench

FIGURES = {"ours_ns_f1", "ours_ns_forsaken", "ratio_python_loop", "compile_s"} | {
    f"ratio_{kind}_outer_{name}" for kind in ("starts", "steps") for name in ("f1", "forsaken", "six")
}


@pytest.mark.parametrize(
    ("name", "loops"),
    [
        ("f1", bench.loops(bench.field_f1, 3.0)),
        ("forsaken", bench.loops(bench.field_forsaken, 1.5)),
        ("nie_yang_zhou", (bench.six_starts_outside, bench.six_steps_outside)),
    ],
    ids=["f1", "forsaken", "six"],
)
def test_the_loops_by_hand_are_the_same_update(name: str, loops: tuple) -> None:
    game = catalogue_game(name)
    x0 = game.sample((5,), generator=torch.Generator().manual_seed(0))
    expected = run(game, Extragradient(bench.ETA), x0, 30, record=None).final
    for loop in loops:
        arrays = [t.mT.contiguous().clone() if t.shape[-1] > 1 else t[:, 0].clone() for t in x0]
        loop(*(a.numpy() for a in arrays), 30, bench.ETA)
        for a, b in zip(arrays, expected, strict=True):
            assert torch.allclose(a, b.mT if b.shape[-1] > 1 else b[:, 0], atol=1e-11)


def test_the_python_loop_is_the_same_update() -> None:
    game = catalogue_game("f1")
    expected = run(game, Extragradient(bench.ETA), game.profile([0.3], [-0.2]), 20, record=None).final.flat().tolist()
    assert bench.python_loop(20)(0.3, -0.2) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_bench_dynamics_prints_the_promised_figures(capsys: pytest.CaptureFixture[str]) -> None:
    bench.main(["--quick"])
    captured = capsys.readouterr().out
    assert captured.count("\n") == 1
    figures = json.loads(captured)["figures"]
    assert set(figures) >= FIGURES
    assert all(math.isfinite(v) and v > 0 for v in figures.values())
