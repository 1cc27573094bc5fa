"""Operations whose result may jump: comparisons, choices, signs and roundings.

Autograd gives such operations a zero derivative and so misses the jump. Here the derivative is zero only in cells where
no jump can be, and unbounded elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from strategic_envs.evaluators.certified.intervals import Interval
from strategic_envs.evaluators.certified.jets import Jet, choose, jumping
from strategic_envs.evaluators.certified.operations.table import Call, UnsupportedOperation, operation

__all__: list[str] = []

_STEPS = {"sign": np.sign, "sgn": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.round, "trunc": np.trunc}


@operation(*_STEPS)
def _step(call: Call) -> Jet:
    if call.get("decimals", 0) != 0:
        raise UnsupportedOperation("rounding to decimals")
    x, f = call.jet("self"), _STEPS[call.name]  # all of them increase
    lo, hi = f(x.value.lo), f(x.value.hi)
    return jumping(Interval(lo, lo) if x.value.is_point else Interval(lo, hi), lo != hi, x)


def _truth(yes: np.ndarray, no: np.ndarray, *inputs: Jet) -> Jet:
    value = Interval(yes.astype(np.float64), (~no).astype(np.float64))
    return jumping(value, ~(yes | no), *inputs, truth=True)


def _gt(a: Interval, b: Interval) -> tuple[np.ndarray, np.ndarray]:
    return a.lo > b.hi, a.hi <= b.lo


def _ge(a: Interval, b: Interval) -> tuple[np.ndarray, np.ndarray]:
    return a.lo >= b.hi, a.hi < b.lo


def _eq(a: Interval, b: Interval) -> tuple[np.ndarray, np.ndarray]:
    return (a.lo == a.hi) & (b.lo == b.hi) & (a.lo == b.lo), (a.lo > b.hi) | (a.hi < b.lo)


def _ne(a: Interval, b: Interval) -> tuple[np.ndarray, np.ndarray]:
    yes, no = _eq(a, b)
    return no, yes


_COMPARISONS: dict[str, Callable[[Interval, Interval], tuple[np.ndarray, np.ndarray]]] = {
    "gt": _gt,
    "ge": _ge,
    "lt": lambda a, b: _gt(b, a),
    "le": lambda a, b: _ge(b, a),
    "eq": _eq,
    "ne": _ne,
}


@operation(*_COMPARISONS)
def _compare(call: Call) -> Jet:
    a, b = call.jet("self"), call.jet("other")
    return _truth(*_COMPARISONS[call.name](a.value, b.value), a, b)


def _logical(call: Call, *names: str) -> list[Jet]:
    jets = [call.jet(name) for name in names]
    if not all(j.truth for j in jets):
        raise UnsupportedOperation(f"{call.name} of numbers")
    return jets


@operation("logical_and", "bitwise_and")
def _and(call: Call) -> Jet:
    a, b = _logical(call, "self", "other")
    return _truth((a.value.lo == 1) & (b.value.lo == 1), (a.value.hi == 0) | (b.value.hi == 0), a, b)


@operation("logical_or", "bitwise_or")
def _or(call: Call) -> Jet:
    a, b = _logical(call, "self", "other")
    return _truth((a.value.lo == 1) | (b.value.lo == 1), (a.value.hi == 0) & (b.value.hi == 0), a, b)


@operation("logical_not", "bitwise_not")
def _not(call: Call) -> Jet:
    (a,) = _logical(call, "self")
    return _truth(a.value.hi == 0, a.value.lo == 1, a)


@operation("where", moves=True)
def _where(call: Call) -> Jet:
    condition = call.jet("condition")
    if not condition.truth:
        raise UnsupportedOperation("where with a condition that is no truth value")
    return choose(condition.value.lo == 1, condition.value.hi == 0, call.jet("self"), call.jet("other"))
