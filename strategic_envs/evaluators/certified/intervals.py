"""Interval arithmetic on float64 arrays, rounded outward: the ground of every certificate.

An interval `[lo, hi]` stands for a set of real numbers that holds every value the exact calculation could have. Sums,
differences and products are rounded to the nearest double by the machine, an error of at most `2^-53` of the result;
here each bound is moved outward by `2^-52` of its size, and by `1e-290` where a product comes near the smallest
doubles. Exact zeros stay exact. Bounds may be infinite, never NaN: what is undefined is `(-inf, inf)`, and `0 * inf`
is 0, because an interval's members are finite numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = [
    "EVERYTHING",
    "Interval",
    "absolute",
    "add",
    "divide",
    "hull",
    "intersect",
    "maximum",
    "minimum",
    "multiply",
    "negate",
    "ordered",
    "outward",
    "point",
    "reciprocal",
    "scale",
    "square",
    "subtract",
    "total",
]

_STEP = 2.0**-52  # twice the largest relative error of one rounded operation
_TINY = 1e-290  # products below this lose relative accuracy before they vanish
_LARGEST = np.finfo(np.float64).max


class Interval(NamedTuple):
    """Lower and upper bounds of the same shape; a point has one array as both."""

    lo: np.ndarray
    hi: np.ndarray

    @property
    def is_point(self) -> bool:
        """Whether both bounds are the same object, so that the interval holds one number."""
        return self.lo is self.hi

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of both bounds."""
        return self.lo.shape


EVERYTHING = Interval(np.full(1, -np.inf), np.full(1, np.inf))


def point(value: object) -> Interval:
    """The interval that holds just this number (a float64, which is exact).

    Example:
        >>> point(0.1).is_point
        True
    """
    array = np.atleast_1d(np.asarray(value, dtype=np.float64))  # NumPy turns results of no axis into scalars
    return Interval(array, array) if np.isfinite(array).all() else ordered(array, array)


def ordered(lo: np.ndarray, hi: np.ndarray) -> Interval:
    """An interval from computed bounds: NaN becomes unbounded, an overflow the largest number."""
    return Interval(_lower(lo), _upper(hi))


def _lower(lo: np.ndarray) -> np.ndarray:
    # One sum tells that nothing is NaN or infinite, which is nearly always so.
    if np.isfinite(lo.sum()):
        return lo
    return np.where(np.isnan(lo), -np.inf, np.minimum(lo, _LARGEST))


def _upper(hi: np.ndarray) -> np.ndarray:
    if np.isfinite(hi.sum()):
        return hi
    return np.where(np.isnan(hi), np.inf, np.maximum(hi, -_LARGEST))


def outward(lo: np.ndarray, hi: np.ndarray, relative: float = _STEP, absolute: float = 0.0) -> Interval:
    """Bounds moved apart by a share of their size, and by an absolute amount."""
    below, above = np.abs(lo) * relative, np.abs(hi) * relative
    if absolute:
        below, above = below + absolute, above + absolute
    return ordered(lo - below, hi + above)


def negate(a: Interval) -> Interval:
    """`-a`, exactly."""
    if a.is_point:
        value = -a.lo
        return Interval(value, value)
    return Interval(-a.hi, -a.lo)


def add(a: Interval, b: Interval) -> Interval:
    """`a + b`."""
    return outward(a.lo + b.lo, a.hi + b.hi)


def subtract(a: Interval, b: Interval) -> Interval:
    """`a - b`."""
    return outward(a.lo - b.hi, a.hi - b.lo)


def multiply(a: Interval, b: Interval) -> Interval:
    """`a * b`.

    Example:
        >>> wide = multiply(Interval(np.array([-1.0]), np.array([2.0])), Interval(np.array([3.0]), np.array([5.0])))
        >>> bool(wide.lo < -5.0) and bool(wide.hi > 10.0)
        True
    """
    if a.is_point:
        a, b = b, a
    if b.is_point:
        products = [a.lo * b.lo] if a.is_point else [a.lo * b.lo, a.hi * b.lo]
    else:
        products = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi]
    lo = hi = products[0]
    for p in products[1:]:
        lo, hi = np.minimum(lo, p), np.maximum(hi, p)
    if not (np.isfinite(lo.sum()) and np.isfinite(hi.sum())):
        products = [np.where(np.isnan(p), 0.0, p) for p in products]  # 0 * inf
        lo, hi = np.minimum.reduce(products), np.maximum.reduce(products)
    return _outward_product(lo, hi, a, b)


