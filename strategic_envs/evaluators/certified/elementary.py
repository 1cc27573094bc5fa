"""Interval versions of the elementary functions.

NumPy and SciPy evaluate these functions to a few units in the last place; bounds here are moved outward by 16 of them
(`2^-48` of the value; `2^-44` for the tangent) and by `1e-290`, or `2^-56` for the trigonometric functions, whose zeros
are irrational. A test measures the true errors against many digits. An argument that may lie outside a function's
domain gives `(-inf, inf)`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

from strategic_envs.evaluators.certified.intervals import (
    Interval,
    absolute,
    add,
    multiply,
    negate,
    ordered,
    outward,
    point,
    reciprocal,
    square,
    subtract,
)

__all__ = [
    "arccos",
    "arcsin",
    "arcsinh",
    "arctan",
    "bell",
    "cos",
    "cosh",
    "erf",
    "exp",
    "expm1",
    "log",
    "log1p",
    "logistic_slope",
    "power",
    "real_power",
    "sigmoid",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "tan",
    "tanh",
]

_SLACK = 2.0**-48
_FLOOR = 1e-290
_TRIGONOMETRIC_FLOOR = 2.0**-56
_FAR = 1e6  # beyond this many radians a sine is only known to lie in [-1, 1]

_BELL = np.full(1, 2 / np.sqrt(np.pi))

Function = Callable[[np.ndarray], np.ndarray]


def _increasing(
    f: Function, a: Interval, *, low: float = -np.inf, high: float = np.inf, start: float = -np.inf, end: float = np.inf
) -> Interval:
    """An increasing function on `(start, end)` with values in `[low, high]`."""
    with np.errstate(all="ignore"):
        lo = f(a.lo)
        hi = lo if a.is_point else f(a.hi)
    wide = outward(lo, hi, _SLACK, _FLOOR)
    lo, hi = np.maximum(wide.lo, low), np.minimum(wide.hi, high)
    if start > -np.inf or end < np.inf:
        outside = (a.lo < start) | (a.hi > end)
        if outside.any():
            lo, hi = np.where(outside, -np.inf, lo), np.where(outside, np.inf, hi)
    return Interval(lo, hi)


def exp(a: Interval) -> Interval:
    """`e^a`."""
    return _increasing(np.exp, a, low=0.0)


def expm1(a: Interval) -> Interval:
    """`e^a - 1`."""
    return _increasing(np.expm1, a, low=-1.0)


def log(a: Interval) -> Interval:
    """The natural logarithm; unbounded where a may be zero or less."""
    return _increasing(np.log, a, start=0.0)


def log1p(a: Interval) -> Interval:
    """`log(1 + a)`."""
    return _increasing(np.log1p, a, start=-1.0)


def sqrt(a: Interval) -> Interval:
    """The square root; unbounded where a may be negative."""
    found = _increasing(np.sqrt, a, low=0.0, start=0.0)
    return Interval(np.where(a.lo == 0, 0.0, found.lo), np.where((a.lo == 0) & (a.hi == 0), 0.0, found.hi))


def tanh(a: Interval) -> Interval:
    """The hyperbolic tangent."""
    return _increasing(np.tanh, a, low=-1.0, high=1.0)


def sinh(a: Interval) -> Interval:
    """The hyperbolic sine."""
    return _increasing(np.sinh, a)


def cosh(a: Interval) -> Interval:
    """The hyperbolic cosine."""
    return _increasing(np.cosh, absolute(a), low=1.0)


def arcsinh(a: Interval) -> Interval:
    """The inverse hyperbolic sine."""
    return _increasing(np.arcsinh, a)


def arctan(a: Interval) -> Interval:
    """The inverse tangent, between -pi/2 and pi/2."""
    return _increasing(np.arctan, a)


def arcsin(a: Interval) -> Interval:
    """The inverse sine; unbounded where a may leave [-1, 1]."""
    return _increasing(np.arcsin, a, start=-1.0, end=1.0)


def arccos(a: Interval) -> Interval:
    """The inverse cosine; unbounded where a may leave [-1, 1]."""
    return negate(_increasing(lambda x: -np.arccos(x), a, start=-1.0, end=1.0))


def erf(a: Interval) -> Interval:
    """The error function."""
    return _increasing(special.erf, a, low=-1.0, high=1.0)


def sigmoid(a: Interval) -> Interval:
    """`1 / (1 + e^-a)`."""
    return _increasing(special.expit, a, low=0.0, high=1.0)


def softplus(a: Interval) -> Interval:
    """`log(1 + e^a)`."""
    return _increasing(lambda x: np.logaddexp(0.0, x), a, low=0.0)


def _waves(a: Interval, f: Function, quarter: float) -> Interval:
    """A function of period 2 pi with values in [-1, 1] that is 1 at `2 pi (k + quarter)` and -1 half a period on."""
    with np.errstate(all="ignore"):
        first, last = f(a.lo), f(a.hi)
        found = outward(np.minimum(first, last), np.maximum(first, last), _SLACK, _TRIGONOMETRIC_FLOOR)
        start, end = a.lo / (2 * np.pi) - quarter, a.hi / (2 * np.pi) - quarter
        start, end = start - 1e-14 * (1 + np.abs(start)), end + 1e-14 * (1 + np.abs(end))
        crest = np.floor(end) >= np.ceil(start)
        trough = np.floor(end - 0.5) >= np.ceil(start - 0.5)
    far = ~((np.abs(a.lo) < _FAR) & (np.abs(a.hi) < _FAR))
    lo = np.where(trough | far, -1.0, np.maximum(found.lo, -1.0))
    return Interval(lo, np.where(crest | far, 1.0, np.minimum(found.hi, 1.0)))


def sin(a: Interval) -> Interval:
    """The sine."""
    return _waves(a, np.sin, 0.25)


def cos(a: Interval) -> Interval:
    """The cosine."""
    return _waves(a, np.cos, 0.0)


def tan(a: Interval) -> Interval:
    """The tangent; unbounded where a pole may lie in a."""
    with np.errstate(all="ignore"):
        found = outward(np.tan(a.lo), np.tan(a.hi), 2.0**-44, _TRIGONOMETRIC_FLOOR)
        start, end = a.lo / np.pi - 0.5, a.hi / np.pi - 0.5
        start, end = start - 1e-12 * (1 + np.abs(start)), end + 1e-12 * (1 + np.abs(end))
        pole = ~(np.floor(end) < np.ceil(start)) | ~((np.abs(a.lo) < _FAR) & (np.abs(a.hi) < _FAR))
    return Interval(np.where(pole, -np.inf, found.lo), np.where(pole, np.inf, found.hi))


def power(a: Interval, n: int) -> Interval:
    """`a^n` for a whole number n, which may be negative.

    Example:
        >>> cube = power(Interval(np.array([-2.0]), np.array([1.0])), 3)
        >>> bool(cube.lo < -8) and bool(cube.hi > 1)
        True
    """
    if n < 0:
        return reciprocal(power(a, -n))
    if n == 0:
        return point(np.ones(a.shape))
    if n == 1:
        return a
    if n == 2:
        return square(a)
    base = absolute(a) if n % 2 == 0 else a
    with np.errstate(over="ignore", under="ignore"):
        found = outward(base.lo**n, base.hi**n, _SLACK * max(1, n // 8), _FLOOR)
    zero_lo, zero_hi = base.lo == 0, base.hi == 0
    lo = np.where(zero_lo, 0.0, np.maximum(found.lo, 0.0) if n % 2 == 0 else found.lo)
    return Interval(lo, np.where(zero_hi, 0.0, found.hi))


def real_power(a: Interval, exponent: float) -> Interval:
    """`a^exponent`; unbounded where a may be negative, or zero under a negative exponent.

    Raises:
        ValueError: If the exponent is not finite.
    """
    if not np.isfinite(exponent):
        raise ValueError(f"got an exponent {exponent}, expected a finite number")
    if exponent == int(exponent) and abs(exponent) <= 64:
        return power(a, int(exponent))
    if exponent < 0:
        return reciprocal(real_power(a, -exponent))
    with np.errstate(all="ignore"):
        lo, hi = np.power(np.maximum(a.lo, 0.0), exponent), np.power(np.maximum(a.hi, 0.0), exponent)
    found = outward(lo, hi, _SLACK * max(1.0, exponent), _FLOOR)
    lo, hi = np.where(a.lo == 0, 0.0, np.maximum(found.lo, 0.0)), np.where(a.hi == 0, 0.0, found.hi)
    outside = a.lo < 0
    return Interval(np.where(outside, -np.inf, lo), np.where(outside, np.inf, hi))


def logistic_slope(s: Interval) -> Interval:
    """`s (1 - s)` for s in [0, 1], without counting s twice: `1/4 - (s - 1/2)^2`."""
    found = subtract(point(0.25), square(add(s, point(-0.5))))
    return ordered(np.maximum(found.lo, 0.0), found.hi)


def bell(a: Interval) -> Interval:
    """`2 / sqrt(pi) e^(-a^2)`, the slope of the error function."""
    return multiply(outward(_BELL, _BELL, _SLACK), exp(negate(square(a))))
