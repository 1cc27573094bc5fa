"""Each way in which a path is given up is an outcome with its reason; games made for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from strategic_envs.agents.dynamics import GameOracle, Outcome, run
from strategic_envs.agents.dynamics.ridge.path import follow_ridge
from strategic_envs.agents.dynamics.ridge.state import REASONS, Failure, RidgeState
from strategic_envs.agents.dynamics.stonr import StayOnTheRidge
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.nonconcave import f1
from strategic_envs.profile import Profile
from strategic_envs.sets import Box


def unit_game(utilities: Callable[[tuple[Tensor, ...]], list[Tensor]], players: int) -> Game:
    return Game(lambda x: torch.cat(utilities(x), dim=-1), [Box(0, 1)] * players, name="made_to_fail")


def flat_zero(x: tuple[Tensor, ...]) -> list[Tensor]:
    """Where V_0 = (1/2 - x_0)^3 vanishes, its derivatives vanish too."""
    return [-((0.5 - x[0]) ** 4) / 4, x[1]]


def two_at_once(x: tuple[Tensor, ...]) -> list[Tensor]:
    """Two frozen coordinates lose their sign at x_2 = 1/2."""
    return [x[0] * (x[2] - 0.5), x[1] * (x[2] - 0.5), x[2]]


def jump(x: tuple[Tensor, ...]) -> list[Tensor]:
    """The zero of V_0 jumps by 1/5 where x_1 = 3/10."""
    return [-((x[0] - 0.5) ** 2) / 2 + 0.2 * x[0] * (x[1] > 0.3), x[1]]


def infinite_slope(x: tuple[Tensor, ...]) -> list[Tensor]:
    return [torch.sqrt(x[0]), x[1]]


@pytest.mark.parametrize(
    ("utilities", "players", "failure"),
    [
        (flat_zero, 2, Failure.DEGENERATE),
        (two_at_once, 3, Failure.COINCIDENT),
        (jump, 2, Failure.STUCK),
        (infinite_slope, 2, Failure.NONFINITE),
    ],
)
def test_a_path_that_cannot_go_on_says_why(
    utilities: Callable[[tuple[Tensor, ...]], list[Tensor]], players: int, failure: Failure
) -> None:
    path = follow_ridge(unit_game(utilities, players), step_size=0.05)
    assert (path.outcome, path.reason) == ("failed", REASONS[failure])
    assert all(bool(t.isfinite().all()) for t in path.end)


def test_events_that_coincide_at_a_solution_are_the_end() -> None:
    game = unit_game(lambda x: [-((x[0] - 0.5) ** 2), -((x[1] - 0.5) ** 2), -((x[2] - 0.5) ** 2)], 3)
    path = follow_ridge(game, step_size=0.05)
    assert path.outcome == "converged" and path.residual < 1e-12


def test_an_epoch_that_is_entered_twice_at_one_point_is_given_up() -> None:
    game = f1(3.0)
    dynamic, oracle = StayOnTheRidge(0.05), GameOracle(game)
    before: RidgeState = dynamic.init(game.profile([-3.0], [-3.0]), oracle)
    after = dynamic.step(before, oracle)
    while len(after.entries) == len(before.entries):
        before, after = after, dynamic.step(after, oracle)
    assert dynamic.status(after) is Outcome.MAX_STEPS
    again = dynamic.step(replace(before, entries=after.entries), oracle)  # as if it had been there before
    assert dynamic.status(again) is Outcome.FAILED and dynamic.explain(again) == REASONS[Failure.REVISITED]
    assert dynamic.step(again, oracle) is again


def test_run_reports_the_failed_row_alone_and_keeps_its_reason() -> None:
    game = unit_game(jump, 2)
    starts = Profile.from_flat(torch.tensor([[0.1, 0.1], [0.1, 0.9]], dtype=torch.float64), (1, 1))
    failed = run(game, StayOnTheRidge(0.05), starts, 400)
    assert failed.outcomes == ["failed", "converged"]
    assert failed.notes == (REASONS[Failure.STUCK], "") and failed.verdicts()[0] == "failed"
    assert all("corner" in text for text in list(REASONS.values())[1:5])
