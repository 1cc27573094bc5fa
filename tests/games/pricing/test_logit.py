"""The logit market: anchors to ten digits, closed forms beside definitions, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import lambertw

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.pricing.logit import LogitMarket

ANCHORS = {  # n: Nash price, monopoly price, Nash profit, monopoly profit, in 30-digit arithmetic
    2: (1.472926660030623, 1.924980919017762, 0.2229266600306227, 0.3374904595088809),
    3: (1.370162729384164, 2.0, 0.1201627293841645, 0.25),
    4: (1.331460689883795, 2.054411180500137, 0.0814606898837955, 0.2011027951250343),
}
ASYMMETRIC = {  # cost of firm 1: Nash prices, monopoly prices, as printed
    0.875: (1.44135, 1.39588, 1.97674, 1.85174),
    0.75: (1.41420, 1.32539, 2.04051, 1.79051),
    0.625: (1.39133, 1.26145, 2.11503, 1.74003),
    0.5: (1.37233, 1.20377, 2.19840, 1.69840),
    0.25: (1.34369, 1.10519, 2.38411, 1.63411),
}
parameters = st.tuples(
    st.integers(1, 4),
    st.lists(st.floats(0, 2), min_size=4, max_size=4),
    st.lists(st.floats(0, 3), min_size=4, max_size=4),
    st.floats(-1, 1),
    st.floats(0.05, 2.0),
)


def market_of(n: int, costs: list[float], qualities: list[float], outside: float, mu: float) -> LogitMarket:
    return LogitMarket(n, costs[:n], qualities[:n], outside, mu)


@pytest.mark.parametrize("n", ANCHORS)
def test_anchors_to_ten_digits(n):
    market, (p_nash, p_monopoly, pi_nash, pi_monopoly) = LogitMarket(n), ANCHORS[n]
    for got, want in (
        (market.nash.prices, p_nash),
        (market.monopoly.prices, p_monopoly),
        (market.nash.profits, pi_nash),
        (market.monopoly.profits, pi_monopoly),
    ):
        assert got.shape == (n,)
        assert float((got - want).abs().max()) < 1e-14  # 1e-10 is asked for


def test_baseline_quantities():
    market = LogitMarket()
    assert float(market.nash.quantities[0]) == pytest.approx(0.471376809284, abs=1e-12)
    assert float(market.monopoly.quantities[0]) == pytest.approx(0.364862077228, abs=1e-12)


def test_one_firm_alone_is_a_monopolist():
    market = LogitMarket(1)
    assert float(market.monopoly.prices) == pytest.approx(1.801985007892331, abs=1e-14)
    assert float(market.monopoly.profits) == pytest.approx(0.5519850078923307, abs=1e-14)
    assert float(market.nash.prices) == pytest.approx(float(market.monopoly.prices), abs=1e-14)


@pytest.mark.parametrize("cost", ASYMMETRIC)
def test_anchors_of_unequal_costs(cost):
    market = LogitMarket(cost=(1.0, cost))
    got = [*market.nash.prices.tolist(), *market.monopoly.prices.tolist()]
    assert got == pytest.approx(ASYMMETRIC[cost], abs=1e-5)


def test_only_quality_minus_cost_matters_up_to_a_price_shift():
    one, two = LogitMarket(cost=(1.0, 0.5)), LogitMarket(quality=(2.0, 2.5))
    assert torch.allclose(two.nash.prices - one.nash.prices, torch.tensor([0.0, 0.5]).double(), atol=1e-13)
    assert torch.allclose(two.nash.profits, one.nash.profits, atol=1e-13)


def test_best_reply_to_the_monopoly_price_and_the_grim_trigger_threshold():
    market = LogitMarket()
    monopoly, nash = market.monopoly, market.nash
    price = market.best_price(monopoly.prices, 0)
    assert float(price) == pytest.approx(1.66169485, abs=5e-9)  # margin minus mu is the profit
    deviant = float(market.profits(torch.stack([price, monopoly.prices[1]]))[0])
    assert deviant == pytest.approx(0.41169485, abs=5e-9)
    threshold = (deviant - float(monopoly.profits[0])) / (deviant - float(nash.profits[0]))
    assert threshold == pytest.approx(0.3931, abs=5e-5)


@settings(max_examples=40)
@given(parameters)
def test_nash_prices_satisfy_the_first_order_condition(numbers):
    market = market_of(*numbers)
    nash = market.nash
    margin = nash.prices - torch.tensor(market.costs, dtype=torch.float64)
    assert torch.allclose(margin * (1 - nash.quantities), torch.full_like(margin, market.mu), rtol=1e-11)


@settings(max_examples=40)
@given(parameters)
def test_monopoly_margins_are_equal_and_satisfy_the_first_order_condition(numbers):
    market = market_of(*numbers)
    monopoly = market.monopoly
    margin = monopoly.prices - torch.tensor(market.costs, dtype=torch.float64)
    assert float(margin.max() - margin.min()) < 1e-14 * (1 + float(monopoly.prices.max()))
    condition = 1 - margin / market.mu + (margin * monopoly.quantities).sum() / market.mu
    assert float(condition.abs().max()) < 1e-10


@settings(max_examples=20)
@given(parameters)
def test_gradient_of_total_profit_vanishes_at_monopoly_prices(numbers):
    market = market_of(*numbers)
    prices = market.monopoly.prices.clone().requires_grad_()
    (slope,) = torch.autograd.grad(market.profits(prices).sum(), prices)
    assert float(slope.abs().max()) < 1e-10


def test_monopoly_margin_is_the_lambert_w_formula():
    market = LogitMarket(3, cost=(1.0, 0.5, 0.75))
    terms = sum(float(torch.tensor((2 - c) / 0.25 - 1).double().exp()) for c in market.costs)
    margin = 0.25 * (1 + float(lambertw(terms).real))
    assert (market.monopoly.prices - torch.tensor(market.costs).double()).tolist() == pytest.approx([margin] * 3)


def test_nearly_perfect_substitutes_do_not_overflow():
    market = LogitMarket(mu=0.001)
    assert market.nash.prices.tolist() == pytest.approx([1.002, 1.002], abs=1e-9)  # quantities are one half each
    assert bool(market.monopoly.prices.isfinite().all())


def test_best_price_is_batched_and_ignores_the_firms_own_entry():
    market = LogitMarket()
    rivals = torch.linspace(1, 2, 6, dtype=torch.float64).reshape(2, 3)
    prices = torch.stack([torch.full_like(rivals, 7.0), rivals], dim=-1)
    best = market.best_price(prices, 0)
    assert best.shape == (2, 3)
    grid = torch.linspace(1, 3, 20001, dtype=torch.float64)
    for p, r in zip(best.flatten(), rivals.flatten(), strict=True):
        profit = market.profits(torch.stack([grid, r.expand_as(grid)], dim=-1))[:, 0]
        assert float(grid[profit.argmax()]) == pytest.approx(float(p), abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, r"got n=0 firms, expected a whole number n >= 1"),
        ({"n": 2.0}, r"got n=2\.0 firms"),
        ({"n": True}, r"got n=True firms"),
        ({"mu": 0.0}, r"got mu=0\.0, expected a number mu > 0"),
        ({"mu": float("nan")}, r"got mu=nan"),
        ({"cost": -1.0}, r"expected costs >= 0"),
        ({"cost": (1.0, -0.5)}, r"got cost=\(1\.0, -0\.5\), expected costs >= 0"),
        ({"cost": (1.0, 1.0, 1.0)}, r"got 3 entries in cost=\(1\.0, 1\.0, 1\.0\) for n=2 firms"),
        ({"quality": (2.0,)}, r"got 1 entries in quality"),
        ({"quality": float("inf")}, r"expected finite numbers"),
        ({"cost": "1.0"}, r"expected finite numbers"),
        ({"outside": None}, r"got outside=None, expected a finite number"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_parameters_that_make_no_market_are_refused(arguments, message):
    with pytest.raises(InvalidGameError, match=message):
        LogitMarket(**arguments)


@pytest.mark.usefixtures("unchecked")
def test_per_firm_parameters_may_be_tensors_and_arrays():
    market = LogitMarket(cost=np.array([1.0, 0.5]), quality=torch.tensor([2.0, 2.0]))
    assert market == LogitMarket(cost=(1.0, 0.5))
