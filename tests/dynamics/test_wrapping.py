"""On a torus no place is special: a game whose angles are shifted has the same runs, shifted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from strategic_envs.agents.dynamics import Dynamic, dynamic, run
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.profile import Profile

STEPS = {"step_size": 0.1}
METHODS: dict[str, dict[str, Any]] = {
    "simultaneous_gradient": STEPS,
    "alternating_gradient": STEPS,
    "extragradient": STEPS,
    "optimistic_gradient": STEPS,
    "adaptive_extragradient": {},
    "eg_plus": STEPS,
    "curvature_eg_plus": {},
    "anchored_extragradient": STEPS,
    "consensus_optimization": STEPS,
    "symplectic_gradient": STEPS,
    "adam_gradient": STEPS,
    "extra_adam": STEPS,
}


@pytest.mark.parametrize("name", METHODS)
def test_a_run_on_a_shifted_torus_is_the_shifted_run(name: str) -> None:
    game, shift = catalogue_game("torus"), 2.5  # which takes most points over the place where angles wrap

    def shifted(x: tuple[Tensor, ...]) -> Tensor:
        return game.utilities(tuple(t - shift for t in x))

    other = Game(shifted, game.sets, name="shifted")
    method: Dynamic[Any] = dynamic(name, **METHODS[name])
    starts = game.sample((20,), generator=torch.Generator().manual_seed(0))
    path = run(game, method, starts, 25)
    twin = run(other, method, other.project(starts.map(lambda t: t + shift)), 25)
    back = Profile(t - shift for t in twin.points)
    apart = Profile(s.difference(a, b) for s, a, b in zip(game.sets, path.points, back, strict=True))
    assert float(apart.flat().abs().max()) < 1e-8
    assert torch.allclose(path.moved, twin.moved, atol=1e-8) and float(path.moved.max()) < 1.0
    assert torch.allclose(path.residuals, twin.residuals, atol=1e-8)
