"""Best responses of populations: a member's gain at present costs, exact, for single profiles and for drawn play."""

from __future__ import annotations

import pytest
import torch

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.evaluators.best_response import best_response
from strategic_envs.evaluators.gaps import cce_gap, exploitability, gains, nash_conv
from strategic_envs.evaluators.local import local_cce_gap
from strategic_envs.evaluators.report import evaluate
from strategic_envs.games.kinds.congestion import CongestionGame, PowerCosts
from strategic_envs.play import Empirical, Independent

COSTS = PowerCosts([[1.0, 0.5], [0.0, 2.0], [0.5, 1.0], [0.2, 0.3]], [0.0, 2.0])
GAME = CongestionGame([1.0, 2.0], [[[0, 1], [2]], [[1], [2, 3], [0]]], costs=COSTS, name="two populations")


def drawn(seed: int, count: int) -> Empirical:
    return Empirical.uniform(list(GAME.sample((count,), generator=torch.Generator().manual_seed(seed))))


def test_exploitability_is_the_mean_over_populations_of_mean_cost_less_cheapest_cost() -> None:
    x = GAME.sample(generator=torch.Generator().manual_seed(0))
    paths = GAME.path_costs(x)
    parts = [float((t * c).sum() - c.min()) for t, c in zip(x, paths, strict=True)]
    gap = exploitability(GAME, x)
    assert gap.exact and gap.value == pytest.approx(sum(parts) / 2)
    assert gap.per_player == pytest.approx(parts)
    assert local_cce_gap(GAME, x).per_player == pytest.approx(parts)  # the members' gain is linear in the shares
    assert evaluate(GAME, x)["wardrop_excess"].value == pytest.approx(parts[0] + 2 * parts[1])
    for k in range(2):
        reply = best_response(GAME, k, x)
        assert reply.exact and reply.attained and reply.value == -float(paths[k].min())
        assert int(reply.strategy.argmax()) == int(paths[k].argmin()) and float(reply.strategy.sum()) == 1.0


def test_no_member_gains_at_a_wardrop_equilibrium() -> None:
    x = GAME.profile_of(GAME.wardrop())
    assert nash_conv(GAME, x).value == pytest.approx(0.0, abs=1e-10)
    even = [s.centre() for s in GAME.sets]
    assert nash_conv(GAME, even).value > 0.01


def test_against_drawn_play_costs_are_expected_and_the_strategy_is_fixed_before_the_draw() -> None:
    play = drawn(1, 7)
    rows = [play.points.map(lambda t, i=i: t[i]) for i in range(7)]
    for k in range(2):
        paths = torch.stack([GAME.path_costs(x)[k] for x in rows]).mean(0)
        paid = sum(float((x[k] * GAME.path_costs(x)[k]).sum()) for x in rows) / 7
        assert best_response(GAME, k, play).value == pytest.approx(-float(paths.min()))
        assert gains(GAME, play).gain[k] == pytest.approx(paid - float(paths.min()))
    assert cce_gap(GAME, play).value == pytest.approx(max(gains(GAME, play).gain))


def test_members_meet_their_own_population_so_joint_and_independent_play_differ() -> None:
    play = drawn(2, 5)
    alone = play.marginals()
    report = evaluate(GAME, play)
    assert report["nash_conv"].value == pytest.approx(nash_conv(GAME, alone).value)
    assert report["cce_gap"].value == pytest.approx(cce_gap(GAME, play).value)
    assert gains(GAME, alone).gain != pytest.approx(gains(GAME, play).gain)


def test_products_too_large_to_write_out_are_drawn_from_and_say_so() -> None:
    many = CongestionGame([0.1] * 24, [[[0], [1]]] * 24, costs=PowerCosts.affine([1.0, 2.0], [0.0, 0.0]), name="many")
    play = drawn_of(many, 3).marginals()  # 3^24 profiles
    gap = nash_conv(many, play)
    assert not gap.exact and gap.value > 0
    assert isinstance(play, Independent)


def drawn_of(game: CongestionGame, count: int) -> Empirical:
    return Empirical.uniform(list(game.sample((count,), generator=torch.Generator().manual_seed(0))))


def test_play_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InvalidStrategyError, match="got player 2, expected 0..1"):
        best_response(GAME, 2, [s.centre() for s in GAME.sets])
    with pytest.raises(InvalidStrategyError, match="two populations"):
        nash_conv(GAME, [torch.tensor([0.5, 0.6]).double(), torch.tensor([1.0, 0.0, 0.0]).double()])
