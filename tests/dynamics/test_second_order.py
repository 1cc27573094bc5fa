from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from strategic_envs.agents.dynamics import (
    ConsensusOptimization,
    FollowTheRidge,
    SimultaneousGradient,
    SymplecticGradient,
    run,
)
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.bilinear import bilinear
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.profile import Profile
from strategic_envs.sets import Box

PLANE = Box(-math.inf, math.inf)


def grid(box: float, side: int = 10) -> Profile:
    axis = torch.linspace(-0.9 * box, 0.9 * box, side, dtype=torch.float64)
    return Profile(t.unsqueeze(-1) for t in torch.cartesian_prod(axis, axis).unbind(-1))


@pytest.mark.parametrize(
    ("method", "factor"),
    [
        (ConsensusOptimization(0.1, gamma=1.0), math.hypot(1 - 0.1, 0.1)),
        (ConsensusOptimization(0.1, gamma=0.0), math.hypot(1, 0.1)),
        (ConsensusOptimization(0.1, gamma=3.0), math.hypot(1 - 0.3, 0.1)),
        (SymplecticGradient(0.1), math.hypot(1 - 0.1, 0.1)),
    ],
)
def test_on_xy_a_step_multiplies_the_norm_by_its_closed_form(method, factor: float) -> None:
    """J is a rotation, so gamma J^T F and A^T F are both a pull to the centre."""
    game = bilinear(box=None)
    norms = run(game, method, game.profile([0.6], [0.8]), 30).points.norm()
    torch.testing.assert_close(norms[1:] / norms[:-1], torch.full((30,), factor, dtype=torch.float64))


def test_where_all_share_one_utility_there_is_nothing_to_adjust() -> None:
    def shared(x: tuple[Tensor, ...]) -> Tensor:
        u = (-(x[0] ** 2) + x[0] * x[1] - torch.cos(x[1])).sum(-1)
        return torch.stack([u, u], dim=-1)

    game = Game(shared, [Box(-1, 1), Box(-1, 1)], name="shared")
    starts = game.sample((5,), generator=torch.Generator().manual_seed(0))
    adjusted, plain = (
        run(game, m, starts, 50, record=None).final for m in (SymplecticGradient(0.1), SimultaneousGradient(0.1))
    )
    torch.testing.assert_close(adjusted.flat(), plain.flat(), rtol=0, atol=1e-14)


def test_alignment_lets_the_adjustment_leave_an_unstable_rest_point_that_holds_it_without() -> None:
    """f = -x^2 + y^2 + 3xy: both players' worst point. Letcher et al. (2019), section 3.4."""
    game = Game.minmax(lambda x, y: (-(x**2) + y**2 + 3 * x * y).sum(-1), [PLANE, PLANE], name="hill")
    start = game.profile([0.1], [0.05])
    aligned = run(game, SymplecticGradient(0.05), start, 200, record=None, divergence=1e3)
    blind = run(game, SymplecticGradient(0.05, aligned=False), start, 200, record=None)
    assert aligned.outcome == "diverged" and float(blind.final.norm()) < 1e-3


def test_consensus_is_drawn_to_any_zero_of_the_field_the_worst_included() -> None:
    game = Game.minmax(lambda x, y: (-(x**2) + y**2).sum(-1) / 2, [Box(-1, 1), Box(-1, 1)], name="worst")
    end = run(game, ConsensusOptimization(0.1, gamma=2.0), game.profile([0.5], [-0.4]), 200, record=None).final
    assert float(end.norm()) < 1e-6, "everyone's utility is smallest at the origin"


def test_projected_adjustment_rests_on_the_boundary_of_f1_where_no_one_is_satisfied() -> None:
    game = catalogue_game("f1", box=1.0)
    end = run(game, SymplecticGradient(0.1 / 13.29), grid(1.0), 1500, record=None, compile=True)
    verdicts = end.verdicts()
    resting = torch.tensor([v == "resting" for v in verdicts])
    assert verdicts.count("resting") >= 95 and "solved" not in verdicts
    gaps, points = end.gaps()[-1][resting], end.final.flat()[resting]
    assert float(gaps.min()) > 1.9 and bool((points.abs() == 1.0).any(-1).all())


