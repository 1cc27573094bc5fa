"""The frozen tables of a pricing game: all that learners and evaluators know of it, as numpy arrays.

Every variant of the game (costs, qualities, demand, random demand, firms that come and go, memory, grids) changes these
tables only, never a loop over periods.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["PricingTables"]


@dataclass(frozen=True, eq=False)
class PricingTables:
    """A pricing game with n firms, m prices each, memory k and D market states.

    Joint prices are numbered row-major, firm 0 slowest: `j = sum_i a_i m^(n-1-i)`. A *state* holds what everybody
    charged in the last k periods: base-b digits, all periods of firm 0 first, the latest of each firm first, with
    b = m, or m + 1 where a firm may be absent (the digit m says that it was). With k = 0 there is one state.

    Args:
        grid: The prices `(n, m)`, float64.
        profit: What each firm earns in a period `(D, m^n, n)`, float64, by market state; 0 for an absent firm, whose
            own price does not matter.
        chain: The chances `(D, D)` from one period's market state (rows) to the next one's (columns). Demand that is
            drawn anew each period has equal rows.
        present: Which firms are in the market `(D, n)`.
        delta: The discount factor, in [0, 1).
        memory: How many periods k the firms remember.
        nash_prices: Nash prices `(D, n)` of the one-period game with continuous prices, nan for an absent firm.
        nash_profits: What firms earn there `(n,)`, averaged over market states in their long-run shares.
        monopoly_prices: Prices that maximise joint profits `(D, n)`.
        monopoly_profits: What firms earn there `(n,)`, averaged in the same way.
        exact: Whether the anchors are exact (closed form or root to 1e-10) and prices are the game's own, not a grid
            that stands for continuous prices.
    """

    grid: Float[np.ndarray, "n m"]
    profit: Float[np.ndarray, "D J n"]
    chain: Float[np.ndarray, "D D"]
    present: Bool[np.ndarray, "D n"]
    delta: float
    memory: int
    nash_prices: Float[np.ndarray, "D n"]
    nash_profits: Float[np.ndarray, " n"]
    monopoly_prices: Float[np.ndarray, "D n"]
    monopoly_profits: Float[np.ndarray, " n"]
    exact: bool = True

    @property
    def n(self) -> int:
        """The number of firms."""
        return self.grid.shape[0]

    @property
    def m(self) -> int:
        """The number of prices of a firm."""
        return self.grid.shape[1]

    @property
    def base(self) -> int:
        """The base of the state code: m, or m + 1 where a firm may be absent."""
        return self.m + int(not self.present.all())

    @property
    def n_states(self) -> int:
        """The number of state codes."""
        return self.base ** (self.n * self.memory)

    @functools.cached_property
    def share(self) -> Float[np.ndarray, " D"]:
        """The long-run shares of the market states."""
        d = len(self.chain)
        rows = np.vstack([self.chain.T - np.eye(d), np.ones(d)])
        return np.linalg.lstsq(rows, np.append(np.zeros(d), 1.0), rcond=None)[0]

    @functools.cached_property
    def mean_profit(self) -> Float[np.ndarray, "J n"]:
        """Profits averaged over market states in their long-run shares; the profits themselves where D = 1."""
        return self.profit[0] if len(self.profit) == 1 else np.einsum("d,djn->jn", self.share, self.profit)

    @functools.cached_property
    def initial_q(self) -> Float[np.ndarray, "n m"]:
        """What a firm earns for ever at each of its prices while all others draw theirs uniformly (AER 2020, eq. 8)."""
        n, m = self.n, self.m
        table = self.mean_profit.reshape(*[m] * n, n)
        rows = [table[..., i].mean(axis=tuple(j for j in range(n) if j != i)) for i in range(n)]
        return np.stack(rows) / (1.0 - self.delta)

    def profit_gain(self, profits: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch"]:
        """Delta: the share of the way from Nash to monopoly profits, averaged over firms.

        Example:
            >>> from strategic_envs.games.pricing import pricing
            >>> tables = pricing().frozen()
            >>> float(tables.profit_gain(tables.monopoly_profits).round(12))
            1.0
        """
        return np.asarray(((profits - self.nash_profits) / (self.monopoly_profits - self.nash_profits)).mean(-1))

    def follow(
        self, state: Int[np.ndarray, "*batch"], digits: Int[np.ndarray, "*batch n"]
    ) -> Int[np.ndarray, "*batch"]:
        """The state after a period in which firms left these digits (their price index, m if absent)."""
        if self.memory == 0:
            return np.zeros_like(state)
        b, k = self.base, self.memory
        after = np.zeros_like(state)
        for i in range(self.n):
            own = state // b ** (k * (self.n - 1 - i)) % b**k
            after = after * b**k + own // b + digits[..., i] * b ** (k - 1)
        return after
