"""Price competition with logit demand: the stage game, its Nash prices and its monopoly prices.

    q_i(p) = exp((a_i - p_i) / mu) / (sum_j exp((a_j - p_j) / mu) + exp(a_0 / mu)),    pi_i(p) = (p_i - c_i) q_i(p)

A best reply has the closed form `p_i = c_i + mu (1 + W(z))`, W Lambert's function, where `log z` compares the firm with
everything else a customer may choose. Best replies increase in the rivals' prices, so iterating them from below climbs
to the Nash prices. A monopolist who owns every firm takes the same margin on each (Anderson, de Palma and Thisse 1992).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import wrightomega
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.pricing.market import Anchors, Market, check_firms, double, is_number, per_firm

__all__ = ["Anchors", "LogitMarket"]

_ROUNDS = 100_000  # of best replies; the baseline needs about 40


@dataclass(frozen=True)
class LogitMarket(Market):
    """Demand and costs of n firms.

    Args:
        n: The number of firms.
        cost: Marginal cost c_i, one number for all firms or one a firm, in units of price.
        quality: Quality a_i, one number or one a firm, in units of price.
        outside: Quality a_0 of buying nothing.
        mu: Horizontal differentiation, in units of price; as mu falls the firms become perfect substitutes.

    Raises:
        InvalidGameError: Naming the parameter that is not possible, what was got and what is expected.

    Example:
        >>> market = LogitMarket()
        >>> round(float(market.nash.prices[0]), 12), round(float(market.monopoly.prices[0]), 12)
        (1.472926660031, 1.924980919018)
    """

    n: int = 2
    cost: float | Sequence[float] = 1.0
    quality: float | Sequence[float] = 2.0
    outside: float = 0.0
    mu: float = 0.25

    def __post_init__(self) -> None:
        check_firms(self.n)
        if not is_number(self.mu) or self.mu <= 0:
            raise InvalidGameError(f"pricing: got mu={self.mu!r}, expected a number mu > 0 (0.25 in the baseline)")
        if not is_number(self.outside):
            raise InvalidGameError(
                f"pricing: got outside={self.outside!r}, expected a finite number (0.0 in the baseline)"
            )
        object.__setattr__(self, "cost", per_firm("cost", self.cost, self.n))
        object.__setattr__(self, "quality", per_firm("quality", self.quality, self.n))
        if min(self.costs) < 0:
            raise InvalidGameError(f"pricing: got cost={self.cost!r}, expected costs >= 0")

    @property
    def costs(self) -> tuple[float, ...]:
        """Marginal cost of each firm."""
        return tuple(self.cost)  # pyright: ignore[reportArgumentType]  # made a tuple in __post_init__

    @property
    def qualities(self) -> tuple[float, ...]:
        """Quality of each firm."""
        return tuple(self.quality)  # pyright: ignore[reportArgumentType]  # made a tuple in __post_init__

    def without(self, firm: int) -> LogitMarket:
        """The market when one firm is absent."""
        cost, quality = ([v for i, v in enumerate(vs) if i != firm] for vs in (self.costs, self.qualities))
        return replace(self, n=self.n - 1, cost=cost, quality=quality)

    def shifted(self, outside: float) -> LogitMarket:
        """The market with the quality of buying nothing raised by this much."""
        return replace(self, outside=self.outside + outside)

    def quantities(self, prices: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """The share of customers who buy from each firm; the rest buy nothing.

        Example:
            >>> LogitMarket(mu=1.0, quality=0.0, cost=0.0).quantities(torch.zeros(2)).tolist()
            [0.3333333432674408, 0.3333333432674408]
        """
        utility = (prices.new_tensor(self.qualities) - prices) / self.mu
        outside = torch.full_like(utility[..., :1], self.outside / self.mu)
        return torch.cat([utility, outside], dim=-1).softmax(-1)[..., :-1]

    def best_price(self, prices: Float[Tensor, "*batch n"], firm: int) -> Float[Tensor, "*batch"]:
        """The price that is best for one firm against the others' prices; its own entry is not looked at.

        Example:
            >>> market = LogitMarket()
            >>> round(float(market.best_price(market.monopoly.prices, 0)), 8)
            1.66169485
        """
        utility = (prices.double().new_tensor(self.qualities) - prices.double()) / self.mu
        utility[..., firm] = self.outside / self.mu  # what a customer may choose instead of this firm
        own = (self.qualities[firm] - self.costs[firm]) / self.mu
        return self._monopoly_price(self.costs[firm], own - utility.logsumexp(-1))

    def _monopoly_price(self, cost: float, log_odds: Tensor) -> Tensor:
        omega = np.asarray(wrightomega(log_odds.detach().cpu().numpy() - 1))  # omega(x) = W(exp(x)), without overflow
        return cost + self.mu * (1 + torch.as_tensor(omega, dtype=torch.float64).to(log_odds.device))

    def _nash(self) -> Anchors:
        """The unique Nash equilibrium of the stage game with continuous prices."""
        prices = double([c + self.mu for c in self.costs])  # below every equilibrium price
        last = math.inf
        for _ in range(_ROUNDS):
            reply = torch.stack([self.best_price(prices, i) for i in range(self.n)])
            move = float((reply - prices).abs().max())
            prices = reply
            if move == 0.0 or (move >= last and move < 1e-13):  # nothing but rounding is left
                break
            last = move
        return Anchors.at(self, prices)

    def _monopoly(self) -> Anchors:
        """The prices that maximise the sum of all profits.

        All margins are one, `M = mu (1 + W(sum_j exp((a_j - c_j - a_0) / mu - 1)))`.
        """
        odds = [(a - c - self.outside) / self.mu for a, c in zip(self.qualities, self.costs, strict=True)]
        margin = float(self._monopoly_price(0.0, double(odds).logsumexp(0)))
        return Anchors.at(self, double([c + margin for c in self.costs]))
