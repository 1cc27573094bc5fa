"""Maximises entropy or Gini impurity over `{x >= 0 : sum x = 1, E x = 0, G x <= h}`, where some x > 0 has G x < h.

Minimised is `sum phi(x)` with `phi = x log x` or `x^2 / 2`. The conditions of Karush, Kuhn and Tucker are
`phi'(x) + G'a + E'b + c - z = 0` with multipliers `a, z >= 0`, `a (h - G x) = 0` and `z x = 0`; Newton's method solves
them with `mu` in place of the two zeros, and mu falls to 0 (Mehrotra 1992, without a corrector). A step eliminates x,
whose block is diagonal, and leaves a system in the size of the number of inequalities.
"""

from __future__ import annotations

import numpy as np

from strategic_envs.solvers.scaled import Array

__all__ = ["central_path"]

_ITERATIONS = 200
_EXACT = 1e-18  # the error to stop at: x is as near to the solution as the root of it
_STALLED = 5  # iterations without progress after which rounding is in the way
_STAY = 0.99  # of the longest step that keeps everything positive


def central_path(
    inequalities: Array, equalities: Array, *, entropy: bool, tolerance: float, allowed: float = 0.0
) -> tuple[Array, bool]:
    """The x of greatest entropy or Gini impurity.

    Args:
        inequalities: G, `(k, n)`.
        equalities: E, `(l, n)`; rows may depend on each other.
        entropy: Maximise the entropy, else the Gini impurity.
        tolerance: Of the conditions and of the objective.
        allowed: h, the same for all inequalities.

    Returns:
        x `(n,)`, and whether the conditions hold up to the tolerance.

    Example:
        >>> half = np.array([[1.0, -1.0, 0.5]])  # uniform play breaks this inequality, so it ends with equality
        >>> x, optimal = central_path(half, np.zeros((0, 3)), entropy=True, tolerance=1e-9)
        >>> optimal, x.round(4).tolist()
        (True, [0.272, 0.424, 0.304])
    """
    g, n = inequalities, inequalities.shape[1]
    fixed = np.vstack([equalities, np.ones(n)])
    level = np.r_[np.zeros(len(equalities)), 1.0]
    x, slack = np.full(n, 1 / n), np.maximum(allowed - g @ np.full(n, 1 / n), 0.1 / n)
    a, z, free = np.full(len(g), 1 / n), np.full(n, 1 / n), np.zeros(len(fixed))
    best, least, stalled = x, np.inf, 0
    for _ in range(_ITERATIONS):
        slope, curve = (np.log(x) + 1, 1 / x) if entropy else (x, np.ones(n))
        dual = slope + g.T @ a + fixed.T @ free - z
        primal, missing = g @ x + slack - allowed, fixed @ x - level
        open_gap = a @ slack + z @ x
        error = float(max(np.abs(np.r_[dual * x, primal, missing]).max(), open_gap))
        stalled = 0 if error < 0.9 * least or least > tolerance else stalled + 1
        if error < least:
            best, least = x, error
        if least <= _EXACT or stalled == _STALLED or not np.isfinite(error):
            break
        target = 0.1 * open_gap / (len(g) + n)
        d = 1 / (curve + z / x)
        right = -dual + target / x - z
        # dx = d (right - G'da - F'df); G dx + dslack = -primal, dslack = target/a - slack - (slack/a) da
        both = np.vstack([g, fixed])
        normal = (both * d) @ both.T
        normal[np.arange(len(g)), np.arange(len(g))] += slack / a
        residual = np.r_[primal + target / a - slack, missing] + both @ (d * right)
        change = _symmetric_solve(normal, residual)
        da, dfree = change[: len(g)], change[len(g) :]
        dx = d * (right - both.T @ change)
        dz, dslack = target / x - z - z / x * dx, target / a - slack - slack / a * da
        step = min([1.0, *(_STAY * _longest(v, dv) for v, dv in ((x, dx), (z, dz), (slack, dslack), (a, da)))])
        x, z, slack, a, free = x + step * dx, z + step * dz, slack + step * dslack, a + step * da, free + step * dfree
    return best, bool(least <= tolerance)


def _symmetric_solve(matrix: Array, right: Array) -> Array:
    """The solution of a positive semidefinite system, of least norm where there are many."""
    scale = 1 / np.sqrt(np.maximum(matrix.diagonal(), 1e-300))
    scaled = matrix * scale * scale[:, None]
    try:
        values, vectors = np.linalg.eigh(scaled)
    except np.linalg.LinAlgError:
        return np.full(len(right), np.nan)
    kept = values > 1e-13 * values[-1]
    return scale * (vectors[:, kept] @ ((vectors[:, kept].T @ (scale * right)) / values[kept]))


def _longest(x: Array, dx: Array) -> float:
    falling = dx < 0
    return float((x[falling] / -dx[falling]).min(initial=np.inf))
