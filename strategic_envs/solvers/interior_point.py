"""A dense interior-point method for matrix games (Mehrotra 1992), and the exact end of one.

The maximiser solves `max v : s = A'p - v >= 0`, the minimiser `min u : t = u - A q >= 0`, over mixed strategies p, q.
Uniform play and generous u and v are feasible, so every iterate is; what is left is `p_i t_i = q_j s_j = mu` with mu
falling to 0. A Newton step needs one Cholesky factorisation of `Q^-1 S + A' P T^-1 A`, in the size of the smaller
strategy set, for a predictor and a corrector. Towards the end `p_i > t_i` tells which actions are played; where both
players play equally many, one linear system gives the equilibrium to the last digits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strategic_envs.solvers.dense import dgetrf, dgetrs, dpotrf, dpotrs, dsyrk
from strategic_envs.solvers.scaled import Array, positive_part

__all__ = ["interior_point", "on_support"]

Actions = NDArray[np.int64]

_ITERATIONS = 60
_NEAR = 1e-7  # the NashConv below which supports of neighbouring sizes are tried as well
_STALLED = 4  # iterations without progress after which rounding is in the way
_STAY = 0.995  # of the longest step that keeps everything positive


def interior_point(b: Array, aim: float) -> tuple[Array, Array]:
    """The best pair of strategies found in the game with payoffs b in [-1, 1].

    Args:
        b: Payoffs to the maximiser `(m, n)`.
        aim: The NashConv to stop at. Matrices of low rank may stop it earlier: judge what comes back.

    Example:
        >>> row, column = interior_point(np.array([[1.0, -1.0], [-1.0, 0.0]]), 1e-12)
        >>> row.round(9), column.round(9)
        (array([0.33333333, 0.66666667]), array([0.33333333, 0.66666667]))
    """
    if b.shape[0] < b.shape[1]:  # the Cholesky factor has the size of the columns
        column, row = _minimise(-b.T, aim)
        return row, column
    return _minimise(b, aim)


def on_support(b: Array, i: Actions, j: Actions) -> tuple[Array, Array] | None:
    """The strategies that make the opponent indifferent among these actions, or None if no unique ones do.

    Args:
        b: Payoffs in [-1, 1] to the maximiser `(m, n)`.
        i: The rows that are played, `(k,)`.
        j: The columns that are played, `(k,)`.

    Example:
        >>> both = np.array([0, 1])
        >>> on_support(np.array([[1.0, -1.0], [-1.0, 1.0]]), both, both)
        (array([0.5, 0.5]), array([0.5, 0.5]))
    """
    factors, order, singular = dgetrf(b[np.ix_(i, j)] + 2.0)  # all payoffs, and with them the value, positive
    if singular:
        return None
    ones = np.ones(len(i))
    row, column = np.zeros(b.shape[0]), np.zeros(b.shape[1])
    row[i], column[j] = dgetrs(factors, order, ones, trans=1)[0], dgetrs(factors, order, ones)[0]
    return positive_part(row), positive_part(column)


def _minimise(b: Array, aim: float) -> tuple[Array, Array]:
    m, n = b.shape
    p, q = np.full(m, 1 / m), np.full(n, 1 / n)
    t, s = _slacks(b @ q), _slacks(-(p @ b))
    best, least, stalled = (p, q), np.inf, 0
    for _ in range(_ITERATIONS):
        pair = p / p.sum(), q / q.sum()
        pairs = [pair, *_guesses(b, p / t, q / s, near=_nash_conv(b, pair) < _NEAR)]
        gaps = [_nash_conv(b, pair) for pair in pairs]
        stalled = 0 if min(gaps) < 0.9 * least else stalled + 1
        if min(gaps) < least:
            best, least = pairs[int(np.argmin(gaps))], min(gaps)
        if least <= aim or stalled == _STALLED:
            break
        factor = _cholesky(b, p / t, s / q)
        if factor is None:
            break
        newton = _Newton(b, p, q, t, factor)
        mu = (p @ t + q @ s) / (m + n)
        dp, dq, ds, dt = newton.step(-p * t, -q * s)
        a, c = _longest((p, s), (dp, ds)), _longest((q, t), (dq, dt))
        ahead = ((p + a * dp) @ (t + c * dt) + (q + c * dq) @ (s + a * ds)) / (m + n)
        target = (ahead / mu) ** 3 * mu
        dp, dq, ds, dt = newton.step(target - p * t - dp * dt, target - q * s - dq * ds)
        a, c = _STAY * _longest((p, s), (dp, ds)), _STAY * _longest((q, t), (dq, dt))
        p, s, q, t = p + a * dp, s + a * ds, q + c * dq, t + c * dt
    return best


def _guesses(b: Array, rows: Array, columns: Array, near: bool) -> list[tuple[Array, Array]]:
    """Equilibria of supports that the ratios `p_i / t_i` and `q_j / s_j` suggest: those above 1, once they agree."""
    i, j = int((rows > 1).sum()), int((columns > 1).sum())
    middle = (i + j) // 2
    sizes = {middle - 1, middle, middle + 1} if near else {middle} if i == j else set()
    sizes &= set(range(1, min(b.shape) + 1))
    order = np.argsort(-rows, kind="stable"), np.argsort(-columns, kind="stable")
    found = [on_support(b, order[0][:k], order[1][:k]) for k in sorted(sizes)]
    return [pair for pair in found if pair is not None]


def _cholesky(b: Array, d: Array, diagonal: Array) -> Array | None:
    """The factor of `diagonal + b' d b`; None where rounding has made that indefinite or not finite."""
    normal = dsyrk(1.0, (b * np.sqrt(d)[:, None]).T, lower=1)
    normal.ravel(order="K")[:: len(diagonal) + 1] += diagonal
    factor, failed = dpotrf(normal, lower=1, clean=0, overwrite_a=1)
    return None if failed or not np.isfinite(factor.diagonal()).all() else factor


class _Newton:
    """The linear system of one iterate: `t dp + p dt = x`, `s dq + q ds = y`, and feasibility kept."""

    def __init__(self, b: Array, p: Array, q: Array, t: Array, factor: Array) -> None:
        self.b, self.q, self.t, self.d, self.factor = b, q, t, p / t, factor
        self.of_u, self.of_v = self._solve(self.d @ b), self._solve(np.ones(len(q)))
        self.b_u, self.b_v = b @ self.of_u, b @ self.of_v
        self.sums = [  # of dq and of dp, for each unit of du and dv: both must stay 0
            [self.of_u.sum(), self.of_v.sum()],
            [self.d @ self.b_u - self.d.sum(), self.d @ self.b_v],
        ]

    def _solve(self, right: Array) -> Array:
        return dpotrs(self.factor, right, lower=1)[0]

    def step(self, x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
        """The changes of p, q, s and t."""
        free = x / self.t
        z = self._solve(y / self.q - free @ self.b)
        b_z = self.b @ z
        du, dv = np.linalg.lstsq(self.sums, [-z.sum(), -free.sum() - self.d @ b_z], rcond=None)[0]
        dq = z + du * self.of_u + dv * self.of_v
        dt = du - (b_z + du * self.b_u + dv * self.b_v)
        dp = free - self.d * dt
        return dp, dq, dp @ self.b - dv, dt


def _slacks(payoffs: Array) -> Array:
    """How far a bound generously above all payoffs is above each."""
    top = payoffs.max()
    return top + 0.05 + 0.1 * (top - payoffs.min()) - payoffs


def _longest(x: tuple[Array, ...], dx: tuple[Array, ...]) -> float:
    """The longest step of at most 1 that keeps all of x at least 0."""
    return min(1.0, *(float((a[d < 0] / -d[d < 0]).min(initial=1.0)) for a, d in zip(x, dx, strict=True)))


def _nash_conv(b: Array, pair: tuple[Array, Array]) -> float:
    return float((b @ pair[1]).max() - (pair[0] @ b).min())
