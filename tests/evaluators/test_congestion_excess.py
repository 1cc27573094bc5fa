"""The Wardrop excess: zero at equilibria, a certificate everywhere, and in every report."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import strategic_envs as se
from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators.congestion import congestion_figures
from strategic_envs.games.kinds.congestion import CongestionGame, PowerCosts
from strategic_envs.seeding import torch_stream


def pigou(power: float = 1.0) -> CongestionGame:
    return CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts([[1.0], [1.0]], [[0.0], [power]]), name="pigou")


def braess_of_six() -> CongestionGame:
    """Paths s-v-t, s-w-t and s-v-w-t; links 10x, 50+x, 50+x, 10+x, 10x."""
    costs = PowerCosts.affine([10.0, 1.0, 1.0, 1.0, 10.0], [0.0, 50.0, 50.0, 10.0, 0.0])
    return CongestionGame([6.0], [[[0, 2], [1, 4], [0, 3, 4]]], costs=costs, name="braess_six")


def drawn(seed: int) -> CongestionGame:
    """Three populations on five resources with polynomial costs."""
    stream = torch_stream(seed, "excess")
    strategies = [[sorted(torch.randperm(5, generator=stream)[: 1 + k % 3].tolist()) for k in range(3)] for _ in "abc"]
    coefficients = torch.rand(5, 2, generator=stream, dtype=torch.float64)
    masses = (0.5 + torch.rand(3, generator=stream, dtype=torch.float64)).tolist()
    return CongestionGame(masses, strategies, costs=PowerCosts(coefficients, [[0.0, 2.0]] * 5), name="drawn")


def test_the_excess_of_braess_is_zero_where_every_path_costs_92() -> None:
    game = braess_of_six()
    equilibrium = game.profile([1 / 3, 1 / 3, 1 / 3])
    assert se.wardrop_excess(game, equilibrium).value == pytest.approx(0, abs=1e-12)
    assert congestion_figures(game, equilibrium)["total_cost"] == pytest.approx(552)
    optimum = game.profile([0.5, 0.5, 0.0])  # the detour would cost 70 where everybody pays 83
    row = congestion_figures(game, optimum)
    assert row == pytest.approx({"total_cost": 498, "wardrop_excess": 6 * 13, "relative_gap": 78 / 498})


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_excess_is_that_of_the_flow_and_the_sum_of_the_populations_parts(seed: int) -> None:
    game = drawn(seed)
    x = game.sample(generator=torch_stream(seed, "x"))
    gap = se.wardrop_excess(game, x)
    assert gap.value == pytest.approx(float(game.excess(x)), abs=1e-12) == sum(gap.per_player)
    assert gap.exact and gap.lower == gap.value == gap.upper
    parts = [float(m * (t @ c - c.min())) for m, t, c in zip(game.masses, x, game.path_costs(x), strict=True)]
    assert gap.per_player == pytest.approx(parts, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_excess_bounds_the_potential_above_any_other_point_also_in_the_mean(seed: int) -> None:
    game = drawn(seed)
    points = game.sample((6,), generator=torch_stream(seed, "points"))
    play = se.Empirical.uniform(points)
    bound = se.wardrop_excess(game, play).upper
    others = game.sample((50,), generator=torch_stream(seed, "others"))
    assert float(game.potential(points).mean() - game.potential(others).min()) <= bound + 1e-12


def test_drawn_play_is_judged_by_one_strategy_that_is_fixed_before_the_draw() -> None:
    game = pigou()
    play = se.Empirical.uniform([torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)])
    # Mean cost 1; the second link costs 0 or 1 by turns, so 1/2 in the mean.
    assert se.wardrop_excess(game, play).value == 0.5


def test_every_report_of_a_congestion_game_has_it_and_other_reports_have_not() -> None:
    game = braess_of_six()
    report = se.evaluate(game, game.profile([0.5, 0.5, 0.0]))
    assert report["wardrop_excess"].value == pytest.approx(78)
    assert report.row()["wardrop_excess"] == pytest.approx(78) and report.row()["wardrop_excess_exact"] == 1.0
    pennies = se.game("matching_pennies")
    assert "wardrop_excess" not in se.evaluate(pennies, pennies.profile([0.5, 0.5], [1.0, 0.0])).gaps
    assert congestion_figures(pennies, pennies.profile([0.5, 0.5], [1.0, 0.0])) == {}


def test_other_games_are_refused_by_name() -> None:
    with pytest.raises(InvalidGameError, match="got a NormalFormGame, expected a CongestionGame.*nash_conv"):
        se.wardrop_excess(se.game("matching_pennies"), [])
