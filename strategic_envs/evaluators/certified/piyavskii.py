"""Piyavskii and Shubert's search in one dimension, with proved slopes.

On an interval `[a, b]` with slopes in `[L, U]` the function lies under the two lines `g(a) + U (y - a)` and
`g(b) - L (b - y)`, whose crossing bounds it (Piyavskii 1972, Shubert 1972; they use one Lipschitz constant for all
intervals, here each interval proves its own). With `g'' >= -M` it also lies under the chord plus `M/2 (y - a)(b - y)`,
which is better near a smooth maximum. Many intervals are split at once.
"""

from __future__ import annotations

import numpy as np

from strategic_envs.evaluators.certified import intervals as iv
from strategic_envs.evaluators.certified.branch_and_bound import Search
from strategic_envs.evaluators.certified.intervals import Interval
from strategic_envs.evaluators.certified.objective import Enclosure, Objective

__all__ = ["piyavskii"]

_BATCH = 64  # intervals split at once
_NARROW = 2.0**-46  # intervals are not split below this width, relative to their place (to 1 near zero)


def piyavskii(
    objective: Objective,
    low: float,
    high: float,
    point: float,
    lower: float,
    tolerance: float,
    budget: int = 100_000,
) -> Search:
    """Bounds the largest value of a function of one number on `[low, high]`.

    Args:
        objective: The function.
        low: The lower end, finite.
        high: The upper end, finite.
        point: A good point.
        lower: A proved lower bound of the value there.
        tolerance: Stops when the upper bound is this near to the lower one.
        budget: How many points and intervals to enclose at most.

    Returns:
        Bounds that hold, whether the tolerance was reached or not.
    """
    start, settled = objective.evaluations, -np.inf
    ends = np.array([low, high] if low < high else [low])
    values = _values(objective, ends)
    best = int(values.lo.argmax())
    if values.lo[best] > lower:
        point, lower = float(ends[best]), float(values.lo[best])
    if len(ends) == 1:
        return Search(np.array([point]), lower, max(lower, float(values.hi[0])), objective.evaluations - start)
    # One row an interval: its ends, the upper bounds of the values there, its bound, and where to split it.
    rows = _bounded(objective, ends[:1], ends[1:], values.hi[:1], values.hi[1:])
    while True:
        narrow = rows[:, 1] - rows[:, 0] <= _NARROW * np.maximum(1.0, np.abs(rows[:, 0]))
        done = (rows[:, 4] <= lower + tolerance) | narrow | np.isinf(rows[:, 2:4]).any(1)
        settled = max(settled, float(rows[done, 4].max(initial=-np.inf)))
        rows = rows[~done]
        upper = max(settled, float(rows[:, 4].max(initial=-np.inf)), lower)
        hopeless = not len(rows) or settled >= float(rows[:, 4].max())
        if upper - lower <= tolerance or hopeless or objective.evaluations - start >= budget:
            return Search(np.array([point]), lower, upper, objective.evaluations - start)
        order = np.argsort(-rows[:, 4], kind="stable")
        taken, rest = rows[order[:_BATCH]], rows[order[_BATCH:]]
        a, b, at_a, at_b, _, cut = taken.T
        found = _values(objective, cut)
        best = int(found.lo.argmax())
        if found.lo[best] > lower:
            point, lower = float(cut[best]), float(found.lo[best])
        left, right = (a, cut, at_a, found.hi), (cut, b, found.hi, at_b)
        new = _bounded(objective, *(np.concatenate(pair) for pair in zip(left, right, strict=True)))
        new[:, 4] = np.minimum(new[:, 4], np.tile(taken[:, 4], 2))
        rows = np.concatenate([rest, new])


def _values(objective: Objective, points: np.ndarray) -> Interval:
    column = points[:, None]
    return objective.enclose(column, column, 0).value


def _bounded(objective: Objective, a: np.ndarray, b: np.ndarray, at_a: np.ndarray, at_b: np.ndarray) -> np.ndarray:
    over = objective.enclose(a[:, None], b[:, None], 2)
    with np.errstate(all="ignore"):
        width = iv.subtract(iv.point(b), iv.point(a))
        lines, cut = _lines(over, width, a, b, at_a, at_b)
        upper = np.fmin(np.fmin(over.value.hi, lines), _chord(over, width, at_a, at_b))
        upper = np.fmax(upper, np.maximum(at_a, at_b))
    return np.stack([a, b, at_a, at_b, upper, cut], axis=1)


def _lines(
    over: Enclosure, width: Interval, a: np.ndarray, b: np.ndarray, at_a: np.ndarray, at_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The height at which the two lines cross, and a place to split between a tenth and nine tenths."""
    down, up = np.minimum(over.slopes.lo[:, 0], 0.0), np.maximum(over.slopes.hi[:, 0], 0.0)
    size = width.hi
    share = (at_b - at_a - down * size) / (up - down)
    share = np.clip(np.where(np.isfinite(share), share, size / 2), 0.0, size)  # any place gives a bound
    left = iv.add(iv.point(at_a), iv.multiply(iv.point(up), iv.point(share))).hi
    rest = iv.subtract(width, iv.point(share))
    right = iv.add(iv.point(at_b), iv.multiply(iv.point(-down), Interval(np.maximum(rest.lo, 0.0), rest.hi))).hi
    middle = a + np.clip(share, 0.1 * size, 0.9 * size)
    return np.maximum(left, right), np.where((middle > a) & (middle < b), middle, (a + b) / 2)


def _chord(over: Enclosure, width: Interval, at_a: np.ndarray, at_b: np.ndarray) -> np.ndarray:
    """The chord plus `M/2 (y - a)(b - y)`, whose top is between the ends if these differ by at most `M/2 (b - a)^2`."""
    sag = iv.point(np.maximum(-over.bends.lo[:, 0, 0], 0.0) / 2)
    hump = iv.multiply(sag, iv.square(width))
    tilt = iv.subtract(iv.point(at_b), iv.point(at_a))
    ends = iv.point(np.maximum(at_a, at_b))
    base = iv.scale(iv.add(iv.point(at_a), iv.point(at_b)), 0.5)
    top = iv.add(iv.add(base, iv.scale(hump, 0.25)), iv.divide(iv.scale(iv.square(tilt), 0.25), hump)).hi
    inside = iv.absolute(tilt).lo <= hump.hi
    return np.where(inside, np.fmax(np.where(np.isnan(top), np.inf, top), ends.hi), ends.hi)
