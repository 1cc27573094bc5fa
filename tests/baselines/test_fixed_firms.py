"""Fixed firms: what theory says of the equilibria, the cartel and its enforcers, on the grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from strategic_envs.baselines.pricing import (
    FIXED_FIRMS,
    cartel,
    fixed_firms,
    grim_threshold,
    static_nash_prices,
)
from strategic_envs.errors import InvalidGameError, UnknownNameError
from strategic_envs.evaluators.collusion.policies import policy_figures
from strategic_envs.evaluators.gaps import exploitability, nash_conv
from strategic_envs.games.pricing import PricingGame, pricing
from strategic_envs.games.tic_tac_toe import TicTacToe


def _path(game: PricingGame, name: str, periods: int) -> list[list[int]]:
    """The price indices that the firms charge from their first state on."""
    firms = fixed_firms(game, name)
    assert firms.strategy is not None and firms.start is not None
    tables, state, charged = game.frozen(), np.array(firms.start), []
    for _ in range(periods):
        charged.append(firms.strategy[:, state].tolist())
        state = tables.follow(state, np.array(charged[-1]))
    return charged


@pytest.mark.parametrize("delta", [0.0, 0.5, 0.95])
def test_static_nash_is_an_equilibrium_at_any_discount_factor(delta: float) -> None:
    game = pricing(delta=delta)
    assert static_nash_prices(game) == (1, 1)
    assert exploitability(game, fixed_firms(game, "static_nash").play).value == pytest.approx(0.0, abs=1e-15)


def test_grim_trigger_is_an_equilibrium_from_the_threshold_on_and_not_below() -> None:
    threshold = grim_threshold(pricing())
    assert threshold == pytest.approx(0.3931, abs=0.005)  # of continuous prices; the grid moves it a little
    for delta, holds in ((threshold - 1e-3, False), (threshold + 1e-3, True), (0.95, True)):
        game = pricing(delta=delta)
        gain = nash_conv(game, fixed_firms(game, "grim_trigger").play).value
        assert (gain < 1e-14) == holds


def test_the_threshold_is_where_following_and_deviating_pay_the_same() -> None:
    game = pricing(delta=grim_threshold(pricing()))
    firms = fixed_firms(game, "grim_trigger")
    figures = policy_figures(game, firms.play, firms.start)
    assert figures.deviation_gain == pytest.approx(0.0, abs=1e-12)
    assert figures.best_reply_loss == pytest.approx(0.0, abs=1e-12)


def test_a_cartel_without_a_threat_invites_the_cut() -> None:
    game = pricing()
    firms = fixed_firms(game, "monopoly")
    pay = game.payoff_table.reshape(15, 15, 2)
    best = float(pay[:, 13, 0].max())
    figures = policy_figures(game, firms.play, firms.start)
    assert cartel(game) == (13, 13)
    assert exploitability(game, firms.play).value == pytest.approx(best - float(pay[13, 13, 0]), abs=1e-12)
    assert figures.best_reply_loss == pytest.approx(1 - float(pay[13, 13, 0]) / best, abs=1e-12)
    assert (figures.rival_response, figures.deviation_unprofitable) == (0.0, 0.0)
    assert figures.profit_gain == pytest.approx(0.9997, abs=5e-5)


def test_after_a_cut_tit_for_tat_goes_back_and_forth() -> None:
    game = pricing()
    firms = fixed_firms(game, "tit_for_tat")
    pay, d = game.payoff_table.reshape(15, 15, 2)[..., 0], game.discount
    low, high = 6, 13  # 6 is the static best reply to 13
    cut = float(pay[low, high] + d * pay[high, low]) / (1 - d**2)  # for ever in turn
    kept = float(pay[high, high]) / (1 - d)
    figures = policy_figures(game, firms.play, firms.start)
    assert figures.deviation_gain == pytest.approx(cut / kept - 1, abs=1e-12)
    assert figures.deviation_unprofitable == 1.0
    grid = game.grid[0].tolist()
    assert figures.rival_response == pytest.approx(grid[low] / grid[high] - 1, abs=1e-12)
    expected = [[grid[a], grid[b]] for a, b in ((high, high), (low, high), (high, low), (low, high), (high, low))]
    assert figures.path[:5] == pytest.approx(np.array(expected))


def test_myopic_replies_walk_down_to_a_static_equilibrium() -> None:
    assert _path(pricing(), "best_reply", 6) == [[6, 6], [3, 3], [2, 2], [2, 2], [2, 2], [2, 2]]


@pytest.mark.parametrize("memory", [1, 2])
def test_on_their_paths_enforcers_keep_the_cartel(memory: int) -> None:
    game = pricing(m=5, memory=memory)
    assert _path(game, "grim_trigger", 3) == _path(game, "tit_for_tat", 3) == [list(cartel(game))] * 3


def test_grim_trigger_of_two_periods_never_forgives() -> None:
    game = pricing(m=5, memory=2)
    firms = fixed_firms(game, "grim_trigger")
    assert firms.strategy is not None
    low = static_nash_prices(game)
    remembered = game.remembered(torch.arange(game.n_states)).numpy()
    kept = (remembered == np.array(cartel(game))[:, None]).all(axis=(1, 2))
    assert kept.sum() == 1
    assert (firms.strategy[:, ~kept] == np.array(low)[:, None]).all()
    assert nash_conv(game, firms.play).value == pytest.approx(0.0, abs=1e-14)


def test_three_firms_match_the_lowest_rival() -> None:
    game = pricing(n=3, m=4)
    strategy = fixed_firms(game, "tit_for_tat").strategy
    assert strategy is not None
    assert strategy[:, 3 * 16 + 1 * 4 + 2].tolist() == [1, 2, 1]  # after prices 3, 1, 2
    replies = fixed_firms(game, "best_reply").strategy
    assert replies is not None
    pay = game.payoff_table.reshape(4, 4, 4, 3)
    assert replies[1, 3 * 16 + 1 * 4 + 2] == int(pay[3, :, 2, 1].argmax())


def test_unequal_firms_have_cartels_and_equilibria_of_their_own() -> None:
    game = pricing(cost=(1.0, 0.5))
    joint = game.payoff_table.sum(-1).reshape(15, 15)
    a, b = cartel(game)
    assert float(joint[a, b]) == float(joint.max())
    assert exploitability(game, fixed_firms(game, "static_nash").play).value == pytest.approx(0.0, abs=1e-14)


def test_an_inefficient_firm_may_have_no_reason_to_stay_in_the_cartel() -> None:
    game = pricing(cost=(1.0, 0.5), delta=0.99)
    assert grim_threshold(game) > 1
    assert nash_conv(game, fixed_firms(game, "grim_trigger").play).value > 1e-6


@pytest.mark.parametrize("name", ["grim_trigger", "tit_for_tat", "best_reply"])
def test_who_answers_past_prices_needs_a_memory(name: str) -> None:
    with pytest.raises(InvalidGameError, match=f"{name} answers past prices, but got memory=0: expected memory >= 1"):
        fixed_firms(pricing(memory=0), name)


@pytest.mark.parametrize("name", ["static_nash", "monopoly", "uniform_random"])
def test_who_does_not_plays_without_one(name: str) -> None:
    game = pricing(memory=0)
    assert [table.shape for table in fixed_firms(game, name).play.policies] == [(1, 15), (1, 15)]


def test_unknown_rules_and_other_games_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'grim_trigger'"):
        fixed_firms(pricing(), "grim_triger")
    with pytest.raises(InvalidGameError, match="got a TicTacToe, expected a PricingGame"):
        fixed_firms(TicTacToe(), "static_nash")


def test_one_firm_has_no_rival_to_match() -> None:
    with pytest.raises(InvalidGameError, match="expected at least two"):
        fixed_firms(pricing(n=1, bounds=(1.2, 2.0)), "tit_for_tat")


def test_tables_and_strategies_are_the_same_play() -> None:
    game = pricing(m=4)
    for name in FIXED_FIRMS:
        firms = fixed_firms(game, name)
        assert [p.shape for p in game.validate_policies(firms.play.policies)] == [(16, 4), (16, 4)]
        if firms.strategy is not None:
            assert [t.argmax(-1).tolist() for t in firms.play.policies] == firms.strategy.tolist()
