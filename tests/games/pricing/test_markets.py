"""Markets: demand, best prices, and Nash and monopoly prices against printed tables and dense searches."""

from __future__ import annotations

import pytest
import torch

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.pricing import HomogeneousMarket, LinearMarket, LogitMarket, Market, market_of, pricing
from strategic_envs.games.pricing.market import is_number, per_firm, whole
from strategic_envs.seeding import torch_stream

# n: Nash price, monopoly price, Nash profit, monopoly profit, of symmetric firms, to 30 digits and rounded
SYMMETRIC = {
    1: (1.801985007892331, 1.801985007892331, 0.5519850078923307, 0.5519850078923307),
    2: (1.472926660030623, 1.924980919017762, 0.2229266600306227, 0.3374904595088809),
    3: (1.370162729384164, 2.0, 0.1201627293841645, 0.25),
    4: (1.331460689883795, 2.054411180500137, 0.0814606898837955, 0.2011027951250343),
}
# cost of firm 2 (of firm 1: 1): Nash and monopoly prices, printed with five decimals
ASYMMETRIC = {
    0.875: ((1.44135, 1.39588), (1.97674, 1.85174)),
    0.75: ((1.41420, 1.32539), (2.04051, 1.79051)),
    0.625: ((1.39133, 1.26145), (2.11503, 1.74003)),
    0.5: ((1.37233, 1.20377), (2.19840, 1.69840)),
    0.25: ((1.34369, 1.10519), (2.38411, 1.63411)),
}
NASH_SHARE = {1.0: 0.500, 0.875: 0.545, 0.75: 0.588, 0.625: 0.627, 0.5: 0.662, 0.25: 0.722}
MARKETS: list[Market] = [
    LogitMarket(),
    LogitMarket(n=3, cost=(1.0, 0.5, 0.8), quality=(2.0, 2.1, 1.7), outside=0.3, mu=0.1),
    LogitMarket(mu=0.01),
    LinearMarket(g=0.0),
    LinearMarket(g=0.3),
    LinearMarket(g=0.9),
    HomogeneousMarket(),
    HomogeneousMarket(n=3, cost=2.0, reservation=10.0, outside_shares=False),
    HomogeneousMarket(cost=0.0, reservation=1.0, demand="linear"),
]


@pytest.mark.parametrize("n", SYMMETRIC)
def test_anchors_of_symmetric_firms(n):
    market = LogitMarket(n=n)
    nash, monopoly, nash_profit, monopoly_profit = SYMMETRIC[n]
    assert market.nash.prices.tolist() == pytest.approx([nash] * n, abs=1e-14)
    assert market.monopoly.prices.tolist() == pytest.approx([monopoly] * n, abs=1e-14)
    assert market.nash.profits.tolist() == pytest.approx([nash_profit] * n, abs=1e-14)
    assert market.monopoly.profits.tolist() == pytest.approx([monopoly_profit] * n, abs=1e-14)


def test_quantities_of_the_baseline():
    assert float(LogitMarket().nash.quantities[0]) == pytest.approx(0.471376809284, abs=5e-13)
    assert float(LogitMarket().monopoly.quantities[0]) == pytest.approx(0.364862077228, abs=5e-13)


@pytest.mark.parametrize("cost", ASYMMETRIC)
def test_anchors_with_unequal_costs(cost):
    market = LogitMarket(cost=(1.0, cost))
    nash, monopoly = ASYMMETRIC[cost]
    assert market.nash.prices.tolist() == pytest.approx(nash, abs=5.1e-6)
    assert market.monopoly.prices.tolist() == pytest.approx(monopoly, abs=5.1e-6)


@pytest.mark.parametrize("cost", NASH_SHARE)
def test_the_cheaper_firm_sells_more(cost):
    quantities = LogitMarket(cost=(1.0, cost)).nash.quantities
    assert float(quantities[1] / quantities.sum()) == pytest.approx(NASH_SHARE[cost], abs=5.1e-4)


def test_quality_is_cost_with_a_shift_of_prices():
    """Only a - c matters."""
    better, cheaper = LogitMarket(quality=(2.0, 2.5)), LogitMarket(cost=(1.0, 0.5))
    for kind in ("nash", "monopoly"):
        one, two = getattr(better, kind), getattr(cheaper, kind)
        assert (one.prices - two.prices).tolist() == pytest.approx([0.0, 0.5], abs=1e-12)
        assert one.profits.tolist() == pytest.approx(two.profits.tolist(), abs=1e-12)


