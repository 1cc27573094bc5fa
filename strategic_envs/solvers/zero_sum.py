"""Nash equilibria of two-player zero-sum matrix games, each answer with the bounds that it proves.

The row player receives the matrix entry from the column player. A mixed row strategy p guarantees
`lower = min_j (p A)_j` and a mixed column strategy q concedes at most `upper = max_i (A q)_i`; the value lies between,
and `upper - lower` is the NashConv of (p, q) (von Neumann 1928). Every answer is judged by it.

A saddle point is returned as it is. Small games go to a compiled simplex method, large ones to a dense interior-point
method; when an answer is not good enough the other one follows, then HiGHS, and the best pair seen is returned.
A game that grows by rows and columns and is solved each time is a `GrowingGame` (`strategic_envs.solvers.growing`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import linprog
from torch import Tensor

from strategic_envs.errors import UnknownNameError
from strategic_envs.solvers.interior_point import interior_point
from strategic_envs.solvers.scaled import Array, Scaled, ZeroSumSolution, check_tolerance
from strategic_envs.solvers.simplex import simplex

__all__ = ["ZeroSumSolution", "solve_zero_sum"]

_SMALL = 60_000  # entries up to which the simplex method is the faster one


def solve_zero_sum(
    matrix: Tensor | np.ndarray | Sequence[Sequence[float]], *, tolerance: float = 1e-9, method: str = "auto"
) -> ZeroSumSolution:
    """A Nash equilibrium of a zero-sum matrix game.

    A case that no method solves is returned with `solved=False` and is never an exception.

    Args:
        matrix: Payoffs to the row player `(m, n)`.
        tolerance: The NashConv up to which the game counts as solved, for payoffs scaled to [-1, 1]: times half the
            payoffs' range in their own units. Where payoffs are large beside their range, what rounding takes from
            the bounds is allowed on top.
        method: `"auto"`, or one method alone: `"simplex"`, `"interior_point"` or `"highs"`.

    Raises:
        InvalidGameError: If the matrix is not a finite rectangular array.
        InvalidSettingError: If the tolerance is not a finite number >= 0.
        UnknownNameError: If there is no such method.

    Example:
        >>> solution = solve_zero_sum([[3.0, -1.0], [-2.0, 1.0]])
        >>> [round(x, 6) for x in solution.row.tolist()], round(solution.value, 6), solution.solved
        ([0.428571, 0.571429], 0.142857, True)
    """
    check_tolerance(tolerance, "zero-sum game")
    if method != "auto" and method not in _METHODS:
        raise UnknownNameError("method", method, ["auto", *_METHODS])
    game = Scaled.of(matrix)
    best = game.solution(*game.pure(), "pure", tolerance)
    if best.solved and best.nash_conv == 0:
        return best
    names = [method] if method != "auto" else _ORDER if game.b.size <= _SMALL else _ORDER_OF_LARGE
    for name in names:
        pair = _METHODS[name](game.b, tolerance)
        if pair is None:
            continue
        found = game.solution(*pair, name, tolerance)
        best = found if found.nash_conv <= best.nash_conv else best
        if best.solved:
            break
    return best


def _simplex(b: Array, tolerance: float) -> tuple[Array, Array] | None:
    return simplex(b)


def _interior_point(b: Array, tolerance: float) -> tuple[Array, Array] | None:
    return interior_point(b, tolerance / 2)


def _highs(b: Array, tolerance: float) -> tuple[Array, Array] | None:
    m, n = b.shape
    found = linprog(
        np.r_[np.zeros(m), -1.0],
        A_ub=np.c_[-b.T, np.ones(n)],
        b_ub=np.zeros(n),
        A_eq=np.r_[np.ones(m), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * m + [(None, None)],
        method="highs",
    )
    return None if found.x is None else (found.x[:m], -found.ineqlin.marginals)


_METHODS: dict[str, Callable[[Array, float], tuple[Array, Array] | None]] = {
    "simplex": _simplex,
    "interior_point": _interior_point,
    "highs": _highs,
}
_ORDER = ("simplex", "interior_point", "highs")
_ORDER_OF_LARGE = ("interior_point", "simplex", "highs")
