"""Values with proved derivatives: interval arithmetic carried through the chain rule to second order.

A `Jet` holds an enclosure of a tensor on a whole cell of strategies, of its derivatives by the player's own
coordinates `y_k` and of its second derivatives. A missing derivative is exactly zero. Where a function has a kink, its
slope is the hull of the slopes on both sides (Clarke's generalised gradient, for which the mean-value theorem holds:
Lebourg 1975) and its curvature is unbounded; where it may jump, both are unbounded. So a bound by derivatives is
infinite exactly where derivatives say nothing, and the bound by values remains.

Arrays have shape `(cells, points, *tensor)`; either of the first two may be 1 and then stands for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from strategic_envs.evaluators.certified import intervals as iv
from strategic_envs.evaluators.certified.intervals import Interval

__all__ = ["Jet", "Unary", "add", "choose", "constant", "jumping", "linear", "multiply", "pairs", "subtract", "unary"]

Part = Interval | None


def pairs(d: int) -> list[tuple[int, int]]:
    """The order of second derivatives: `(0, 0), (0, 1), ..., (1, 1), ...`."""
    return [(j, k) for j in range(d) for k in range(j, d)]


@dataclass(frozen=True, eq=False)
class Jet:
    """An enclosure of a tensor and of its derivatives; `None` is an exact zero.

    Args:
        value: The values.
        slopes: One derivative for each own coordinate; empty when no derivative is asked for.
        bends: One second derivative for each pair of `pairs(d)`; empty when only slopes are asked for.
        truth: Whether the tensor is Boolean: its values are 0 (no), 1 (yes) or `[0, 1]` (undecided).
    """

    value: Interval
    slopes: tuple[Part, ...] = ()
    bends: tuple[Part, ...] = ()
    truth: bool = False

    @property
    def varies(self) -> bool:
        """Whether some derivative is not exactly zero."""
        return any(s is not None for s in self.slopes)


def constant(value: Interval, like: Jet, *, truth: bool = False) -> Jet:
    """A tensor that does not depend on the own strategy, with as many (zero) derivatives as another."""
    return Jet(value, (None,) * len(like.slopes), (None,) * len(like.bends), truth)


def jumping(value: Interval, where: np.ndarray, *inputs: Jet, truth: bool = False) -> Jet:
    """Values that are constant, or jump where `where` says so: there the derivatives are unbounded."""
    like = inputs[0]
    if not any(j.varies for j in inputs) or not where.any():
        return constant(value, like, truth=truth)
    wild = Interval(np.where(where, -np.inf, 0.0), np.where(where, np.inf, 0.0))
    return Jet(value, (wild,) * len(like.slopes), (wild,) * len(like.bends), truth)


def _each(operation: Callable[..., Interval], *parts: Part) -> Part:
    return None if any(p is None for p in parts) else operation(*parts)


def _sum(parts: Sequence[Part]) -> Part:
    found: Part = None
    for part in parts:
        if part is not None:
            found = part if found is None else iv.add(found, part)
    return found


def linear(operation: Callable[[Interval], Interval], jet: Jet) -> Jet:
    """A linear operation on one tensor: the same for the value and for every derivative."""
    return Jet(
        operation(jet.value),
        tuple(_each(operation, s) for s in jet.slopes),
        tuple(_each(operation, b) for b in jet.bends),
        jet.truth,
    )


def add(a: Jet, b: Jet) -> Jet:
    """`a + b`."""
    return Jet(
        iv.add(a.value, b.value),
        tuple(_sum(p) for p in zip(a.slopes, b.slopes, strict=True)),
        tuple(_sum(p) for p in zip(a.bends, b.bends, strict=True)),
    )


def subtract(a: Jet, b: Jet) -> Jet:
    """`a - b`; exactly zero when both are the same object."""
    if a is b:
        return constant(iv.point(np.zeros((1,) * a.value.lo.ndim)), a)
    return add(a, linear(iv.negate, b))


def multiply(a: Jet, b: Jet, product: Callable[[Interval, Interval], Interval] = iv.multiply) -> Jet:
    """A product of two tensors, or any operation that is linear in both, such as that of matrices."""
    if a is b and product is iv.multiply:
        return unary(SQUARE, a)
    d = len(a.slopes)
    slopes = tuple(_sum([_each(product, a.slopes[k], b.value), _each(product, a.value, b.slopes[k])]) for k in range(d))
    bends = []
    for n, (j, k) in enumerate(pairs(d) if a.bends else ()):
        mixed = [_each(product, a.slopes[j], b.slopes[k]), _each(product, a.slopes[k], b.slopes[j])]
        bends.append(_sum([_each(product, a.bends[n], b.value), _each(product, a.value, b.bends[n]), *mixed]))
    return Jet(product(a.value, b.value), slopes, tuple(bends))


@dataclass(frozen=True)
class Unary:
    """A function of one number with its first two derivatives, each from intervals to intervals."""

    value: Callable[[Interval], Interval]
    slope: Callable[[Interval], Interval]
    bend: Callable[[Interval], Interval]


SQUARE = Unary(iv.square, lambda a: iv.scale(a, 2.0), lambda a: iv.point(np.full(a.shape, 2.0)))


def unary(f: Unary, a: Jet) -> Jet:
    """The chain rule: `f(a)' = f' a'` and `f(a)'' = f'' a' a' + f' a''`."""
    if not a.varies:
        return constant(f.value(a.value), a)
    slope = f.slope(a.value)
    slopes = tuple(_each(iv.multiply, slope, s) for s in a.slopes)
    bends: list[Part] = []
    if a.bends:
        bend = f.bend(a.value)
        for n, (j, k) in enumerate(pairs(len(a.slopes))):
            first, second = a.slopes[j], a.slopes[k]
            both = _each(iv.square, first) if j == k else _each(iv.multiply, first, second)
            bends.append(_sum([_each(iv.multiply, bend, both), _each(iv.multiply, slope, a.bends[n])]))
    return Jet(f.value(a.value), slopes, tuple(bends))


def _at_least(part: Part, like: Interval) -> Interval:
    return iv.point(np.zeros((1,) * like.lo.ndim)) if part is None else part


def _pick(first: np.ndarray, second: np.ndarray, a: Interval, b: Interval, *, wild: bool) -> Interval:
    """The one where only it is possible, the other likewise, and their hull, or anything, where both are."""
    lo, hi = (-np.inf, np.inf) if wild else (np.minimum(a.lo, b.lo), np.maximum(a.hi, b.hi))
    return Interval(
        np.where(first, a.lo, np.where(second, b.lo, lo)), np.where(first, a.hi, np.where(second, b.hi, hi))
    )


def choose(first: np.ndarray, second: np.ndarray, a: Jet, b: Jet, value: Interval | None = None) -> Jet:
    """One of two tensors.

    Args:
        first: Where it is certainly a.
        second: Where it is certainly b.
        a: The one.
        b: The other.
        value: The value, if the choice is continuous (a maximum, say): then an undecided slope is one of the two.
            Without it the choice may jump, and undecided slopes are unbounded.
    """
    jumps = value is None
    value = _pick(first, second, a.value, b.value, wild=False) if value is None else value
    decided = bool(np.all(first | second))

    def parts(of_a: Sequence[Part], of_b: Sequence[Part], wild: bool) -> tuple[Part, ...]:
        found: list[Part] = []
        for p, q in zip(of_a, of_b, strict=True):
            if p is None and q is None and (decided or not wild):
                found.append(None)
            else:
                found.append(_pick(first, second, _at_least(p, value), _at_least(q, value), wild=wild))
        return tuple(found)

    truth = a.truth and b.truth
    if not a.varies and not b.varies and not jumps:
        return constant(value, a, truth=truth)
    return Jet(value, parts(a.slopes, b.slopes, jumps), parts(a.bends, b.bends, True), truth)