@pytest.mark.parametrize("mu", [0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01])
@pytest.mark.parametrize("options", [{}, {"n": 3, "cost": (1.0, 0.875, 0.5), "outside": 0.25}])
def test_anchors_solve_the_conditions_of_first_order(mu, options):
    market = LogitMarket(mu=mu, **options)
    costs = torch.tensor(market.costs, dtype=torch.float64)
    nash, monopoly = market.nash, market.monopoly
    assert float((nash.prices - costs - mu / (1 - nash.quantities)).abs().max()) < 1e-10
    margins = monopoly.prices - costs
    sold = (margins * monopoly.quantities).sum()
    assert float((1 - margins / mu + sold / mu).abs().max()) * mu < 1e-10


@pytest.mark.parametrize("market", MARKETS, ids=str)
def test_no_price_of_a_fine_grid_earns_more_than_the_best_price(market):
    stream = torch_stream(0, "markets")
    low, high = min(market.costs), 1.3 * float(market.monopoly.prices.max())
    candidates = torch.linspace(low, high, 4001, dtype=torch.float64)
    for _ in range(10):
        prices = low + (high - low) * torch.rand(market.n, generator=stream, dtype=torch.float64)
        for i in range(market.n):
            joint = prices.expand(4001, -1).clone()
            joint[:, i] = candidates
            best = market.best_price(prices, i)
            at_best = prices.clone()
            undercut = 1e-9 if isinstance(market, HomogeneousMarket) else 0.0
            at_best[i] = max(float(best) - undercut, low)
            assert float(market.profits(joint)[:, i].max()) <= float(market.profits(at_best)[i]) + 1e-8


@pytest.mark.parametrize("market", MARKETS, ids=str)
def test_monopoly_prices_earn_most_together_and_nash_prices_are_best_replies(market):
    stream = torch_stream(1, "markets")
    draws = torch.rand(4000, market.n, generator=stream, dtype=torch.float64) - 0.5
    together = market.profits(market.monopoly.prices + draws).sum(-1)
    assert float(together.max()) <= float(market.monopoly.profits.sum()) + 1e-12
    for i in range(market.n):
        assert float(market.best_price(market.nash.prices, i)) == pytest.approx(float(market.nash.prices[i]), abs=1e-12)


@pytest.mark.parametrize("market", MARKETS, ids=str)
def test_batches_are_rows(market):
    prices = 1.0 + torch.rand(2, 5, market.n, generator=torch_stream(2, "markets"), dtype=torch.float64)
    for function in (market.quantities, market.profits, lambda p: market.best_price(p, 0)):
        rows = torch.stack([torch.stack([function(prices[a, b]) for b in range(5)]) for a in range(2)])
        assert torch.allclose(function(prices), rows, atol=1e-14)


@pytest.mark.parametrize("g", [0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99])
def test_anchors_of_linear_demand(g):
    market = LinearMarket(g=g)
    nash = (1 - g) / (2 - g)
    assert market.nash.prices.tolist() == [nash, nash] and market.monopoly.prices.tolist() == [0.5, 0.5]
    assert market.nash.profits.tolist() == pytest.approx([nash * (1 - nash) / (1 + g)] * 2, abs=1e-10)
    assert market.monopoly.profits.tolist() == pytest.approx([0.25 / (1 + g)] * 2, abs=1e-10)


def test_linear_demand_where_one_firm_sells_nothing():
    quantities = LinearMarket(g=0.9).quantities(torch.tensor([[0.2, 0.5], [0.5, 1.5], [1.2, 0.4]], dtype=torch.float64))
    assert quantities.tolist() == [[pytest.approx(0.8), 0.0], [0.5, 0.0], [0.0, pytest.approx(0.6)]]


