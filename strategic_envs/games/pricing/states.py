"""Market states: demand that is drawn anew each period, and a firm that enters and leaves.

A game has D market states. One of them rules in each period; which one follows is a Markov chain that nobody moves.
Firms do not see the state of the period in which they set prices.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.pricing.market import Anchors, Market, is_number

__all__ = ["MarketStates", "constant", "entry_and_exit", "random_demand"]


@dataclass(frozen=True, eq=False)
class MarketStates:
    """D market states and the chain between them.

    Args:
        markets: The market of the firms that are present, one a state.
        present: Which of the n firms are present `(D, n)`.
        chain: The chances `(D, D)` from one period's state (rows) to the next one's (columns).
    """

    markets: tuple[Market, ...]
    present: Bool[np.ndarray, "D n"]
    chain: Float[np.ndarray, "D D"]

    @property
    def n(self) -> int:
        """The number of firms, present or not."""
        return self.present.shape[1]

    @property
    def comes_and_goes(self) -> bool:
        """Whether some firm may be absent."""
        return not bool(self.present.all())

    @functools.cached_property
    def share(self) -> Float[np.ndarray, " D"]:
        """The long-run shares of the states.

        Example:
            >>> from strategic_envs.games.pricing.logit import LogitMarket
            >>> entry_and_exit(LogitMarket(n=3), rho=0.001).share.round(12).tolist()
            [0.5, 0.5]
        """
        return stationary(self.chain)

    def profits(self, prices: Float[Tensor, "*batch n"], state: int) -> Float[Tensor, "*batch n"]:
        """What each firm earns in a period in this state; nothing where it is absent."""
        if self.present[state].all():
            return self.markets[state].profits(prices)
        here = torch.from_numpy(np.flatnonzero(self.present[state])).to(prices.device)
        earned = torch.zeros_like(prices)
        earned[..., here] = self.markets[state].profits(prices[..., here])
        return earned

    def anchors(
        self, kind: str, digits: int | None = None
    ) -> tuple[Float[np.ndarray, "D n"], Float[np.ndarray, "D n"]]:
        """Prices and profits `(D, n)` at Nash or monopoly, by state: nan and 0 where a firm is absent.

        Args:
            kind: `"nash"` or `"monopoly"`.
            digits: Prices are rounded to so many decimals first; profits are those at the rounded prices.
        """
        shape = self.present.shape
        prices, profits = np.full(shape, np.nan), np.zeros(shape)
        for d, market in enumerate(self.markets):
            found: Anchors = getattr(market, kind)
            if digits is not None:
                found = Anchors.at(market, torch.from_numpy(found.prices.numpy().round(digits)))
            prices[d, self.present[d]] = found.prices.numpy()
            profits[d, self.present[d]] = found.profits.numpy()
        return prices, profits


def stationary(chain: Float[np.ndarray, "D D"]) -> Float[np.ndarray, " D"]:
    """The long-run shares of a chain's states."""
    d = len(chain)
    rows = np.vstack([chain.T - np.eye(d), np.ones(d)])
    return np.linalg.lstsq(rows, np.append(np.zeros(d), 1.0), rcond=None)[0]


def constant(market: Market) -> MarketStates:
    """One state for ever."""
    return MarketStates((market,), np.ones((1, market.n), dtype=bool), np.ones((1, 1)))


def random_demand(market: Market, shock: float | Sequence[float]) -> MarketStates:
    """Demand that is drawn anew each period: a_0 is raised by one of -H, 0 and H, equally likely.

    Args:
        market: The market without a shock.
        shock: H, or the rises of a_0 themselves, equally likely.

    Raises:
        InvalidGameError: If H is negative or not finite, or the market has no a_0.

    Example:
        >>> from strategic_envs.games.pricing.logit import LogitMarket
        >>> random_demand(LogitMarket(), 0.15).anchors("nash")[0][:, 0].round(4).tolist()
        [1.4837, 1.4729, 1.457]
    """
    if isinstance(shock, Sequence) and not isinstance(shock, str):
        rises = list(shock)
    elif is_number(shock) and shock >= 0:  # pyright: ignore[reportOperatorIssue]  # a number
        rises = [-shock, 0.0, shock]  # pyright: ignore[reportOperatorIssue]
    else:
        rises = []
    if not rises or not all(is_number(r) for r in rises):
        raise InvalidGameError(
            f"pricing: got shock={shock!r}, expected a finite H >= 0 (a_0 is then raised by -H, 0 or H each period) "
            "or a sequence of finite rises of a_0"
        )
    d = len(rises)
    markets = tuple(market.shifted(float(r)) for r in rises)
    return MarketStates(markets, np.ones((d, market.n), dtype=bool), np.full((d, d), 1.0 / d))


def entry_and_exit(market: Market, rho: float) -> MarketStates:
    """The last firm is an outsider that enters and leaves: it switches before each period with probability rho.

    State 0 is the market with it, state 1 the market without.

    Args:
        market: The market with all firms.
        rho: The probability of switching, in (0, 1].

    Raises:
        InvalidGameError: If rho is not a probability above 0, or there are fewer than two firms.
    """
    if not is_number(rho) or not 0 < rho <= 1:
        raise InvalidGameError(f"pricing: got rho={rho!r}, expected a probability 0 < rho <= 1 of entry and of exit")
    if market.n < 2:
        raise InvalidGameError(f"pricing: got rho={rho!r} with n={market.n}, expected at least one firm that stays")
    present = np.ones((2, market.n), dtype=bool)
    present[1, -1] = False
    return MarketStates((market, market.without(market.n - 1)), present, np.array([[1.0 - rho, rho], [rho, 1.0 - rho]]))
