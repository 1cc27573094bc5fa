"""Sums, means, extremes and norms along axes."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from strategic_envs.evaluators.certified import intervals as iv
from strategic_envs.evaluators.certified.intervals import Interval
from strategic_envs.evaluators.certified.jets import Jet, add, constant, linear, multiply, subtract, unary
from strategic_envs.evaluators.certified.operations.arithmetic import EXP, LOG, RECIPROCAL, SQRT, divide
from strategic_envs.evaluators.certified.operations.functions import larger, smaller
from strategic_envs.evaluators.certified.operations.table import UNKNOWN, Call, UnsupportedOperation, operation

__all__ = ["along", "joined", "summed"]


def _axes(call: Call) -> tuple[int, ...]:
    dim, rank = call.args.get("dim"), call.rank()
    if rank == 0:
        return ()
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        return tuple(range(2, rank + 2))
    dims = [dim] if isinstance(dim, int) else list(dim)
    return tuple(call.axis(d) for d in dims)


def along(jet: Jet, axis: int) -> list[Jet]:
    """The slices of a tensor along one axis, which is kept with length 1."""

    def part(i: int) -> Callable[[Interval], Interval]:
        return lambda a: Interval(np.take(a.lo, [i], axis), np.take(a.hi, [i], axis))

    return [linear(part(i), jet) for i in range(jet.value.lo.shape[axis])]


def summed(jet: Jet, axes: tuple[int, ...]) -> Jet:
    """The sum along axes, which are kept with length 1."""
    if not axes:
        return jet

    def total(a: Interval) -> Interval:
        found = iv.total(a, axes)
        return Interval(np.expand_dims(found.lo, axes), np.expand_dims(found.hi, axes))

    return linear(total, jet)


def _folded(jet: Jet, axes: tuple[int, ...], join: Callable[[Jet, Jet], Jet]) -> Jet:
    for axis in axes:
        jet = functools.reduce(join, along(jet, axis))
    return jet


@operation("sum")
def _sum(call: Call) -> Jet:
    return summed(call.args["self"], _axes(call))


@operation("mean")
def _mean(call: Call) -> Jet:
    jet, axes = call.args["self"], _axes(call)
    count = int(np.prod([jet.value.lo.shape[k] for k in axes], initial=1))
    return linear(lambda a: iv.divide(a, iv.point(float(count))), summed(jet, axes))


@operation("prod")
def _prod(call: Call) -> Jet:
    return _folded(call.args["self"], _axes(call), multiply)


@operation("amax")
def _amax(call: Call) -> Jet:
    return _folded(call.args["self"], _axes(call), larger)


@operation("amin")
def _amin(call: Call) -> Jet:
    return _folded(call.args["self"], _axes(call), smaller)


@operation("max", "min")
def _extreme(call: Call) -> object:
    join = larger if call.name == "max" else smaller
    if "other" in call.args:
        return join(call.jet("self"), call.jet("other"))
    found = _folded(call.args["self"], _axes(call), join)
    return (found, UNKNOWN) if call.args.get("dim") is not None else found


@operation("cumsum")
def _cumsum(call: Call) -> Jet:
    axis = call.axis(call.args["dim"])

    def running(a: Interval) -> Interval:
        slack = a.lo.shape[axis] * 2.0**-52
        below, above = np.abs(a.lo).cumsum(axis) * slack, np.abs(a.hi).cumsum(axis) * slack
        return iv.ordered(a.lo.cumsum(axis) - below, a.hi.cumsum(axis) + above)

    return linear(running, call.args["self"])


@operation("linalg_vector_norm")
def _norm(call: Call) -> Jet:
    jet, axes, order = call.args["self"], _axes(call), call.get("ord", 2)
    if order not in (1, 2):
        raise UnsupportedOperation(f"a norm of order {order}")
    if order == 1:
        return summed(larger(jet, linear(iv.negate, jet)), axes)
    return unary(SQRT, summed(multiply(jet, jet), axes))


def _shift(jet: Jet, axis: int) -> Jet:
    """A constant near the largest entry: sums of exponentials taken relative to it do not overflow."""
    top = jet.value.hi.max(axis, keepdims=True)
    return constant(iv.point(np.where(np.isfinite(top), top, 0.0)), jet)


@operation("logsumexp")
def _logsumexp(call: Call) -> Jet:
    jet = call.args["self"]
    for axis in _axes(call):
        shift = _shift(jet, axis)
        jet = add(unary(LOG, summed(unary(EXP, subtract(jet, shift)), (axis,))), shift)
    return jet


@operation("_softmax", "_log_softmax")
def _softmax(call: Call) -> Jet:
    """`1 / sum_j exp(x_j - x_i)`: every entry is counted once, so that the enclosure is tight."""
    jet, axis = call.args["self"], call.axis(call.args["dim"])
    if call.rank() == 0:
        raise UnsupportedOperation("a softmax of one number")
    entries = along(jet, axis)
    zero = constant(iv.point(np.ones((1,) * jet.value.lo.ndim)), jet)  # exp(x_i - x_i)
    found = []
    for i, own in enumerate(entries):
        terms = [zero if i == j else unary(EXP, subtract(other, own)) for j, other in enumerate(entries)]
        mass = functools.reduce(add, terms)
        logarithm = linear(iv.negate, unary(LOG, mass))
        found.append(logarithm if call.name == "_log_softmax" else unary(RECIPROCAL, mass))
    return joined(found, axis)


def joined(jets: list[Jet], axis: int) -> Jet:
    """Tensors put one after another along an axis."""

    def full(parts: list[Interval | None]) -> Interval | None:
        if all(p is None for p in parts):
            return None
        shapes = [j.value.lo.shape if p is None else p.lo.shape for p, j in zip(parts, jets, strict=True)]
        lead = np.broadcast_shapes(*(s[:2] for s in shapes))
        known = [iv.point(np.zeros((1,) * len(shapes[0]))) if p is None else p for p in parts]
        wanted = [(*lead, *j.value.lo.shape[2:]) for j in jets]
        lows = [np.broadcast_to(p.lo, w) for p, w in zip(known, wanted, strict=True)]
        if all(p.is_point for p in known):
            return iv.point(np.concatenate(lows, axis))
        highs = [np.broadcast_to(p.hi, w) for p, w in zip(known, wanted, strict=True)]
        return Interval(np.concatenate(lows, axis), np.concatenate(highs, axis))

    value = full([j.value for j in jets])
    assert value is not None
    slopes = tuple(full(list(parts)) for parts in zip(*(j.slopes for j in jets), strict=True))
    bends = tuple(full(list(parts)) for parts in zip(*(j.bends for j in jets), strict=True))
    return Jet(value, slopes, bends, all(j.truth for j in jets))


@operation("var", "std")
def _variance(call: Call) -> Jet:
    jet, axes = call.args["self"], _axes(call)
    correction = call.get("correction", 1)
    count = int(np.prod([jet.value.lo.shape[k] for k in axes], initial=1))
    if not isinstance(correction, int | float) or count - correction <= 0:
        raise UnsupportedOperation("a variance without degrees of freedom")
    rank = jet.value.lo.ndim
    mean = divide(summed(jet, axes), constant(iv.point(np.full((1,) * rank, float(count))), jet))
    centred = subtract(jet, mean)
    spread = summed(multiply(centred, centred), axes)
    found = divide(spread, constant(iv.point(np.full((1,) * rank, float(count - correction))), jet))
    return found if call.name == "var" else unary(SQRT, found)
