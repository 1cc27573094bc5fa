"""What a profit gain has to be compared with: competitive play on the grid, and firms that draw prices blindly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from strategic_envs.games.pricing.tables import PricingTables

__all__ = ["References", "best_prices", "references", "static_reply"]


@dataclass(frozen=True)
class References:
    """Profit gains that need no intelligence, and the most that the grid allows.

    Args:
        equilibria: The pure equilibria of the one-period game on the grid, as price indices.
        gains: The profit gain at each of them.
        uniform: The profit gain when all firms draw every price uniformly.
        highest: The largest profit gain at any joint price of the grid.
    """

    equilibria: tuple[tuple[int, ...], ...]
    gains: tuple[float, ...]
    uniform: float
    highest: float

    @property
    def competitive(self) -> float:
        """The highest profit gain of a pure equilibrium of the grid; 0, Nash with continuous prices, without one."""
        return max(self.gains, default=0.0)


def references(tables: PricingTables) -> References:
    """The reference points of a game's profit gain.

    Where demand is random, or firms enter and leave, the one-period game has expected profits, in the long-run shares
    of the market states: prices cannot depend on what is not seen.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> found = references(pricing().frozen())
        >>> found.equilibria, [round(g, 4) for g in found.gains], round(found.uniform, 3)
        (((1, 1), (2, 2)), [-0.0238, 0.1166], 0.497)
    """
    n, m = tables.n, tables.m
    profit = tables.mean_profit
    table = profit.reshape(*[m] * n, n)
    stable = np.ones([m] * n, dtype=bool)
    for i in range(n):
        stable &= table[..., i] >= table[..., i].max(axis=i, keepdims=True)
    equilibria = tuple(tuple(int(a) for a in row) for row in np.argwhere(stable))
    gains = tables.profit_gain(profit)
    return References(
        equilibria=equilibria,
        gains=tuple(float(g) for g in gains[np.flatnonzero(stable)]),
        uniform=float(tables.profit_gain(profit.mean(0))),
        highest=float(gains.max()) if len(gains) else math.nan,
    )


def static_reply(tables: PricingTables) -> Int[np.ndarray, "n J"]:
    """The price index that pays a firm most in one period, against the others' prices in each joint price.

    Its own entry in the joint price does not matter; the lowest price of a tie.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> static_reply(pricing().frozen())[0, :15].tolist()
        [1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6]
    """
    return best_prices(tables.mean_profit, tables.n, tables.m)


def best_prices(profit: Float[np.ndarray, "J n"], n: int, m: int) -> Int[np.ndarray, "n J"]:
    """The same for any table of profits.

    Example:
        >>> best_prices(np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 3.0], [1.0, 0.0]]), 2, 2).tolist()
        [[1, 1, 1, 1], [1, 1, 0, 0]]
    """
    table = profit.reshape(*[m] * n, n)
    rows = [np.broadcast_to(table[..., i].argmax(axis=i, keepdims=True), [m] * n).reshape(-1) for i in range(n)]
    return np.stack(rows)
