"""The frozen tables of a pricing game: all that learners and evaluators know of it, as numpy arrays.

Every variant of the game (costs, qualities, demand, random demand, firms that come and go, memory, grids) changes these
tables only, never a loop over periods.
"""

from __future__ import annotations

import functools
import math
import os
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.pricing.market import is_number
from strategic_envs.games.pricing.states import stationary

__all__ = ["PricingTables", "random_visits"]


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

    @property
    def cells(self) -> int:
        """The number of cells of all firms' Q tables in one session: n tables of S states and m prices."""
        return self.n * self.n_states * self.m

    def check_size(self, sessions: int = 1, *, cell_bytes: int = 8, limit: int | None = None) -> None:
        """Refuses learning with Q tables that would not fit in memory.

        Args:
            sessions: How many sessions are kept at once.
            cell_bytes: 8 for float64, 4 for float32.
            limit: The memory there is, in bytes; this machine's when not given.

        Raises:
            InvalidGameError: If they would not fit; the message says how many states, cells and bytes there are.

        Example:
            >>> from strategic_envs.games.pricing import pricing
            >>> pricing().frozen().check_size(sessions=1000, limit=2**24)
            Traceback (most recent call last):
                ...
            strategic_envs.errors.InvalidGameError: pricing: 225 states make 6,750 cells (2 firms, 15 prices), and 1,000
            sessions need 54,000,000 bytes (0.1 GiB), more than the 16,777,216 bytes (0.0 GiB) of memory: take fewer
            firms, a smaller grid m, a shorter memory or fewer sessions at once
        """
        limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if limit is None else limit
        size = self.cells * cell_bytes * sessions
        if size > limit:
            many = f", and {sessions:,} sessions" if sessions > 1 else ""
            raise InvalidGameError(
                f"pricing: {self.n_states:,} states make {self.cells:,} cells ({self.n} firms, {self.m} prices){many} "
                f"need {size:,} bytes ({size / 2**30:,.1f} GiB), more than the {limit:,} bytes ({limit / 2**30:,.1f} "
                "GiB) of memory: take fewer firms, a smaller grid m, a shorter memory or fewer sessions at once"
            )

    @functools.cached_property
    def share(self) -> Float[np.ndarray, " D"]:
        """The long-run shares of the market states."""
        return stationary(self.chain)

    @functools.cached_property
    def mean_profit(self) -> Float[np.ndarray, "J n"]:
        """Profits averaged over market states in their long-run shares; the profits themselves where D = 1."""
        return self.profit[0] if len(self.profit) == 1 else np.einsum("d,djn->jn", self.share, self.profit)

    @functools.cached_property
    def initial_q(self) -> Float[np.ndarray, "n m"]:
        """What a firm earns for ever at each of its prices while all others draw theirs uniformly (AER 2020, eq. 8).

        A firm that may be absent draws uniformly from its m + 1 entries of the state, absence one of them, and has its
        own row for periods in which it is present.
        """
        n, m = self.n, self.m
        table = self.profit.reshape(-1, *[m] * n, n)
        rows = []
        for i in range(n):
            own = np.stack([d[..., i].mean(axis=tuple(j for j in range(n) if j != i)) for d in table])
            weight = self._assumed_share * self.present[:, i]
            rows.append(own[0] if len(own) == 1 else weight @ own / weight.sum())
        return np.stack(rows) / (1.0 - self.delta)

    @property
    def _assumed_share(self) -> Float[np.ndarray, " D"]:
        """How likely each market state is to a firm that takes all entries of the state for equally likely."""
        if self.base == self.m:
            return self.share
        comes_and_goes = ~self.present.all(0)
        each = np.where(self.present, self.m, 1)[:, comes_and_goes] / self.base
        return each.prod(1) / each.prod(1).sum()

    def profit_gain(self, profits: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch"]:
        """Delta: the share of the way from Nash to monopoly profits, all firms' profits taken together.

        A mean of each firm's own share would be the same for equal firms; for unequal ones it has no meaning, as a weak
        firm may earn less under joint monopoly than at Nash prices. For one firm alone, nan: it has nothing to gain.

        Example:
            >>> from strategic_envs.games.pricing import pricing
            >>> tables = pricing().frozen()
            >>> float(tables.profit_gain(tables.monopoly_profits).round(12))
            1.0
        """
        nash, monopoly = self.nash_profits.sum(), self.monopoly_profits.sum()
        way = monopoly - nash if self.n > 1 else np.nan
        return np.asarray((profits.sum(-1) - nash) / way)

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
        return np.asarray(after)


def random_visits(tables: PricingTables, beta: float) -> float:
    """How often a cell of a Q table is visited by pure chance before exploration has faded (nu of AER 2020).

    `(m - 1)^n / (m^(kn + n + 1) (1 - exp(-beta (n + 1))))`, for n firms that remember k periods.

    Args:
        tables: The game.
        beta: The rate at which exploration fades a period: its probability is exp(-beta t).

    Raises:
        InvalidGameError: If beta is not a finite number > 0.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> [round(random_visits(pricing().frozen(), beta), 1) for beta in (2e-5, 4e-6, 2e-7)]
        [4.3, 21.5, 430.2]
    """
    if not is_number(beta) or beta <= 0:
        raise InvalidGameError(f"pricing: got beta={beta!r}, expected a finite number > 0, exploration lost a period")
    n, m, k = tables.n, tables.m, tables.memory
    return (m - 1) ** n / m ** (k * n + n + 1) / -math.expm1(-beta * (n + 1))
