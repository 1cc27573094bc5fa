"""A payoff matrix as given, and the same game with payoffs in [-1, 1] on which every method works."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidSettingError

__all__ = ["Array", "Scaled", "ZeroSumSolution", "check_tolerance", "positive_part", "read_payoffs"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ZeroSumSolution:
    """A pair of mixed strategies and the bounds of the value that they prove.

    Args:
        row: The maximiser's mixed strategy `(m,)`, float64.
        column: The minimiser's mixed strategy `(n,)`, float64.
        value: The payoff when both play so.
        lower: What `row` guarantees.
        upper: What `column` concedes at most.
        method: Which method found it.
        solved: Whether `upper - lower` is within the tolerance that was asked for.

    Example:
        >>> half = torch.tensor([0.5, 0.5], dtype=torch.float64)
        >>> ZeroSumSolution(half, half, 0.0, -0.25, 0.5, "guess", False).nash_conv
        0.75
    """

    row: Float[Tensor, " m"]
    column: Float[Tensor, " n"]
    value: float
    lower: float
    upper: float
    method: str
    solved: bool

    @property
    def nash_conv(self) -> float:
        """The sum of both players' gains: how far the pair is from an equilibrium."""
        return self.upper - self.lower


def read_payoffs(payoffs: object, who: str) -> Array:
    """Payoffs as a float64 array.

    Args:
        payoffs: A tensor, an array or nested sequences of real numbers.
        who: The start of an error message.

    Raises:
        InvalidGameError: If they are no rectangular array of finite real numbers, or empty.

    Example:
        >>> read_payoffs([[1, 2], [3, 4]], "game").dtype
        dtype('float64')
    """
    try:
        given = payoffs.detach().cpu().numpy() if isinstance(payoffs, Tensor) else np.asarray(payoffs)
    except (ValueError, TypeError) as error:
        raise InvalidGameError(f"{who}: expected one rectangular array of numbers: {error}") from error
    if given.dtype.kind not in "fiub":
        raise InvalidGameError(
            f"{who}: got entries of type {given.dtype}, expected one rectangular array of real numbers"
        )
    if given.ndim < 2 or 0 in given.shape:
        raise InvalidGameError(f"{who}: got shape {given.shape}, expected at least one action for every player")
    a = np.ascontiguousarray(given, dtype=np.float64)
    if not np.isfinite(a).all():
        where = tuple(int(k) for k in np.argwhere(~np.isfinite(a))[0])
        raise InvalidGameError(f"{who}: the payoff at {where} is {a[where]}; every payoff must be a finite number")
    return a


def positive_part(weights: Array) -> Array:
    """Weights as probabilities: none negative, and their sum one.

    Args:
        weights: Any numbers `(k,)`; where their positive part is 0 or not finite, the result is uniform.

    Example:
        >>> positive_part(np.array([2.0, 2.0, -1e-9]))
        array([0.5, 0.5, 0. ])
    """
    weights = np.maximum(weights, 0.0)
    total = weights.sum()
    return weights / total if 0 < total < math.inf else np.full(len(weights), 1 / len(weights))


def check_tolerance(tolerance: object, who: str) -> None:
    """Refuses a tolerance that is not a finite number of at least zero.

    Raises:
        InvalidSettingError: Naming the value.
    """
    good = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if not (good and math.isfinite(tolerance) and tolerance >= 0):  # pyright: ignore[reportArgumentType, reportOperatorIssue]
        raise InvalidSettingError(f"{who}: got tolerance={tolerance!r}, expected a finite number >= 0, such as 1e-9")


@dataclass(frozen=True, eq=False)
class Scaled:
    """A matrix game and the same game with payoffs `b = (a - middle) / half` in [-1, 1].

    Args:
        a: The payoffs as given `(m, n)`.
        b: The scaled payoffs.
        half: Half the range of the payoffs; 1 if all are equal.
    """

    a: Array
    b: Array
    half: float

    @classmethod
    def of(cls, matrix: Tensor | np.ndarray | Sequence[Sequence[float]], who: str = "zero-sum game") -> Scaled:
        """Checks and scales a payoff matrix.

        Raises:
            InvalidGameError: If the matrix is not a finite rectangular array.

        Example:
            >>> game = Scaled.of([[0.0, 10.0], [5.0, 0.0]])
            >>> game.b.tolist(), game.half
            ([[-1.0, 1.0], [0.0, -1.0]], 5.0)
        """
        a = read_payoffs(matrix, who)
        if a.ndim != 2:
            raise InvalidGameError(f"{who}: got shape {a.shape}, expected payoffs (rows, columns)")
        low, high = float(a.min()), float(a.max())
        middle, half = low / 2 + high / 2, high / 2 - low / 2
        if half == 0:
            return cls(a, np.zeros_like(a), 1.0)
        b = a - middle
        b /= half
        return cls(a, b, half)

    def solution(self, row: Array, column: Array, method: str, tolerance: float) -> ZeroSumSolution:
        """Judges a pair of strategies: the bounds that it proves, from the payoffs as given.

        Args:
            row: Weights of the rows, made non-negative and scaled to sum to one.
            column: The same of the columns.
            method: Who found it.
            tolerance: The NashConv at which the game counts as solved, for payoffs in [-1, 1].
        """
        row, column = (positive_part(np.round(positive_part(x), 15)) for x in (row, column))  # the rest is rounding
        against = self.a @ column
        lower, upper = float((row @ self.a).min()), float(against.max())
        lower, upper = min(lower, upper), max(lower, upper)  # they may cross by rounding
        value = min(max(float(row @ against), lower), upper)
        # Where payoffs are large beside their range, the bounds themselves are rounded.
        rounding = 4 * np.finfo(np.float64).eps * math.sqrt(max(self.a.shape)) * max(abs(lower), abs(upper))
        solved = bool(upper - lower <= tolerance * self.half + rounding)
        return ZeroSumSolution(torch.from_numpy(row), torch.from_numpy(column), value, lower, upper, method, solved)

    def pure(self) -> tuple[Array, Array]:
        """The best pure strategies, the lowest first: a saddle point if there is one."""
        row, column = np.zeros(self.b.shape[0]), np.zeros(self.b.shape[1])
        row[self.b.min(1).argmax()] = column[self.b.max(0).argmin()] = 1.0
        return row, column
