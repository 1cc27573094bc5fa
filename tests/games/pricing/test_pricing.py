"""The pricing game: grids, payoffs, the static game, states, and exact best responses."""

from __future__ import annotations

import itertools
import pickle

import pytest
import torch

from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds import markov
from strategic_envs.games.pricing import PricingGame, pricing
from strategic_envs.games.pricing.logit import LogitMarket
from strategic_envs.seeding import torch_stream

BASE = pricing()
GRID = """1.42772123 1.46646874 1.50521625 1.54396376 1.58271127 1.62145877 1.66020628 1.69895379
          1.73770130 1.77644881 1.81519631 1.85394382 1.89269133 1.93143884 1.97018634"""
DIAGONAL = """-.1692 -.0238 .1166 .2510 .3784 .4976 .6076 .7068 .7940 .8676 .9263 .9686 .9934 .9997 .9869"""


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]


def random_policies(game: PricingGame, seed: int) -> tuple[torch.Tensor, ...]:
    g = torch_stream(seed, "policies")
    return tuple(torch.rand(game.n_states, a, generator=g, dtype=torch.float64).pow(3) for a in game.n_actions)


def normal(policies: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(p / p.sum(-1, keepdim=True) for p in policies)


def test_baseline_grid_of_both_firms():
    assert BASE.grid.shape == (2, 15)
    for row in BASE.grid:
        assert row.tolist() == pytest.approx(numbers(GRID), abs=5e-9)


def test_grid_ends_lie_a_tenth_beyond_the_anchors_which_are_not_on_it():
    nash, monopoly = BASE.market.nash.prices[0], BASE.market.monopoly.prices[0]
    assert float(BASE.grid[0, 0] - nash) == pytest.approx(-0.1 * float(monopoly - nash), abs=1e-15)
    assert float(BASE.grid[0, -1] - monopoly) == pytest.approx(0.1 * float(monopoly - nash), abs=1e-15)
    for anchor in (nash, monopoly):
        assert float((BASE.grid[0] - anchor).abs().min()) > 1e-3


@pytest.mark.parametrize(
    ("actions", "profit"),
    [
        ((0, 0), 0.2035453348),
        ((7, 7), 0.3039013561),
        ((14, 14), 0.3359857557),
        ((0, 14), 0.3518747488),
        ((14, 0), 0.0911431495),
    ],
)
def test_payoffs_at_the_test_vectors(actions, profit):
    assert float(BASE.profits(torch.tensor(actions))[0]) == pytest.approx(profit, abs=5e-11)
    assert float(BASE.profits(torch.tensor(actions[::-1]))[1]) == pytest.approx(profit, abs=5e-11)


def test_payoff_table_sum_and_dtype():
    assert BASE.payoff_table.dtype == torch.float64
    assert float(BASE.payoff_table[:, 0].sum()) == pytest.approx(62.9788000729, abs=5e-10)


def test_static_best_replies_and_pure_equilibria_of_the_grid():
    table = BASE.payoff_table[:, 0].reshape(15, 15)
    assert table.argmax(0).tolist() == [1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6]
    assert BASE.pure_nash() == [(1, 1), (2, 2)]
    assert [tuple(int(p) for p in e.points) for e in BASE.known().equilibria] == BASE.pure_nash()


def test_pure_nash_agrees_with_a_slow_search_for_three_unequal_firms():
    game = pricing(n=3, cost=(1.0, 0.9, 0.8), m=6, xi=0.3)
    profit = {a: game.profits(torch.tensor(a)).tolist() for a in itertools.product(range(6), repeat=3)}

    def stable(a: tuple[int, ...]) -> bool:
        others = [(i, (*a[:i], b, *a[i + 1 :])) for i in range(3) for b in range(6)]
        return all(profit[a][i] >= profit[b][i] for i, b in others)

    assert game.pure_nash() == [a for a in profit if stable(a)] != []


def test_profit_gain_on_the_diagonal():
    both = torch.arange(15).unsqueeze(-1).expand(-1, 2)
    gains = BASE.profit_gain(BASE.profits(both))
    assert gains.tolist() == pytest.approx(numbers(DIAGONAL), abs=5.1e-5)


def test_uniform_prices_already_gain_497_thousandths():
    value = BASE.values(BASE.uniform_policy()) * (1 - BASE.discount)
    gain = BASE.profit_gain(value)
    assert gain.tolist() == pytest.approx([0.497] * 225, abs=5e-4)
    assert BASE.known().values["profit_gain_uniform"] == pytest.approx(float(gain[0]), abs=1e-12)


def test_known_holds_the_anchors():
    values = BASE.known().values
    assert values["nash_price_0"] == pytest.approx(1.472926660030623, abs=1e-14)
    assert values["monopoly_profit_1"] == pytest.approx(0.3374904595088809, abs=1e-14)


def test_permuting_firms_permutes_everything():
    order = [2, 0, 1]
    costs = (1.0, 0.8, 0.6)
    game = pricing(n=3, cost=costs, m=4)
    other = pricing(n=3, cost=tuple(costs[i] for i in order), m=4)
    assert torch.allclose(other.grid, game.grid[order], atol=1e-14)
    actions = torch.cartesian_prod(*[torch.arange(4)] * 3)
    assert torch.allclose(other.profits(actions[:, order]), game.profits(actions)[:, order], atol=1e-14)
    states = torch.arange(64)
    swapped = (game.remembered(states)[:, order, 0] * torch.tensor([16, 4, 1])).sum(-1)
    uniform = [game.values(game.uniform_policy()), other.values(other.uniform_policy())]
    assert torch.allclose(uniform[1][swapped], uniform[0][:, order], atol=1e-12)


def test_state_is_the_last_prices_firm_by_firm_latest_first():
    game = pricing(memory=2, m=3)
    assert game.n_states == 81
    state = torch.tensor(0)
    for actions in ((1, 2), (0, 1), (2, 2)):
        state = game.outcomes(state, torch.tensor(actions)).next_state.squeeze(-1)
    assert game.remembered(state).tolist() == [[2, 0], [2, 1]]
    assert int(state) == 2 * 27 + 0 * 9 + 2 * 3 + 1
    one = BASE.outcomes(torch.tensor(7), torch.tensor([3, 9])).next_state
    assert int(one) == 3 * 15 + 9


def test_observation_is_one_hot_own_prices_first():
    seen = BASE.observe(torch.tensor([3 * 15 + 9]), 1)
    assert seen.dtype == torch.float32 and seen.shape == (1, 30)
    assert seen.nonzero()[:, 1].tolist() == [9, 15 + 3]
    longer = pricing(memory=2, m=3)
    assert longer.observe(torch.arange(81), 0).shape == (81, 12)
    assert len(longer.observe(torch.arange(81), 1).unique(dim=0)) == 81


def test_without_memory_there_is_one_state():
    game = pricing(memory=0, delta=0.0)
    assert game.n_states == 1
    assert int(game.outcomes(torch.tensor(0), torch.tensor([4, 5])).next_state) == 0
    assert game.observe(torch.tensor([0]), 0).tolist() == [[1.0]]
    best = game.best_response(game.constant_policies([14, 14]), 0)[0]
    assert int(best.argmax()) == 6


def test_initial_state_is_uniform_over_price_pairs():
    states, probability = BASE.initial()
    assert states.tolist() == list(range(225)) and probability.unique().tolist() == [1 / 225]
    drawn = BASE.sample_initial(100_000, torch_stream(0, "initial"))
    counts = torch.bincount(drawn, minlength=225).double()
    assert float(((counts - 100_000 / 225) ** 2 / (100_000 / 225)).sum()) < 300  # chi-square, 224 degrees, 99.95%


def test_discount_zero_makes_repeated_static_equilibria_the_only_test():
    game = pricing(delta=0.0)
    for a in game.pure_nash():
        policies = game.constant_policies(a)
        value = game.values(policies)
        assert all(torch.allclose(game.best_response(policies, i)[1], value[:, i], atol=1e-14) for i in (0, 1))


def test_static_equilibria_repeated_are_equilibria_of_the_repeated_game():
    for a in BASE.pure_nash():
        policies = BASE.constant_policies(a)
        value = BASE.values(policies)
        for i in (0, 1):
            assert torch.allclose(BASE.best_response(policies, i)[1], value[:, i], atol=1e-11)


def test_grim_trigger_on_the_grid_is_an_equilibrium_of_the_patient_only():
    """Price 13 while both did, else the static equilibrium (2, 2): stable at discount .95, not at .2."""
    for delta, stable in ((0.95, True), (0.2, False)):
        game = pricing(delta=delta)
        policies = tuple(p.clone() for p in game.constant_policies([2, 2]))
        together = 13 * 15 + 13
        for p in policies:
            p[together] = torch.nn.functional.one_hot(torch.tensor(13), 15).double()
        gain = game.best_response(policies, 0)[1][together] - game.values(policies)[together, 0]
        assert (float(gain) < 1e-10) == stable


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("options", [{"m": 4}, {"m": 3, "n": 3, "cost": (1.0, 0.9, 1.1)}, {"m": 2, "memory": 2}])
def test_best_response_agrees_with_slow_value_iteration(seed, options):
    game = pricing(delta=0.8, **options)
    policies = normal(random_policies(game, seed))
    n, joint = game.n_players, list(itertools.product(range(game.m), repeat=game.n_players))
    following = {
        (s, a): int(game.outcomes(torch.tensor(s), torch.tensor(a)).next_state)
        for s in range(game.n_states)
        for a in joint
    }
    profit = {a: game.market.profits(game.prices(torch.tensor(a))).tolist() for a in joint}
    for player in range(n):
        value = [0.0] * game.n_states
        for _ in range(150):  # 0.8**150 < 1e-14
            ahead = []
            for s in range(game.n_states):
                q = [0.0] * game.m
                for a in joint:
                    chance = 1.0
                    for j in range(n):
                        chance *= 1.0 if j == player else float(policies[j][s, a[j]])
                    q[a[player]] += chance * (profit[a][player] + game.discount * value[following[s, a]])
                ahead.append(max(q))
            value = ahead
        got = game.best_response(policies, player)
        assert got[1].tolist() == pytest.approx(value, abs=1e-11)
        replaced = tuple(got[0] if j == player else p for j, p in enumerate(policies))
        assert game.values(replaced)[:, player].tolist() == pytest.approx(value, abs=1e-11)


def test_sparse_values_are_the_dense_values(monkeypatch):
    policies = normal(random_policies(BASE, 5))
    dense = BASE.values(policies), BASE.best_response(policies, 1)
    monkeypatch.setattr(markov, "_DENSE_LIMIT", 10)
    sparse = BASE.values(policies), BASE.best_response(policies, 1)
    assert float((dense[0] - sparse[0]).abs().max()) < 1e-12
    assert torch.equal(dense[1][0], sparse[1][0])
    assert float((dense[1][1] - sparse[1][1]).abs().max()) < 1e-12


def test_two_periods_of_memory_are_solved_with_four_thousand_states():
    game = pricing(m=8, memory=2)
    assert game.n_states == 4096
    gain = game.profit_gain(game.values(game.uniform_policy()) * (1 - game.discount))
    assert float(gain.max() - gain.min()) < 1e-12  # uniform play forgets
    value = game.best_response(game.uniform_policy(), 0)[1] * (1 - game.discount)
    static = game.payoff_table[:, 0].reshape(8, 8).mean(1).max()
    assert torch.allclose(value, static.expand_as(value), atol=1e-12)


def test_game_survives_pickling():
    BASE.profits(torch.zeros(2, dtype=torch.int64))
    copy = pickle.loads(pickle.dumps(BASE))
    assert torch.equal(copy.payoff_table, BASE.payoff_table) and torch.equal(copy.grid, BASE.grid)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "got n=0 firms"),
        ({"cost": -0.1}, "expected costs >= 0"),
        ({"delta": 1.0}, "got delta=1.0, expected a discount factor 0 <= delta < 1"),
        ({"delta": -0.1}, "got delta=-0.1"),
        ({"delta": float("nan")}, "got delta=nan"),
        ({"m": 1}, "got m=1 prices, expected a whole number m >= 2"),
        ({"m": 2.5}, "got m=2.5"),
        ({"mu": -1.0}, "got mu=-1.0"),
        ({"xi": float("nan")}, "got xi=nan"),
        ({"memory": -1}, "got memory=-1"),
        ({"quality": (1.0, 2.0, 3.0)}, "got 3 entries in quality"),
        ({"bounds": (2.0, 1.0)}, "expected two prices"),
        ({"bounds": 3.0}, "got bounds=3.0, expected two prices"),
        ({"n": 1}, "pass bounds"),
        ({"n": 4, "memory": 10}, r"about 10\^47 states"),
    ],
)
def test_parameters_that_make_no_game_are_refused(options, message):
    with pytest.raises(InvalidGameError, match=message):
        pricing(**options)


def test_tables_that_would_not_fit_say_how_large_they_are():
    game = pricing(n=3, memory=2)
    with pytest.raises(InvalidGameError, match="11,390,625 states"):
        game.tables()
    with pytest.raises(InvalidGameError, match="11,390,625 initial states"):
        game.initial()
    state = game.sample_initial(4, torch_stream(0, "big"))
    assert bool((state < game.n_states).all())


def test_bounds_replace_the_grid_and_let_one_firm_play_alone():
    game = pricing(n=1, bounds=(1.0, 2.0), m=3)
    assert game.grid.tolist() == [[1.0, 1.5, 2.0]]


def test_wrong_actions_are_refused():
    with pytest.raises(IllegalActionError, match=r"player_1: got action 15, expected 0\.\.14"):
        BASE.check_actions(torch.tensor([[0, 15]]))
    with pytest.raises(InvalidStrategyError, match="expected 2 of 0..14"):
        BASE.constant_policies([1, 15])


def test_market_must_be_a_market():
    assert PricingGame(LogitMarket(), m=3).n_states == 9
