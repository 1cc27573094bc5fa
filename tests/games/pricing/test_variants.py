"""Variants of the pricing game: their grids, tables and rules, against slow definitions of their own."""

from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pytest
import torch

from strategic_envs.games.pricing import LogitMarket, PricingGame, pricing
from strategic_envs.games.pricing.states import MarketStates
from strategic_envs.seeding import torch_stream
from strategic_envs.testing import check_game

VARIANTS = {
    "three firms": {"n": 3, "m": 4, "cost": (1.0, 0.9, 0.8)},
    "quality": {"m": 5, "quality": (2.0, 2.5)},
    "memory 0": {"m": 5, "memory": 0},
    "memory 2": {"m": 3, "memory": 2},
    "linear": {"m": 5, "demand": "linear", "g": 0.9},
    "substitutes": {"m": 5, "mu": 0.0},
    "random demand": {"m": 5, "shock": 0.2},
    "two shocks": {"m": 4, "shock": (-0.1, 0.3), "memory": 0},
    "entry": {"n": 3, "m": 3, "rho": 0.2},
    "entry, memory 2": {"m": 2, "rho": 0.3, "memory": 2},
    "entry, substitutes": {"n": 2, "m": 4, "mu": 0.0, "rho": 0.5},
    "rounded": {"m": 5, "anchors": "rounded"},
}


@pytest.fixture(params=VARIANTS)
def game(request: pytest.FixtureRequest) -> PricingGame:
    return pricing(**VARIANTS[request.param], delta=0.9)


# --- grids -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "ends"),
    [
        ({"xi": 0.5}, (1.472926660030623 - 0.5 * 0.452054258987139, 1.924980919017762 + 0.5 * 0.452054258987139)),
        ({"bounds": (0.99, None)}, (0.99, 1.970186344916476)),
        ({"bounds": [None, 2.5]}, (1.427721234131909, 2.5)),
        ({"bounds": (1.0, 2.0)}, (1.0, 2.0)),
        ({"mu": 0.0}, (0.9, 2.1)),
        ({"demand": "linear", "g": 0.5}, (1 / 3 - 0.1 / 6, 0.5 + 0.1 / 6)),
        ({"demand": "linear", "g": 0.99}, (0.0, 0.5 + 0.1 * (0.5 - 0.01 / 1.01))),
        ({"m": 100}, (1.427721234131909, 1.970186344916476)),
    ],
)
def test_ends_of_the_grid(options, ends):
    grid = pricing(**options).frozen().grid
    assert grid[0, [0, -1]].tolist() == pytest.approx(ends, abs=1e-12)
    assert np.ptp(np.diff(grid)) < 1e-14


def test_unequal_firms_have_grids_of_their_own():
    game = pricing(cost=(1.0, 0.5))
    for i in (0, 1):
        nash, monopoly = game.market.nash.prices[i], game.market.monopoly.prices[i]
        assert float(game.grid[i, 0]) == pytest.approx(float(nash - 0.1 * (monopoly - nash)), abs=1e-14)
    assert float(game.grid[0, 0]) != float(game.grid[1, 0])


def test_with_random_demand_the_grid_reaches_from_the_lowest_nash_to_the_highest_monopoly_price():
    game = pricing(shock=0.15)
    states = [LogitMarket(outside=h) for h in (-0.15, 0.0, 0.15)]
    low = min(float(s.nash.prices[0]) for s in states)
    high = max(float(s.monopoly.prices[0]) for s in states)
    ends = (low - 0.1 * (high - low), high + 0.1 * (high - low))
    assert game.grid[0, [0, -1]].tolist() == pytest.approx(ends, abs=1e-14)


def test_rounded_anchors_and_the_grid_that_is_summed_up():
    tables = pricing(anchors="rounded").frozen()
    assert tables.nash_prices.tolist() == [[1.47293] * 2] and tables.monopoly_prices.tolist() == [[1.92498] * 2]
    low, high = 1.47293 - 0.1 * (1.92498 - 1.47293), 1.92498 + 0.1 * (1.92498 - 1.47293)
    row = [low]
    for _ in range(13):
        row.append(row[-1] + (high - low) / 14)
    assert tables.grid[1].tolist() == [*row, high]  # to the last bit
    assert not tables.exact and pricing().frozen().exact
    assert tables.nash_profits[0] == pytest.approx(
        float(LogitMarket().profits(torch.tensor([1.47293] * 2).double())[0])
    )