def _outward_product(lo: np.ndarray, hi: np.ndarray, a: Interval, b: Interval) -> Interval:
    below, above = np.abs(lo), np.abs(hi)
    small = np.minimum(below, above) < _TINY
    if small.any():
        zero = ((a.lo == 0) & (a.hi == 0)) | ((b.lo == 0) & (b.hi == 0))
        nonnegative = ((a.lo >= 0) & (b.lo >= 0)) | ((a.hi <= 0) & (b.hi <= 0))
        nonpositive = ((a.lo >= 0) & (b.hi <= 0)) | ((a.hi <= 0) & (b.lo >= 0))
        lo = np.where((below < _TINY) & ~zero, np.where(nonnegative, 0.0, -_TINY), lo)
        hi = np.where((above < _TINY) & ~zero, np.where(nonpositive, 0.0, _TINY), hi)
        below, above = np.abs(lo), np.abs(hi)
    return ordered(lo - below * _STEP, hi + above * _STEP)


def scale(a: Interval, factor: float) -> Interval:
    """`factor * a` for one float; powers of two are no special case."""
    return a if factor == 1 else negate(a) if factor == -1 else multiply(a, point(factor))


def square(a: Interval) -> Interval:
    """`a * a`, which is never negative.

    Example:
        >>> square(Interval(np.array([-1.0]), np.array([2.0]))).lo.tolist()
        [0.0]
    """
    low, high = np.abs(a.lo), np.abs(a.hi)
    smallest = np.where((a.lo <= 0) & (a.hi >= 0), 0.0, np.minimum(low, high))
    largest = np.maximum(low, high)
    lo, hi = smallest * smallest, largest * largest
    hi = np.where((hi < _TINY) & (largest > 0), _TINY, hi)
    return ordered(np.maximum(np.where(lo < _TINY, 0.0, lo - lo * _STEP), 0.0), hi + hi * _STEP)


def reciprocal(a: Interval) -> Interval:
    """`1 / a`; unbounded where a may be zero."""
    with np.errstate(divide="ignore"):
        lo, hi = 1.0 / a.hi, 1.0 / a.lo
    crosses = (a.lo <= 0) & (a.hi >= 0)
    if crosses.any():
        lo, hi = np.where(crosses, -np.inf, lo), np.where(crosses, np.inf, hi)
    return outward(lo, hi, absolute=_TINY)


def divide(a: Interval, b: Interval) -> Interval:
    """`a / b`; unbounded where b may be zero."""
    if not b.is_point:
        return multiply(a, reciprocal(b))
    with np.errstate(divide="ignore"):
        first, second = a.lo / b.lo, a.hi / b.lo
    lo, hi = np.minimum(first, second), np.maximum(first, second)
    if (b.lo == 0).any():
        lo, hi = np.where(b.lo == 0, -np.inf, lo), np.where(b.lo == 0, np.inf, hi)
    return _outward_product(lo, hi, a, point(np.where(b.lo == 0, 1.0, b.lo)))


def absolute(a: Interval) -> Interval:
    """`|a|`, exactly."""
    low, high = np.abs(a.lo), np.abs(a.hi)
    return Interval(np.where((a.lo <= 0) & (a.hi >= 0), 0.0, np.minimum(low, high)), np.maximum(low, high))


def maximum(a: Interval, b: Interval) -> Interval:
    """`max(a, b)`, exactly."""
    return Interval(np.maximum(a.lo, b.lo), np.maximum(a.hi, b.hi))


def minimum(a: Interval, b: Interval) -> Interval:
    """`min(a, b)`, exactly."""
    return Interval(np.minimum(a.lo, b.lo), np.minimum(a.hi, b.hi))


def hull(a: Interval, b: Interval) -> Interval:
    """The smallest interval that holds both."""
    return Interval(np.minimum(a.lo, b.lo), np.maximum(a.hi, b.hi))


def intersect(a: Interval, b: Interval) -> Interval:
    """What two enclosures of the same number have in common."""
    return Interval(np.maximum(a.lo, b.lo), np.minimum(a.hi, b.hi))


def total(a: Interval, axis: int | tuple[int, ...]) -> Interval:
    """The sum along axes; in whatever order n terms are added, the error is at most `n 2^-52 sum |terms|`."""
    axes = (axis,) if isinstance(axis, int) else axis
    count = int(np.prod([a.lo.shape[k] for k in axes]))
    if count == 1:
        lo, hi = a.lo.sum(axes), a.hi.sum(axes)
        return Interval(lo, hi)
    slack = count * _STEP
    below, above = np.abs(a.lo).sum(axes) * slack, np.abs(a.hi).sum(axes) * slack
    return ordered(a.lo.sum(axes) - below, a.hi.sum(axes) + above)
