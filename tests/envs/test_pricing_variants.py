"""The pricing environment's variants: PettingZoo's suites, realised demand, continuous prices and their units."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from strategic_envs.envs import duopoly_pricing_v0
from strategic_envs.errors import IllegalActionError, InvalidGameError
from strategic_envs.games.pricing import LogitMarket, pricing
from strategic_envs.registry import make
from strategic_envs.testing import check_env

with warnings.catch_warnings():  # importing PettingZoo's tests imports its deprecated way to make environments
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test

VARIANTS: dict[str, dict[str, Any]] = {
    "asymmetric": {"n": 3, "m": 4, "cost": (1.0, 0.9, 0.8)},
    "substitutes": {"mu": 0.0},
    "linear": {"demand": "linear", "g": 0.9},
    "random demand": {"shock": 0.15, "m": 6},
    "entry": {"n": 3, "m": 4, "rho": 0.3},
    "no memory": {"memory": 0},
    "long memory": {"memory": 3, "m": 6},
    "wide grid": {"bounds": (0.99, None), "m": 8},
    "continuous": {"actions": "continuous"},
    "continuous, money": {"actions": "continuous", "scale": 3.2, "customers": 100.0, "memory": 5},
    "continuous, asymmetric": {"actions": "continuous", "n": 3, "cost": (1.0, 0.5, 0.8), "memory": 2},
    "continuous, linear": {"actions": "continuous", "demand": "linear", "g": 0.3},
    "continuous, random demand": {"actions": "continuous", "shock": 0.2, "memory": 0},
}


def both(a: Any, b: Any) -> dict[str, Any]:
    return {"player_0": a, "player_1": b}


@pytest.mark.filterwarnings("ignore:Observation is a single number")  # the constant 1, without memory
@pytest.mark.parametrize("variant", VARIANTS)
def test_suites_pass(variant: str) -> None:
    options = VARIANTS[variant]
    api_test(duopoly_pricing_v0.env(**options), num_cycles=10)
    seed_test(lambda: duopoly_pricing_v0.env(**options), num_cycles=10)
    parallel_api_test(duopoly_pricing_v0.parallel_env(**options), num_cycles=10)
    parallel_seed_test(lambda: duopoly_pricing_v0.parallel_env(**options), num_cycles=10)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_contract_holds(variant: str) -> None:
    check_env(lambda: make("duopoly_pricing_v0", max_cycles=3, **VARIANTS[variant]))
    check_env(lambda: make("duopoly_pricing_v0", mode="aec", max_cycles=3, **VARIANTS[variant]))


def test_random_demand_pays_what_was_drawn() -> None:
    env = duopoly_pricing_v0.parallel_env(shock=0.2, max_cycles=300)
    env.reset(seed=0)
    tables, counts = pricing(shock=0.2).frozen(), np.zeros(3)
    for _ in range(300):
        _, rewards, _, _, infos = env.step(both(4, 9))
        d = infos["player_0"]["market_state"]
        assert list(rewards.values()) == tables.profit[d, 4 * 15 + 9].tolist()
        assert env.state_row == 4 * 15 + 9
        counts[d] += 1
    assert counts.min() > 70


def test_an_absent_firm_earns_nothing_and_has_no_price() -> None:
    env = duopoly_pricing_v0.parallel_env(n=2, m=5, rho=0.3, max_cycles=200)
    env.reset(seed=0)
    game, present = env.game, []
    for _ in range(200):
        _, rewards, _, _, infos = env.step(both(2, 3))
        here = infos["player_0"]["market_state"] == 0
        present.append(here)
        assert env.state_row == 2 * 6 + (3 if here else 5)
        assert (infos["player_1"]["price"] is None) == (not here)
        alone = float(LogitMarket(n=1).profits(game.grid[0, 2:3])[0])
        expected = game.profits_by_state(torch.tensor([2, 3]))[0].tolist() if here else [alone, 0.0]
        assert list(rewards.values()) == pytest.approx(expected, abs=1e-15)
        assert ("player_1 was absent" in "\n".join(env._describe([2, 3], list(rewards.values())))) == (not here)
    switches = np.mean(np.diff(np.array(present, dtype=int)) != 0)
    assert 0.2 < switches < 0.4


def test_continuous_prices_earn_the_profits_of_the_market() -> None:
    env = duopoly_pricing_v0.parallel_env(actions="continuous", memory=2)
    env.reset(seed=0)
    seen = env.state()
    market = LogitMarket()
    nash, monopoly = market.nash.prices.tolist(), market.monopoly.prices.tolist()
    env.step(both(*nash))
    observations, rewards, _, _, infos = env.step(both(np.float64(monopoly[0]), np.array([1.5], dtype=np.float32)))
    assert list(rewards.values()) == market.profits(torch.tensor([monopoly[0], 1.5], dtype=torch.float64)).tolist()
    own_first = np.array([1.5, nash[1], monopoly[0], nash[0]], dtype=np.float32)
    assert observations["player_1"].tolist() == own_first.tolist()
    assert infos["player_1"]["price"] == 1.5 and infos["player_0"]["prices"] == [monopoly[0], 1.5]
    quantities = market.quantities(torch.tensor([monopoly[0], 1.5], dtype=torch.float64))
    assert infos["player_0"]["quantity"] == pytest.approx(float(quantities[0]))
    env.reset(seed=0)
    assert env.state().tolist() == seen.tolist()


def test_prices_of_the_grid_earn_on_and_off_it_the_same() -> None:
    grid = duopoly_pricing_v0.parallel_env()
    free = duopoly_pricing_v0.parallel_env(actions="continuous", bounds=(None, None))
    assert free.action_space("player_0").low[0] == pytest.approx(1.42772123)
    tables = free.tables()
    assert not tables.exact and tables.grid.tolist() == grid.game.frozen().grid.tolist()
    for env in (grid, free):
        env.reset(seed=0)
    for a, b in ((0, 14), (7, 7), (13, 2)):
        prices = grid.game.prices(torch.tensor([a, b])).tolist()
        paid = grid.step(both(a, b))[1], free.step(both(*prices))[1]
        assert list(paid[1].values()) == pytest.approx(list(paid[0].values()), abs=1e-15)


@pytest.mark.parametrize("scale", [1.0, 3.2, 10.0])
def test_units_of_money_and_customers(scale: float) -> None:
    """Prices, costs and profits are scaled by A, quantities are 100 times the share; the profit gain has no unit."""
    env = duopoly_pricing_v0.parallel_env(actions="continuous", scale=scale, customers=100.0)
    env.reset(seed=0)
    assert env.action_space("player_0").high[0] == pytest.approx(1.9701863449 * scale)
    monopoly = LogitMarket().monopoly
    _, rewards, _, _, infos = env.step(both(*(monopoly.prices * scale).tolist()))
    assert rewards["player_0"] == pytest.approx(33.74904595088809 * scale)
    assert infos["player_0"]["quantity"] == pytest.approx(36.4862077228)
    assert infos["player_0"]["profit_gain"] == pytest.approx(1.0)
    rendered = duopoly_pricing_v0.parallel_env(actions="continuous", render_mode="ansi")
    rendered.reset(seed=0)
    rendered.step(both(1.5, 1.5))
    text = rendered.render()
    assert text is not None and "player_0 charged 1.5000, sold 0.4683, earned 0.2342" in text


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (2.5, r"player_1: got price 2.5, expected a price in \[0, 1.97019\]"),
        (-0.01, "got price -0.01"),
        (float("nan"), "got price nan"),
        (float("inf"), "got price inf"),
        (True, "of dtype bool"),
        ("1.5", "got '1.5' of dtype <U3"),
        (None, "got None"),
        ([1.5, 1.6], r"shape \(2,\), expected a price in"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_prices_are_refused_and_change_nothing(action: Any, message: str) -> None:
    env = duopoly_pricing_v0.parallel_env(actions="continuous")
    env.reset(seed=0)
    before = env.state().tolist()
    with pytest.raises(IllegalActionError, match=message):
        env.step(both(1.5, action))
    assert env.state().tolist() == before


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"actions": "discrete"}, "got actions='discrete', expected 'grid' or 'continuous'"),
        ({"scale": 10.0}, "got scale=10.0, customers=1.0 and actions='grid', which do not go together"),
        ({"actions": "continuous", "scale": 0.0}, "got scale=0.0, expected a finite number > 0"),
        ({"actions": "continuous", "customers": float("inf")}, "got customers=inf"),
        ({"actions": "continuous", "rho": 0.1}, "got rho=0.1 and actions='continuous', which do not go together"),
        ({"actions": "continuous", "max_cycles": 0}, "got max_cycles=0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        duopoly_pricing_v0.parallel_env(**options)


def test_states_of_continuous_prices_are_no_rows() -> None:
    with pytest.raises(InvalidGameError, match="take actions='grid'"):
        _ = duopoly_pricing_v0.parallel_env(actions="continuous").state_row
