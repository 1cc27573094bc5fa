"""Nash equilibria of two-player zero-sum matrix games, each answer with the bounds that it proves.

The row player receives the matrix entry from the column player. A mixed row strategy p guarantees
`lower = min_j (p A)_j` and a mixed column strategy q concedes at most `upper = max_i (A q)_i`; the value lies between,
and `upper - lower` is the NashConv of (p, q) (von Neumann 1928).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linprog
from torch import Tensor

from strategic_envs.errors import InvalidGameError

__all__ = ["ZeroSumSolution", "solve_zero_sum"]


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


def solve_zero_sum(
    matrix: Tensor | Sequence[Sequence[float]], *, tolerance: float = 1e-9, method: str = "auto"
) -> ZeroSumSolution:
    """A Nash equilibrium of a zero-sum matrix game.

    Args:
        matrix: Payoffs to the row player `(m, n)`.
        tolerance: The NashConv up to which the game counts as solved.
        method: `"auto"`, or the name of one method.

    Raises:
        InvalidGameError: If the matrix is not a finite rectangular array.

    Example:
        >>> solution = solve_zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> solution.row.tolist(), solution.solved
        ([0.5, 0.5], True)
    """
    try:
        a = torch.as_tensor(matrix, dtype=torch.float64).numpy()
    except (ValueError, TypeError) as error:
        raise InvalidGameError(f"zero-sum game: expected one rectangular array of numbers: {error}") from error
    if a.ndim != 2 or 0 in a.shape or not np.isfinite(a).all():
        raise InvalidGameError(f"zero-sum game: got shape {a.shape}, expected finite payoffs (rows, columns)")
    m, n = a.shape
    found = linprog(
        np.r_[np.zeros(m), -1.0],
        A_ub=np.c_[-a.T, np.ones(n)],
        b_ub=np.zeros(n),
        A_eq=np.r_[np.ones(m), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * m + [(None, None)],
        method="highs",
    )
    row, column = np.maximum(found.x[:m], 0), np.maximum(-found.ineqlin.marginals, 0)
    row, column = row / row.sum(), column / column.sum()
    lower, upper = float((row @ a).min()), float((a @ column).max())
    solved = upper - lower <= tolerance
    value = float(row @ a @ column)
    return ZeroSumSolution(torch.from_numpy(row), torch.from_numpy(column), value, lower, upper, "highs", solved)
