"""Price competition with logit demand: the stage game, its Nash prices and its monopoly prices.

    q_i(p) = exp((a_i - p_i) / mu) / (sum_j exp((a_j - p_j) / mu) + exp(a_0 / mu)),    pi_i(p) = (p_i - c_i) q_i(p)

A best reply has the closed form `p_i = c_i + mu (1 + W(z))`, W Lambert's function, where `log z` compares the firm with
everything else a customer may choose. Best replies increase in the rivals' prices, so iterating them from below climbs
to the Nash prices. A monopolist who owns every firm takes the same margin on each (Anderson, de Palma and Thisse 1992).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import wrightomega
from torch import Tensor

from strategic_envs.errors import InvalidGameError

__all__ = ["Anchors", "LogitMarket"]

_ROUNDS = 100_000  # of best replies; the baseline needs about 40


@dataclass(frozen=True, eq=False)
class Anchors:
    """Prices and profits of a benchmark, one entry a firm.

    Args:
        prices: `(n,)`, float64.
        profits: What each firm earns a period at these prices, `(n,)`, float64.
        quantities: The share of customers who buy from each firm, `(n,)`, float64.
    """

    prices: Float[Tensor, " n"]
    profits: Float[Tensor, " n"]
    quantities: Float[Tensor, " n"]


@dataclass(frozen=True)
class LogitMarket:
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
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise InvalidGameError(f"pricing: got n={self.n!r} firms, expected a whole number n >= 1")
        if not _is_number(self.mu) or self.mu <= 0:
            raise InvalidGameError(f"pricing: got mu={self.mu!r}, expected a number mu > 0 (0.25 in the baseline)")
        if not _is_number(self.outside):
            raise InvalidGameError(
                f"pricing: got outside={self.outside!r}, expected a finite number (0.0 in the baseline)"
            )
        object.__setattr__(self, "cost", self._per_firm("cost", self.cost))
        object.__setattr__(self, "quality", self._per_firm("quality", self.quality))
        if min(self.costs) < 0:
            raise InvalidGameError(f"pricing: got cost={self.cost!r}, expected costs >= 0")

    def _per_firm(self, name: str, value: object) -> tuple[float, ...]:
        values = (
            list(value) if isinstance(value, Sequence | np.ndarray | Tensor) and not isinstance(value, str) else value
        )
        if not isinstance(values, list):
            values = [values] * self.n
        if len(values) != self.n:
            raise InvalidGameError(
                f"pricing: got {len(values)} entries in {name}={value!r} for n={self.n} firms, "
                "expected one number for all firms or one a firm"
            )
        numbers: list[Any] = [v.item() if isinstance(v, np.generic | Tensor) else v for v in values]
        if not all(_is_number(v) for v in numbers):
            raise InvalidGameError(
                f"pricing: got {name}={value!r}, expected finite numbers, one for all firms or one a firm"
            )
        return tuple(float(v) for v in numbers)

    @property
    def costs(self) -> tuple[float, ...]:
        """Marginal cost of each firm."""
        return tuple(self.cost)  # pyright: ignore[reportArgumentType]  # made a tuple in __post_init__

    @property
    def qualities(self) -> tuple[float, ...]:
        """Quality of each firm."""
        return tuple(self.quality)  # pyright: ignore[reportArgumentType]  # made a tuple in __post_init__

    def quantities(self, prices: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """The share of customers who buy from each firm; the rest buy nothing.

        Example:
            >>> LogitMarket(mu=1.0, quality=0.0, cost=0.0).quantities(torch.zeros(2)).tolist()
            [0.3333333432674408, 0.3333333432674408]
        """
        utility = (prices.new_tensor(self.qualities) - prices) / self.mu
        outside = torch.full_like(utility[..., :1], self.outside / self.mu)
        return torch.cat([utility, outside], dim=-1).softmax(-1)[..., :-1]

    def profits(self, prices: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """What each firm earns in a period: margin times quantity."""
        return (prices - prices.new_tensor(self.costs)) * self.quantities(prices)

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

    @functools.cached_property
    def nash(self) -> Anchors:
        """The unique Nash equilibrium of the stage game with continuous prices."""
        prices = torch.tensor([c + self.mu for c in self.costs], dtype=torch.float64)  # below every equilibrium price
        last = math.inf
        for _ in range(_ROUNDS):
            reply = torch.stack([self.best_price(prices, i) for i in range(self.n)])
            move = float((reply - prices).abs().max())
            prices = reply
            if move == 0.0 or (move >= last and move < 1e-13):  # nothing but rounding is left
                break
            last = move
        return self._anchors(prices)

    @functools.cached_property
    def monopoly(self) -> Anchors:
        """The prices that maximise the sum of all profits.

        All margins are one, `M = mu (1 + W(sum_j exp((a_j - c_j - a_0) / mu - 1)))`.
        """
        odds = [(a - c - self.outside) / self.mu for a, c in zip(self.qualities, self.costs, strict=True)]
        margin = float(self._monopoly_price(0.0, torch.tensor(odds, dtype=torch.float64).logsumexp(0)))
        return self._anchors(torch.tensor([c + margin for c in self.costs], dtype=torch.float64))

    def _anchors(self, prices: Tensor) -> Anchors:
        return Anchors(prices, self.profits(prices), self.quantities(prices))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
