"""One-dimensional searches that the maximum-likelihood fits stand on: a bracketed Newton, and all maxima of a curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from scipy.optimize import brentq

__all__ = ["best_maximum", "rising_root"]


def rising_root(
    curve: Callable[[float], tuple[float, float]], start: float, *, stride: float = 2.0, tol: float = 1e-12
) -> float:
    """The root of a rising function, by Newton steps kept inside the bracket that the signs prove.

    Args:
        curve: The function: its value and its slope at a point.
        start: Where to begin.
        stride: The longest step while the root is not yet bracketed.
        tol: A step shorter than this times `1 + |point|` ends the search.

    Returns:
        The root; the best point after 200 steps if rounding kept the steps long.

    Example:
        >>> round(rising_root(lambda t: (t**3 - 8, 3 * t**2), 5.0), 12)
        2.0
    """
    low, high, at = -math.inf, math.inf, start
    for _ in range(200):
        value, slope = curve(at)
        if value == 0:
            return at
        low, high = (at, high) if value < 0 else (low, at)
        step = -value / slope if slope > 0 else math.copysign(math.inf, -value)
        if abs(step) <= tol * (1 + abs(at)):
            return at
        new = at + max(-stride, min(stride, step))
        at = new if low < new < high else (low + high) / 2  # a step can leave only a finite bracket
    return at


def best_maximum(score: Callable[[float], float], value: Callable[[float], float], grid: Sequence[float]) -> float:
    """The highest local maximum of a smooth curve between the ends of a grid, the ends included.

    Args:
        score: The slope of the curve.
        value: The curve; asked for only where several maxima compete.
        grid: Rising points; two maxima are told apart if a grid point lies between them.

    Returns:
        Where the maximum is. An end of the grid means that the curve still rises there.

    Example:
        >>> round(best_maximum(lambda t: 1 - t, lambda t: t - t * t / 2, [-2.0, 0.0, 4.0]), 9)
        1.0
        >>> best_maximum(lambda t: 1.0, lambda t: t, [0.0, 1.0])
        1.0
    """
    scores = [score(t) for t in grid]
    found = [grid[0]] if scores[0] <= 0 else []
    for k in range(len(grid) - 1):
        if scores[k] > 0 >= scores[k + 1]:
            found.append(float(brentq(score, grid[k], grid[k + 1], xtol=1e-11, rtol=1e-12)))  # pyright: ignore[reportArgumentType]
    if scores[-1] > 0:
        found.append(grid[-1])
    return found[0] if len(found) == 1 else max(found, key=value)