# --- tables ----------------------------------------------------------------------------------------------------------


def test_first_values_of_the_baseline():
    printed = """5.78976050 6.00810841 6.16208425 6.25163665 6.27800490 6.24373737 6.15264191 6.00966833 5.82072863
                 5.59246669 5.33199341 5.04660681 4.74351758 4.42959923 4.11117874"""
    q = pricing().frozen().initial_q
    for row in q:
        assert row.tolist() == pytest.approx([float(w) for w in printed.split()], abs=5.1e-9)
    assert q.argmax(1).tolist() == [4, 4]


def test_first_values_average_over_what_the_others_may_leave():
    tables = pricing(n=3, m=3, rho=0.001).frozen()
    profit = tables.profit.reshape(2, 3, 3, 3, 3)
    inside = [
        [profit[0, a, b, c, 0] for b in range(3) for c in range(3)]  # the outsider present at each of its prices
        + [profit[1, a, b, 0, 0] for b in range(3)]  # or absent
        for a in range(3)
    ]
    assert tables.initial_q[0].tolist() == pytest.approx([np.mean(row) / 0.05 for row in inside], abs=1e-12)
    outsider = profit[0, :, :, :, 2].mean((0, 1)) / 0.05
    assert tables.initial_q[2].tolist() == pytest.approx(outsider.tolist(), abs=1e-12)


def test_tables_hold_the_markets_of_all_states(game):
    tables = game.frozen()
    joint = list(itertools.product(range(tables.m), repeat=tables.n))
    assert tables.profit.shape == (len(tables.chain), len(joint), tables.n)
    for d, market in enumerate(game.states.markets):
        here = tables.present[d]
        for j, actions in enumerate(joint):
            prices = torch.tensor([tables.grid[i, a] for i, a in enumerate(actions)])[torch.from_numpy(here)]
            assert tables.profit[d, j, here].tolist() == pytest.approx(market.profits(prices).tolist(), abs=1e-15)
            assert (tables.profit[d, j, ~here] == 0).all()
        assert tables.nash_prices[d, here].tolist() == pytest.approx(market.nash.prices.tolist(), abs=1e-5)
        assert np.isnan(tables.nash_prices[d, ~here]).all()
    assert tables.share @ tables.chain == pytest.approx(tables.share, abs=1e-14)
    assert tables.profit_gain(tables.nash_profits) == pytest.approx(0.0, abs=1e-12)
    assert tables.profit_gain(tables.monopoly_profits) == pytest.approx(1.0, abs=1e-12)


def test_profit_gain_of_unequal_firms_is_a_ratio_of_means():
    """The less efficient firm earns less at joint monopoly prices than at Nash, so its own ratio means nothing."""
    game = pricing(cost=(1.0, 0.25))
    tables = game.frozen()
    assert tables.monopoly_profits[0] < tables.nash_profits[0]
    profits = tables.nash_profits + 0.7 * (tables.monopoly_profits - tables.nash_profits).mean() * np.array([1.5, 0.5])
    assert float(tables.profit_gain(profits)) == pytest.approx(0.7)
    assert float(game.profit_gain(torch.from_numpy(profits))) == pytest.approx(0.7)


def test_states_of_the_tables_are_those_of_the_game(game):
    tables = game.frozen()
    assert (tables.n_states, tables.base, tables.n, tables.m) == (game.n_states, game.base, game.n_players, game.m)
    stream = torch_stream(0, "codes")
    state = torch.randint(game.n_states, (50,), generator=stream)
    left = torch.randint(game.base, (50, game.n_players), generator=stream)
    followed = tables.follow(state.numpy(), left.numpy())
    assert followed.tolist() == game._remember(state, left).tolist()
    if game.memory:
        newest = game.remembered(torch.from_numpy(followed))[..., 0]
        assert newest.tolist() == left.tolist()