def test_follow_the_ridge_reaches_the_local_minimax_point_of_f1_from_all_16_starts() -> None:
    game = catalogue_game("f1", box=3.0)
    end = run(game, FollowTheRidge(0.01), grid(3.0, 4), 1000, record=None, tolerance=1e-6, check_every=100)
    assert end.count()["converged"] == 16 and float(end.final.norm().max()) < 1e-6


@pytest.mark.slow
def test_follow_the_ridge_fails_from_6_of_16_starts_where_the_curvature_of_f2_changes_sign() -> None:
    """From four starts a side on eight tenths of the box; on nine tenths 8 of 16 converge."""
    game = catalogue_game("f2", box=1.0)
    starts = grid(1.0, 4).map(lambda t: t * 0.8 / 0.9)
    end = run(game, FollowTheRidge(0.01), starts, 4000, record=None, tolerance=0.1, check_every=100)
    near = end.final.norm() < 0.2
    assert int(near.sum()) == 10 == end.count()["converged"]
    assert float(end.gaps()[-1][~near].min()) > 0.5, "the others circle along the box"


def test_follow_the_ridge_converges_to_local_minimax_points_only() -> None:
    """f = -3x^2 - y^2 + 4xy: a local minimax that repels gradient play; f = 3x^2 + y^2 + 4xy: none.

    Wang, Zhang and Ba (2020), section 2.
    """
    good = Game.minmax(lambda x, y: (-3 * x**2 - y**2 + 4 * x * y).sum(-1), [PLANE, PLANE], name="good")
    start = good.profile([0.5], [0.7])
    assert float(run(good, FollowTheRidge(0.05), start, 250, record=None).final.norm()) < 1e-9
    assert run(good, SimultaneousGradient(0.05), start, 200, record=None, divergence=1e3).outcome == "diverged"
    bad = Game.minmax(lambda x, y: (3 * x**2 + y**2 + 4 * x * y).sum(-1), [PLANE, PLANE], name="bad")
    assert run(bad, FollowTheRidge(0.05), start, 200, record=None, divergence=1e3).outcome == "diverged"


def test_the_leader_can_be_either_player() -> None:
    def f(x: Tensor, y: Tensor) -> Tensor:
        return (-3 * x**2 - y**2 + 4 * x * y).sum(-1)

    game = Game.minmax(f, [PLANE, PLANE], name="good")
    mirrored = Game(lambda x: torch.stack([f(x[1], x[0]), -f(x[1], x[0])], -1), [PLANE, PLANE], name="mirrored")
    a = run(game, FollowTheRidge(0.05), game.profile([0.5], [0.7]), 20).final
    b = run(mirrored, FollowTheRidge(0.05, leader=1), mirrored.profile([0.7], [0.5]), 20).final
    torch.testing.assert_close(a.flat(), b.flat().flip(-1))


@pytest.mark.parametrize("dim", [1, 2])
def test_a_follower_without_curvature_ends_the_run_as_nonfinite(dim: int) -> None:
    game = bilinear(dim=dim)
    end = run(game, FollowTheRidge(0.1), game.profile([0.5] * dim, [0.5] * dim), 10)
    assert end.outcome == "nonfinite" and end.final.flat().tolist() == [0.5] * (2 * dim)


def test_follow_the_ridge_refuses_other_games_by_name() -> None:
    three = catalogue_game("three_player_polynomial")
    with pytest.raises(
        InvalidSettingError, match="follow_the_ridge, on .*: got 3 players, expected a leader and a foll"
    ):
        run(three, FollowTheRidge(0.1), three.sample((2,)), 1)
    general = Game(
        lambda x: torch.cat([-(x[0] ** 2) + x[0] * x[1], -(x[1] ** 2) + x[0] * x[1]], -1), [Box(-1, 1)] * 2, name="both"
    )
    with pytest.raises(InvalidGameError, match=r"follow_the_ridge, on both: the players' utilities are not opposite"):
        run(general, FollowTheRidge(0.1), general.profile([0.1], [0.1]), 1)
    with pytest.raises(InvalidSettingError, match="leader=2, expected player 0 or 1"):
        FollowTheRidge(0.1, leader=2)
    with pytest.raises(InvalidSettingError, match="consensus_optimization: got gamma=-1"):
        ConsensusOptimization(0.1, gamma=-1)
