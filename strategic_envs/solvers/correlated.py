"""Correlated and coarse correlated equilibria of finite games: the one of greatest entropy, welfare or Gini impurity.

A joint distribution x over action profiles is a coarse correlated equilibrium (CCE) if nobody gains by an action chosen
before the draw, and a correlated equilibrium (CE; Aumann 1974) if nobody gains by any answer to its drawn action. Both
are polytopes `G x <= 0`, one row of G a deviation, so a selection is needed: the greatest sum of utilities is a linear
program; the greatest entropy (Ortiz, Schapire and Kakade 2007) and the greatest Gini impurity `1 - sum x^2` (Marris et
al. 2021) have one solution each.

The two concave programs are solved in two steps. A linear program over the cone `{x >= 0 : G x <= 0}` finds which
profiles may have a positive probability at all and which inequalities may be strict; what is left has an interior.
There Newton's method follows the central path. Where actions are so alike that the polytope is too thin for this, it
is widened to `G x <= tolerance / 2`, and where that fails too the answer is any equilibrium. Every answer's gap is
computed anew from the payoffs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linprog
from scipy.sparse import block_array, csr_array, eye_array
from torch import Tensor

from strategic_envs.errors import InvalidGameError, UnknownNameError
from strategic_envs.solvers.central_path import central_path
from strategic_envs.solvers.scaled import Array, check_tolerance, positive_part, read_payoffs

__all__ = ["CorrelatedSolution", "deviation_gains", "solve_cce", "solve_ce"]

_SELECTIONS = ("entropy", "welfare", "gini")
_LARGEST = 2**26  # numbers in G


@dataclass(frozen=True, eq=False)
class CorrelatedSolution:
    """A joint distribution and how far it is from an equilibrium.

    Args:
        probability: Of each action profile `(A_0, ..., A_{n-1})`, float64.
        gap: The largest gain of a player by deviating, in payoff units: of the best fixed action for a CCE, of the best
            answers to its drawn actions together for a CE. At most 0, or rounding, at an equilibrium.
        utilities: What each player expects.
        select: Which equilibrium was asked for.
        optimal: Whether it was proved to be that one, up to the tolerance: its objective is at least as good as that of
            every equilibrium, up to the tolerance.
        solved: Whether the gap is within the tolerance and it is the one that was asked for.
    """

    probability: Float[Tensor, "..."]
    gap: float
    utilities: tuple[float, ...]
    select: str
    optimal: bool
    solved: bool


def solve_cce(
    payoffs: Tensor | np.ndarray | Sequence[object], *, select: str = "entropy", tolerance: float = 1e-7
) -> CorrelatedSolution:
    """A coarse correlated equilibrium.

    Args:
        payoffs: `(n, A_0, ..., A_{n-1})`: `payoffs[i][a]` is player i's payoff at the action profile a.
        select: `"entropy"`, `"welfare"` (of the vertices a solver meets) or `"gini"`: what is to be greatest.
        tolerance: Of the gap and of what was selected, for payoffs scaled to a range of 2.

    Returns:
        The equilibrium; `solved=False` where the methods did not get there.

    Raises:
        InvalidGameError: If the payoffs are no finite tensor of that shape, or too large for a dense program.
        InvalidSettingError: If the tolerance is not a finite number >= 0.
        UnknownNameError: If there is no such selection.

    Example:
        >>> pennies = [[[1.0, -1.0], [-1.0, 1.0]], [[-1.0, 1.0], [1.0, -1.0]]]
        >>> solve_cce(pennies).probability.numpy().round(6).tolist()
        [[0.25, 0.25], [0.25, 0.25]]
    """
    return _solve(payoffs, False, select, tolerance)


def solve_ce(
    payoffs: Tensor | np.ndarray | Sequence[object], *, select: str = "entropy", tolerance: float = 1e-7
) -> CorrelatedSolution:
    """A correlated equilibrium. Arguments, result and errors as in `solve_cce`.

    Example:
        >>> chicken = [[[0.0, 7.0], [2.0, 6.0]], [[0.0, 2.0], [7.0, 6.0]]]
        >>> best = solve_ce(chicken, select="welfare")
        >>> best.probability.numpy().round(6).tolist(), round(sum(best.utilities), 6)
        ([[0.0, 0.25], [0.25, 0.5]], 10.5)
    """
    return _solve(payoffs, True, select, tolerance)


def deviation_gains(payoffs: Array, correlated: bool) -> Array:
    """G: what each deviation gains at each action profile, `(deviations, profiles)`.

    Args:
        payoffs: `(n, A_0, ..., A_{n-1})`.
        correlated: Deviations `(i, a, b)` that play b where a was drawn, instead of `(i, b)` that always play b.

    Example:
        >>> deviation_gains(np.array([[0.0, 1.0]]), False)
        array([[ 0., -1.],
               [ 1.,  0.]])
    """
    rows = []
    for i, u in enumerate(payoffs):
        moved = np.moveaxis(u, i, 0)
        for b in range(u.shape[i]):
            gain = np.moveaxis(np.broadcast_to(moved[b], moved.shape) - moved, 0, i)
            if not correlated:
                rows.append(gain.ravel())
                continue
            for a in range(u.shape[i]):
                if a != b:
                    only = np.zeros_like(u)
                    at = (slice(None),) * i + (a,)
                    only[at] = gain[at]
                    rows.append(only.ravel())
    return np.array(rows) if rows else np.zeros((0, payoffs[0].size))


def _solve(payoffs: object, correlated: bool, select: str, tolerance: float) -> CorrelatedSolution:
    who = "correlated equilibrium" if correlated else "coarse correlated equilibrium"
    check_tolerance(tolerance, who)
    if select not in _SELECTIONS:
        raise UnknownNameError("selection", select, _SELECTIONS)
    u = read_payoffs(payoffs, who)
    if u.shape[0] != u.ndim - 1:
        raise InvalidGameError(
            f"{who}: got payoffs of shape {u.shape}, expected (n, A_0, ..., A_(n-1)), one action axis a player"
        )
    deviations = sum(a * (a - 1) if correlated else a for a in u.shape[1:])
    if deviations * u[0].size > _LARGEST:
        raise InvalidGameError(
            f"{who}: {deviations} deviations at {u[0].size} action profiles are too many for a dense program, at most "
            f"{_LARGEST} numbers; drop actions that nobody would play, or learn one by a no-regret dynamic"
        )
    axes = tuple(range(1, u.ndim))
    low, high = u.min(axes, keepdims=True), u.max(axes, keepdims=True)
    half = np.where(high > low, high / 2 - low / 2, 1.0)  # a player's deviations do not change with its units
    scaled = (u - (low / 2 + high / 2)) / half
    g = deviation_gains(scaled, correlated)

    def miss(x: Array) -> float:
        return max((_gain(v, x.reshape(u.shape[1:]), i, correlated) for i, v in enumerate(scaled)), default=0.0)

    x, optimal, scaled_gap = np.ones(g.shape[1]), False, np.inf
    for attempt in _attempts(g, u, select, tolerance):
        other, proved = attempt()
        other = positive_part(other)
        if miss(other) < scaled_gap or (proved and miss(other) <= tolerance):
            x, optimal, scaled_gap = other, proved, miss(other)
        if scaled_gap <= tolerance and optimal:
            break
    x = x.reshape(u.shape[1:])
    gap = max((_gain(v, x, i, correlated) for i, v in enumerate(u)), default=0.0)
    utilities = tuple(float((v * x).sum()) for v in u)
    solved = bool(optimal and scaled_gap <= tolerance)
    return CorrelatedSolution(torch.from_numpy(x), gap, utilities, select, bool(optimal), solved)


def _gain(u: Array, x: Array, player: int, correlated: bool) -> float:
    """What a player gains by its best deviation from x."""
    drawn, payoff = (np.moveaxis(t, player, 0).reshape(t.shape[player], -1) for t in (x, u))
    table = drawn @ payoff.T  # drawn a, played b
    best = table.max(1).sum() if correlated else table.sum(0).max()
    return float(best - np.trace(table))


def _welfare(g: Array, u: Array, tolerance: float) -> tuple[Array, bool]:
    """The greatest sum of utilities; proved by the dual solution: no x beats `max(welfare - lambda G)`."""
    welfare = u.sum(0).ravel()
    scale = float(np.abs(welfare).max()) or 1.0
    found = linprog(
        -welfare / scale, A_ub=csr_array(g), b_ub=np.zeros(len(g)), A_eq=np.ones((1, g.shape[1])), b_eq=[1.0]
    )
    if found.x is None:
        return np.ones(g.shape[1]), False
    prices = np.maximum(-found.ineqlin.marginals, 0.0)
    bound = float((welfare / scale - prices @ g).max())
    return found.x, bool(bound - welfare @ positive_part(found.x) / scale <= tolerance)


def _attempts(g: Array, u: Array, select: str, tolerance: float) -> list[Callable[[], tuple[Array, bool]]]:
    """What is tried, in order: ways to find what was asked for, then any equilibrium, which is not proved to be it."""
    if select == "welfare":
        return [lambda: _welfare(g, u, tolerance)]

    def widened() -> tuple[Array, bool]:
        none = np.zeros((0, g.shape[1]))
        return central_path(g, none, entropy=select == "entropy", tolerance=tolerance, allowed=tolerance / 2)

    return [lambda: _concave(g, select, tolerance), widened, lambda: (_welfare(g, u, tolerance)[0], False)]


def _concave(g: Array, select: str, tolerance: float) -> tuple[Array, bool]:
    """The greatest entropy or Gini impurity."""
    possible, strict = _face(g)
    if not possible.any():
        return np.ones(g.shape[1]), False
    x = np.zeros(g.shape[1])
    kept = g[:, possible]
    x[possible], optimal = central_path(kept[strict], kept[~strict], entropy=select == "entropy", tolerance=tolerance)
    return x, optimal


def _face(g: Array) -> tuple[np.ndarray, np.ndarray]:
    """Which profiles some equilibrium plays, and which inequalities one meets strictly; one does all of that at once.

    In the cone of all multiples of equilibria, `max sum min(x, 1) + sum min(-G x, 1)` makes every part 1 that can be
    positive, because multiples and sums stay in the cone.
    """
    m, n = g.shape
    largest = np.abs(g).max(1, initial=0.0)
    g = g / np.where(largest > 0, largest, 1.0)[:, None]
    parts = [  # x, then the parts up to 1 of -G x and of x
        [csr_array(g), eye_array(m), None],
        [-eye_array(n), None, eye_array(n)],
    ]
    found = linprog(
        np.r_[np.zeros(n), -np.ones(m + n)],
        A_ub=block_array(parts, format="csr"),
        b_ub=np.zeros(m + n),
        bounds=[(0, None)] * n + [(0, 1)] * (m + n),
    )
    if found.x is None:
        return np.zeros(n, dtype=bool), np.zeros(m, dtype=bool)
    return found.x[n + m :] > 0.5, found.x[n : n + m] > 0.5
