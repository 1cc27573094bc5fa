"""What the firms believe at first: the tables Q_0 of AER 2020 and its appendix.

A belief about rivals is turned into values `(n, S, m)`: what a firm expects to earn, discounted, from each price in
each state. Where demand is random, profits are averages over the market states in their long-run shares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.pricing import PricingTables

__all__ = ["AverageRivals", "Constant", "FixedRivals", "Given", "GrimTrigger", "Initial", "UniformCells"]


@runtime_checkable
class Initial(Protocol):
    """First values: a table, and how far above it cells are drawn, uniformly and anew in each session."""

    @property
    def spread(self) -> float:
        """The width of the range from which a cell is drawn; 0 where the table is meant as it is."""
        ...

    def table(self, tables: PricingTables) -> Float[np.ndarray, "n S m"]:
        """The values `(n, S, m)`, float64; possibly a view of fewer numbers."""
        ...


class _Certain:
    @property
    def spread(self) -> float:
        """No cell is drawn."""
        return 0.0


@dataclass(frozen=True)
class AverageRivals(_Certain):
    """Rivals draw their prices uniformly for ever (AER 2020, equation 8): the same row in every state.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> round(float(AverageRivals().table(pricing().frozen())[0, 0, 4]), 8)
        6.2780049
    """

    def table(self, tables: PricingTables) -> Float[np.ndarray, "n S m"]:
        """The values `(n, S, m)`."""
        return _everywhere(tables.initial_q, tables)


@dataclass(frozen=True)
class FixedRivals(_Certain):
    """Rivals always charge the same prices.

    Args:
        prices: The price index of all firms, or one a firm.
        stays: Whether a firm thinks of charging its own price for ever. If not, as in the authors' program, it thinks
            of charging it once and then its own entry of `prices`.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> [int(FixedRivals(1, stays=s).table(pricing().frozen())[0, 0].argmax()) for s in (False, True)]
        [1, 1]
    """

    prices: int | Sequence[int]
    stays: bool = False

    def table(self, tables: PricingTables) -> Float[np.ndarray, "n S m"]:
        """The values `(n, S, m)`.

        Raises:
            InvalidSettingError: If the prices are not indices of the game's grid, one or one a firm.
        """
        prices = _indices("FixedRivals", self.prices, tables)
        now = np.stack([_against(tables, i, prices) for i in range(tables.n)])
        if self.stays:
            return _everywhere(now / (1.0 - tables.delta), tables)
        later = now[np.arange(tables.n), prices] / (1.0 - tables.delta)
        return _everywhere(now + tables.delta * later[:, None], tables)


@dataclass(frozen=True)
class GrimTrigger(_Certain):
    """All firms charge one price as long as everybody has, and the other for ever after anything else.

    Args:
        collusive: The price index of the agreement.
        punishment: The price index after a deviation.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> q = GrimTrigger(13, 1).table(pricing().frozen())
        >>> int(q[0, 13 * 15 + 13].argmax()), int(q[0, 0].argmax())
        (13, 1)
    """

    collusive: int
    punishment: int

    def table(self, tables: PricingTables) -> Float[np.ndarray, "n S m"]:
        """The values `(n, S, m)`.

        Raises:
            InvalidSettingError: If the prices are not two different indices of the grid, or the game has no memory.
        """
        together = _indices("GrimTrigger", self.collusive, tables)
        apart = _indices("GrimTrigger", self.punishment, tables)
        if tables.memory == 0 or self.collusive == self.punishment:
            raise InvalidSettingError(
                f"q_learning: got GrimTrigger({self.collusive}, {self.punishment}) in a game of memory {tables.memory}"
                ", expected two different prices and a memory of at least 1"
            )
        firms, delta = np.arange(tables.n), tables.delta
        agreed = np.stack([_against(tables, i, together) for i in range(tables.n)])
        punished = np.stack([_against(tables, i, apart) for i in range(tables.n)])
        after = punished[firms, apart] / (1.0 - delta)  # a punishment never ends
        q = _everywhere(punished + delta * after[:, None], tables).copy()
        code = sum(self.collusive * tables.base**d for d in range(tables.n * tables.memory))
        q[:, code] = agreed + delta * after[:, None]
        q[firms, code, together] = agreed[firms, together] / (1.0 - delta)
        return q


@dataclass(frozen=True)
class UniformCells:
    """Every cell of every firm's table is drawn from [low, high), anew in each session.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> float(UniformCells(2, 10).table(pricing(m=3).frozen()).max()), UniformCells(2, 10).spread
        (2.0, 8)
    """

    low: float = 0.0
    high: float = 10.0

    def __post_init__(self) -> None:
        numbers = all(_is_number(v) for v in (self.low, self.high))
        if not numbers or self.low >= self.high:
            raise InvalidSettingError(
                f"q_learning: got UniformCells(low={self.low!r}, high={self.high!r}), expected finite numbers, "
                "low < high"
            )

    @property
    def spread(self) -> float:
        """The width of the range."""
        return self.high - self.low

    def table(self, tables: PricingTables) -> Float[np.ndarray, "n S m"]:
        """The lower ends `(n, S, m)`."""
        return np.broadcast_to(np.float64(self.low), (tables.n, tables.n_states, tables.m))


@dataclass(frozen=True)
class Constant(_Certain):
    """The same value in every cell; the firms then need a rule for ties (`QLearning(ties="random")`).

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> Constant(5).table(pricing(m=3).frozen()).shape
        (2, 9, 3)
    """

    value: float

    def __post_init__(self) -> None:
        if not _is_number(self.value):
            raise InvalidSettingError(f"q_learning: got Constant(value={self.value!r}), expected a finite number")

    def table(self, tables: PricingTables) -> Float[np.ndarray, "n S m"]:
        """The values `(n, S, m)`."""
        return np.broadcast_to(np.float64(self.value), (tables.n, tables.n_states, tables.m))


@dataclass(frozen=True, eq=False)
class Given(_Certain):
    """Values from somewhere else.

    Args:
        values: `(n, S, m)`, or `(n, m)` for the same row in every state.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> Given(np.zeros((2, 3))).table(pricing(m=3).frozen()).shape
        (2, 9, 3)
    """

    values: np.ndarray

    def table(self, tables: PricingTables) -> Float[np.ndarray, "n S m"]:
        """The values `(n, S, m)`.

        Raises:
            InvalidSettingError: If the values have another shape or are not finite.
        """
        values = np.asarray(self.values, dtype=np.float64)
        n, states, m = tables.n, tables.n_states, tables.m
        if values.shape not in ((n, m), (n, states, m)) or not np.isfinite(values).all():
            finite = "finite" if np.isfinite(values).all() else "not all finite"
            raise InvalidSettingError(
                f"q_learning: got first values of shape {values.shape}, {finite}; expected finite numbers of shape "
                f"{(n, states, m)}, or {(n, m)} for the same row in every state"
            )
        return values if values.ndim == 3 else _everywhere(values, tables)


def _everywhere(rows: Float[np.ndarray, "n m"], tables: PricingTables) -> Float[np.ndarray, "n S m"]:
    return np.broadcast_to(rows[:, None, :], (tables.n, tables.n_states, tables.m))


def _against(tables: PricingTables, firm: int, prices: np.ndarray) -> Float[np.ndarray, " m"]:
    """What a firm earns in a period at each of its prices while the others charge theirs."""
    n, m = tables.n, tables.m
    table = tables.mean_profit[:, firm].reshape(*[m] * n)
    return table[tuple(slice(None) if j == firm else int(prices[j]) for j in range(n))]


def _indices(name: str, prices: int | Sequence[int], tables: PricingTables) -> np.ndarray:
    given = np.atleast_1d(np.asarray(prices))
    whole = given.dtype.kind in "iu" and given.ndim == 1 and len(given) in (1, tables.n)
    if not whole or given.min() < 0 or given.max() >= tables.m:
        raise InvalidSettingError(
            f"q_learning: {name} got price {prices!r}, expected one index 0..{tables.m - 1} of the grid, "
            f"or {tables.n}, one a firm"
        )
    return np.broadcast_to(given.astype(np.int64), (tables.n,))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)