@pytest.mark.parametrize(
    ("prices", "quantities"),
    [
        ((1.5, 1.6), (1.0, 0.0)),
        ((1.5, 1.5), (0.5, 0.5)),
        ((2.0, 1.9), (0.0, 1.0)),
        ((2.0, 2.0), (1 / 3, 1 / 3)),
        ((2.0, 2.1), (0.5, 0.0)),
        ((2.1, 2.05), (0.0, 0.0)),
    ],
)
def test_perfect_substitutes(prices, quantities):
    market = market_of(mu=0.0)
    assert market == HomogeneousMarket()
    assert market.quantities(torch.tensor(prices, dtype=torch.float64)).tolist() == pytest.approx(quantities)
    assert market.nash.prices.tolist() == [1.0, 1.0] and market.nash.profits.tolist() == [0.0, 0.0]
    assert market.monopoly.prices.tolist() == [2.0, 2.0] and market.monopoly.profits.tolist() == [0.5, 0.5]


def test_logit_demand_comes_close_to_perfect_substitutes_as_mu_falls():
    prices = torch.tensor([[1.5, 1.6], [1.5, 1.5], [2.0, 2.0], [2.0, 2.1], [2.1, 2.05]], dtype=torch.float64)
    near = LogitMarket(mu=1e-3).quantities(prices)
    assert torch.allclose(near, market_of(mu=0.0).quantities(prices), atol=1e-12)


def test_homogeneous_markets_of_klein_and_of_asker_fershtman_and_pakes():
    klein = HomogeneousMarket(cost=0.0, reservation=1.0, demand="linear")
    assert klein.monopoly.profits.tolist() == [0.125, 0.125]
    assert klein.profits(torch.tensor([0.25, 0.5])).tolist() == [0.1875, 0.0]
    asker = HomogeneousMarket(cost=2.0, reservation=10.0, outside_shares=False)
    assert asker.profits(torch.tensor([10.0, 10.0])).tolist() == [4.0, 4.0]
    assert asker.without(0).nash.prices.tolist() == [10.0]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearMarket(g=1.0), "got g=1.0, expected 0 <= g < 1"),
        (lambda: LinearMarket(g=-0.1), "got g=-0.1"),
        (lambda: LinearMarket(g=float("nan")), "got g=nan"),
        (lambda: LinearMarket(n=3), "got n=3 firms with linear demand, which is for n=2 firms"),
        (lambda: HomogeneousMarket(cost=-1.0), "got cost=-1.0, expected a number >= 0"),
        (lambda: HomogeneousMarket(cost=float("inf")), "got cost=inf"),
        (lambda: HomogeneousMarket(reservation=1.0), "got reservation=1.0, expected a finite price above the cost 1.0"),
        (lambda: HomogeneousMarket(n=0), "got n=0 firms"),
        (lambda: HomogeneousMarket(demand="cubic"), r"got demand='cubic', expected one of \['unit', 'linear'\]"),
        (lambda: LogitMarket(outside=float("inf")), "got outside=inf"),
        (lambda: LogitMarket(cost=(1.0, float("nan"))), "expected finite numbers"),
        (lambda: LogitMarket(quality="ab"), "expected finite numbers"),
        (lambda: market_of(demand="cubic"), "got demand='cubic', expected 'logit' or 'linear'"),
        (lambda: market_of(g=0.5), "got g=0.5 and demand='logit', which do not go together"),
        (
            lambda: market_of(demand="linear", mu=0.1, quality=3.0),
            "got demand='linear' and quality=3.0, mu=0.1, which do not go together",
        ),
        (lambda: market_of(mu=0.0, cost=(1.0, 0.5)), "got mu=0 with cost=.*which do not go together"),
        (lambda: market_of(mu=0.0, outside=float("nan")), "got outside=nan"),
        (lambda: pricing(demand="linear", rho=0.1), "whose demand without firm 1 is not known"),
        (lambda: pricing(mu=0.0, shock=0.1), r"random demand \(shock\) needs logit demand"),
    ],
)
def test_what_makes_no_market_is_refused(make, message):
    with pytest.raises(InvalidGameError, match=message):
        make()


def test_small_helpers():
    assert [is_number(v) for v in (1, 0.5, True, float("inf"), "1")] == [True, True, False, False, False]
    assert [whole(v, 1) for v in (1, 0, True, 1.0)] == [True, False, False, False]
    assert per_firm("cost", torch.tensor([1.0, 2.0]), 2) == (1.0, 2.0)
