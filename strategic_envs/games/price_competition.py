"""One period of price competition with continuous prices: differentiated goods, Nash and monopoly prices known.

The stage game of algorithmic pricing (Calvano et al., AER 2020) without a grid. Independent gradient ascent finds the
Nash prices, ascent of the joint profits the monopoly prices: what a learner adds to these two lies in the repetition.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.games.pricing.logit import LogitMarket
from strategic_envs.games.pricing.market import Market, is_number
from strategic_envs.games.pricing.options import market_of
from strategic_envs.play import BestResponse, Empirical, Independent
from strategic_envs.sets import Box

__all__ = ["GAMES", "PriceCompetition", "price_competition"]

_CANDIDATES, _ROUNDS = 257, 6  # of the search against mixed prices: a round narrows the interval 128 times
_ROWS = 2**20  # of joint prices that are looked at together


class PriceCompetition(Game):
    """The one-period game of a market: strategies are prices, utilities are profits.

    A best response to pure prices is exact: profits rise up to the closed form of `Market.best_price` and fall beyond,
    so on an interval its nearest point is best. Against mixed prices it is searched for, and says `exact=False`.

    Args:
        market: Demand and costs, with profits continuous in prices.
        bounds: Lowest and highest price of all firms. By default from marginal cost to as far beyond the monopoly price
            as that is above cost.

    Raises:
        InvalidGameError: If the bounds are not two finite prices, or no best replies exist in the market.

    Example:
        >>> game = PriceCompetition(LogitMarket())
        >>> reply = game.best_response(0, Independent.pure(game.profile([1.5], [1.924980919017762])))
        >>> round(reply.strategy.item(), 6), round(reply.value, 6), reply.exact
        (1.661695, 0.411695, True)
    """

    def __init__(self, market: Market, bounds: Sequence[float] | None = None) -> None:
        top = market.monopoly.prices
        if not torch.allclose(market.best_price(market.nash.prices, 0), market.nash.prices[0]) or not bool(
            (market.nash.profits > 0).all()
        ):
            raise InvalidGameError(
                f"price_competition: got {market}, where undercutting leaves no best reply: take mu > 0, or the grid "
                "of strategic_envs.games.pricing.pricing"
            )
        ends = [(c, 2 * float(p) - c) for c, p in zip(market.costs, top, strict=True)]
        if bounds is not None:
            if len(bounds) != 2 or not all(map(is_number, bounds)) or not bounds[0] < bounds[1]:
                raise InvalidGameError(f"price_competition: got bounds={bounds!r}, expected two prices low < high")
            ends = [(float(bounds[0]), float(bounds[1]))] * market.n
        self.market = market
        super().__init__(self._profits, [Box(*e) for e in ends], name="price_competition", known=self._facts(ends))

    def _profits(self, x: tuple[Tensor, ...]) -> Float[Tensor, "*batch n"]:
        return self.market.profits(torch.cat(torch.broadcast_tensors(*x), dim=-1))

    def _facts(self, ends: list[tuple[float, float]]) -> Known:
        nash, monopoly = self.market.nash, self.market.monopoly
        values = {}
        for kind, anchors in (("nash", nash), ("monopoly", monopoly)):
            for i in range(self.market.n):
                values[f"{kind}_price_{i}"] = float(anchors.prices[i])
                values[f"{kind}_profit_{i}"] = float(anchors.profits[i])
        inside = all(low <= p <= high for (low, high), p in zip(ends, nash.prices.tolist(), strict=True))
        return Known(
            equilibria=(Equilibrium.pure("nash", nash.prices.tolist(), tolerance=1e-12),) if inside else (),
            values=values,
            complete=inside and isinstance(self.market, LogitMarket),
            source="Anderson, de Palma and Thisse (1992); Singh and Vives (1984); anchors in closed form",
            note="Monopoly prices maximise the sum of profits; they are no equilibrium.",
        )

    def best_response(self, player: int, play: Empirical | Independent) -> BestResponse:
        """The best price against the others' prices, which may be random.

        Args:
            player: Who responds.
            play: What all play; the responder's own part is not looked at.
        """
        others = play.points if isinstance(play, Independent) else tuple(play.points)
        if all(len(p) == 1 for j, p in enumerate(others) if j != player):
            prices = torch.cat([p[0].double() for p in others])
            strategy = self.sets[player].project(self.market.best_price(prices, player).reshape(1))
            value = float(self._against(player, strategy, prices.unsqueeze(0), torch.ones(1, dtype=torch.float64)))
            return BestResponse(strategy, value, value, value, exact=True, attained=True)
        if isinstance(play, Independent):
            mine = Independent(
                tuple(p[:1] if j == player else p for j, p in enumerate(play.points)),
                tuple(w.new_ones(1) if j == player else w for j, w in enumerate(play.weights)),
            )
            play = mine.joint()
        prices, weights = torch.cat([p.double() for p in play.points], dim=-1), play.weights.double()
        strategy, value = self._search(player, prices, weights / weights.sum())
        return BestResponse(strategy, value, value, float("inf"), exact=False, attained=True)

    def _search(self, player: int, prices: Tensor, weights: Tensor) -> tuple[Tensor, float]:
        """The best point of a grid, then of ever finer grids around it."""
        low, high = (float(e) for e in self.sets[player].bounds())
        best, value, reach = low, -float("inf"), high - low
        for _ in range(_ROUNDS):
            ends = max(low, best - reach), min(high, best + reach)
            candidates = torch.linspace(*ends, _CANDIDATES, dtype=torch.float64)
            earned = self._against(player, candidates, prices, weights)
            if float(earned.max()) > value:
                best, value = float(candidates[earned.argmax()]), float(earned.max())
            reach = float(candidates[1] - candidates[0])
        return torch.tensor([best], dtype=torch.float64), value

    def _against(self, player: int, candidates: Tensor, prices: Tensor, weights: Tensor) -> Tensor:
        """Mean profits `(C,)` of own prices `(C,)` against prices `(T, n)` with these weights."""
        parts = []
        for some in candidates.split(max(1, _ROWS // len(prices))):
            joint = prices.expand(len(some), *prices.shape).clone()
            joint[..., player] = some.unsqueeze(-1)
            parts.append(self.market.profits(joint)[..., player] @ weights)
        return torch.cat(parts)


def price_competition(
    *,
    n: int = 2,
    cost: float | Sequence[float] = 1.0,
    quality: float | Sequence[float] = 2.0,
    outside: float = 0.0,
    mu: float = 0.25,
    demand: str = "logit",
    g: float | None = None,
    bounds: Sequence[float] | None = None,
) -> PriceCompetition:
    """One period of price competition with continuous prices: logit or linear demand.

    The arguments are those of `strategic_envs.games.pricing.pricing`, the bounds those of `PriceCompetition`.

    Raises:
        InvalidGameError: Naming the option that is not possible, or those that do not go together.

    Example:
        >>> game = price_competition(demand="linear", g=0.5)
        >>> [round(p.item(), 12) for p in game.known().equilibria[0].points]
        [0.333333333333, 0.333333333333]
    """
    market = market_of(n=n, cost=cost, quality=quality, outside=outside, mu=mu, demand=demand, g=g)
    return PriceCompetition(market, bounds)


GAMES = {"price_competition": price_competition}