def test_outcomes_are_expectations_over_what_the_state_does_not_tell(game):
    """From the frozen tables alone: the chances of next states, and expected profits."""
    tables, joint = game.frozen(), list(itertools.product(range(game.m), repeat=game.n_players))
    states, _ = game.initial()
    for s in states[:: max(1, len(states) // 7)].tolist():
        was_absent = not tables.present.all() and int(game.remembered(torch.tensor(s))[-1, 0]) == tables.m
        chances = tables.chain[int(was_absent)]
        for j, actions in enumerate(joint):
            expected: dict[int, float] = {}
            for d, chance in enumerate(chances):
                digits = [a if tables.present[d, i] else tables.m for i, a in enumerate(actions)]
                following = int(tables.follow(np.array(s), np.array(digits)))
                expected[following] = expected.get(following, 0.0) + float(chance)
            outcome = game.outcomes(torch.tensor(s), torch.tensor(actions))
            got: dict[int, float] = {}
            for following, chance in zip(outcome.next_state.tolist(), outcome.probability.tolist(), strict=True):
                got[following] = got.get(following, 0.0) + chance
            assert got == pytest.approx(expected, abs=1e-15)
            assert outcome.payoff.tolist() == pytest.approx((chances @ tables.profit[:, j]).tolist(), abs=1e-15)


def test_steps_draw_what_outcomes_expect(game):
    state = game.sample_initial(1, torch_stream(3, "start")).expand(20_000)
    actions = torch.tensor([game.m - 1] * game.n_players).expand(20_000, -1)
    following, paid = game.step(state, actions, torch_stream(4, "steps"))
    outcome = game.outcomes(state[0], actions[0])
    slack = 4 * float(paid.std()) / math.sqrt(2e4) + 1e-12
    assert paid.mean(0).tolist() == pytest.approx(outcome.payoff.tolist(), abs=slack)
    for s, chance in zip(outcome.next_state.tolist(), outcome.probability.tolist(), strict=True):
        assert float((following == s).double().mean()) == pytest.approx(chance, abs=0.015)
    possible = {round(float(p), 12) for p in game.frozen().profit[:, -1, 0]}
    assert {round(p, 12) for p in paid[:, 0].unique().tolist()} <= possible


def test_values_and_best_responses_solve_the_decision_problem_of_the_tables(game):
    """Value iteration on the frozen tables, with the market state of the last period told by the state."""
    tables, m, n = game.frozen(), game.m, game.n_players
    policies = tuple(
        torch.rand(game.n_states, m, generator=torch_stream(i, "policies"), dtype=torch.float64) for i in range(n)
    )
    policies = tuple(p / p.sum(-1, keepdim=True) for p in policies)
    joint = np.array(list(itertools.product(range(m), repeat=n)))
    states = np.arange(game.n_states)
    told = np.zeros(len(states), dtype=int)
    if not tables.present.all():
        told = (game.remembered(torch.from_numpy(states))[:, -1, 0].numpy() == m).astype(int)
    chance, profit = tables.chain[told], tables.profit
    digits = np.where(tables.present[:, None], joint, m)  # (D, J, n)
    shape = (len(states), *digits.shape)
    following = tables.follow(np.broadcast_to(states[:, None, None], shape[:-1]), np.broadcast_to(digits, shape))
    weight = np.ones((len(states), len(joint)))
    for i, p in enumerate(policies):
        weight *= p.numpy()[:, joint[:, i]]
    paid = np.einsum("sj,sd,djn->sn", weight, chance, profit)
    value = np.zeros((len(states), n))
    for _ in range(250):  # 0.9**250 < 1e-11
        value = paid + 0.9 * np.einsum("sj,sd,sdjn->sn", weight, chance, value[following])
    assert np.abs(game.values(policies).numpy() - value).max() < 1e-9
    i = n - 1
    others = weight / policies[i].numpy()[:, joint[:, i]]
    best = np.zeros(len(states))
    for _ in range(250):
        q = np.einsum("sj,sd,sdj->sj", others, chance, profit[None, :, :, i] + 0.9 * best[following])
        best = np.stack([q[:, joint[:, i] == a].sum(1) for a in range(m)], 1).max(1)
    assert np.abs(game.best_response(policies, i)[1].numpy() - best).max() < 1e-9


def test_every_variant_keeps_the_contract_of_a_game(game):
    check_game(game)
    assert repr(game).startswith("PricingGame(")
    copy = pickle.loads(pickle.dumps(game))
    assert torch.equal(copy.profit_tables, game.profit_tables)
    known = game.known()
    assert known.values["nash_profit_0"] == pytest.approx(float(game.frozen().nash_profits[0]))


# --- demand shocks, entry and exit -----------------------------------------------------------------------------------


def test_random_demand_has_three_equally_likely_states_and_the_same_states_of_play():
    tables = pricing(shock=0.25).frozen()
    assert tables.n_states == 225 and tables.chain.tolist() == [[pytest.approx(1 / 3)] * 3] * 3
    assert tables.nash_profits[0] == pytest.approx(
        np.mean([float(LogitMarket(outside=h).nash.profits[0]) for h in (-0.25, 0.0, 0.25)]), abs=1e-14
    )
    same = pricing(shock=0.0).frozen()
    assert np.allclose(same.mean_profit, pricing().frozen().mean_profit, atol=1e-15)


@pytest.mark.parametrize(
    ("shock", "nash", "monopoly"),
    [
        (0.05, (1.47705, 1.47293, 1.46823), (1.96173, 1.92498, 1.88877)),
        (0.15, (1.48373, 1.47293, 1.45701), (2.03669, 1.92498, 1.81808)),
        (0.25, (1.48865, 1.47293, 1.44331), (2.11343, 1.92498, 1.75)),
    ],
)
def test_anchors_of_the_states_of_random_demand(shock, nash, monopoly):
    """Printed with five decimals; the last one of a price may be off by one there."""
    tables = pricing(shock=shock).frozen()
    assert tables.nash_prices[:, 0].tolist() == pytest.approx(nash, abs=1.01e-5)
    assert tables.monopoly_prices[:, 1].tolist() == pytest.approx(monopoly, abs=1.01e-5)


def test_entry_and_exit_of_the_third_of_three_firms():
    game = pricing(n=3, rho=1e-3)
    assert (game.base, game.n_states) == (16, 4096)
    two, three = LogitMarket(n=2), LogitMarket(n=3)
    states, probability = game.initial()
    assert len(states) == 15 * 15 * 16 and float(probability.sum()) == pytest.approx(1.0)
    left = game.remembered(states)[..., 0]
    assert float(probability[left[:, 2] == 15].sum()) == pytest.approx(0.5)
    assert int(left[:, :2].max()) == 14
    assert game.grid[0, [0, -1]].tolist() == pytest.approx(pricing(n=3).grid[0, [0, -1]].tolist(), abs=1e-15)
    expected = (float(two.nash.profits[0]) + float(three.nash.profits[0])) / 2
    assert game.mean_anchor("nash")[0] == pytest.approx(expected, abs=1e-12)
    drawn = game.remembered(game.sample_initial(10_000, torch_stream(0, "entry")))[..., 0]
    assert float((drawn[:, 2] == 15).double().mean()) == pytest.approx(0.5, abs=0.02)
    assert int(drawn[:, :2].max()) == 14
    absent, present = torch.tensor(15), torch.tensor(0)
    assert game.market_chances(torch.stack([absent, present])).tolist() == [[0.001, 0.999], [0.999, 0.001]]


def test_presence_is_seen_a_period_late():
    game = pricing(n=2, m=3, rho=0.25)
    away = game.outcomes(torch.tensor(0), torch.tensor([1, 2])).next_state[1]  # the outsider leaves
    assert game.remembered(away).tolist() == [[1], [3]]
    seen = game.observe(away, 1)
    assert seen.nonzero().flatten().tolist() == [3, 4 + 1]
    _, profit = game.period(torch.tensor(0), torch.tensor([1, 2]), torch.tensor(1))
    assert profit.tolist() == [pytest.approx(float(LogitMarket(n=1).profits(game.grid[0, 1:2])[0])), 0.0]


def test_market_states_of_a_game_that_has_one():
    states = pricing().states
    assert isinstance(states, MarketStates) and not states.comes_and_goes and states.n == 2
    assert states.share.tolist() == [1.0]
