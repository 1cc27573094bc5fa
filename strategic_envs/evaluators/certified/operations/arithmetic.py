"""Sums, products, quotients and powers."""

from __future__ import annotations

import numpy as np

from strategic_envs.evaluators.certified import elementary as el
from strategic_envs.evaluators.certified import intervals as iv
from strategic_envs.evaluators.certified.intervals import Interval
from strategic_envs.evaluators.certified.jets import Jet, Unary, add, linear, multiply, subtract, unary
from strategic_envs.evaluators.certified.operations.table import Call, UnsupportedOperation, operation

__all__ = ["EXP", "LOG", "RECIPROCAL", "SQRT", "divide", "matrix_product", "raised", "scaled"]

RECIPROCAL = Unary(
    iv.reciprocal,
    lambda a: iv.negate(iv.reciprocal(iv.square(a))),
    lambda a: iv.scale(el.power(iv.reciprocal(a), 3), 2.0),
)
EXP = Unary(el.exp, el.exp, el.exp)
LOG = Unary(el.log, iv.reciprocal, lambda a: iv.negate(iv.reciprocal(iv.square(a))))
SQRT = Unary(
    el.sqrt,
    lambda a: iv.reciprocal(iv.scale(el.sqrt(a), 2.0)),
    lambda a: iv.negate(iv.reciprocal(iv.scale(iv.multiply(a, el.sqrt(a)), 4.0))),
)


def scaled(jet: Jet, factor: float) -> Jet:
    """A tensor times a number."""
    return jet if factor == 1 else linear(lambda a: iv.scale(a, float(factor)), jet)


def divide(a: Jet, b: Jet) -> Jet:
    """`a / b`."""
    if not b.varies:
        return linear(lambda part: iv.divide(part, b.value), a)
    return multiply(a, unary(RECIPROCAL, b))


def raised(exponent: float) -> Unary:
    """The power with a fixed exponent."""
    if not np.isfinite(exponent):
        raise UnsupportedOperation(f"a power with exponent {exponent}")
    if exponent == 0.5:
        return SQRT
    p = float(exponent)
    return Unary(
        lambda a: el.real_power(a, p),
        lambda a: iv.scale(el.real_power(a, p - 1), p),
        lambda a: (
            iv.multiply(el.real_power(a, p - 2), iv.multiply(iv.point(p), iv.add(iv.point(p), iv.point(-1.0))))
            if p not in (0.0, 1.0)
            else iv.point(np.zeros(a.shape))
        ),
    )


@operation("add", "add_")
def _add(call: Call) -> Jet:
    return add(call.jet("self"), scaled(call.jet("other"), call.get("alpha", 1)))


@operation("sub", "subtract")
def _sub(call: Call) -> Jet:
    return subtract(call.jet("self"), scaled(call.jet("other"), call.get("alpha", 1)))


@operation("rsub")
def _rsub(call: Call) -> Jet:
    return subtract(call.jet("other"), scaled(call.jet("self"), call.get("alpha", 1)))


@operation("neg")
def _neg(call: Call) -> Jet:
    return linear(iv.negate, call.jet("self"))


@operation("mul", "multiply")
def _mul(call: Call) -> Jet:
    return multiply(call.jet("self"), call.jet("other"))


@operation("div", "true_divide", "divide")
def _div(call: Call) -> Jet:
    if call.get("rounding_mode") is not None:
        raise UnsupportedOperation("a division that rounds")
    return divide(call.jet("self"), call.jet("other"))


@operation("reciprocal")
def _reciprocal(call: Call) -> Jet:
    return unary(RECIPROCAL, call.jet("self"))


@operation("pow")
def _pow(call: Call) -> Jet:
    base, exponent = call.args["self"], call.args["exponent"]
    if isinstance(exponent, int | float):
        return unary(raised(exponent), call.jet("self"))
    if isinstance(base, int | float):
        if base <= 0:
            raise UnsupportedOperation(f"a power of the base {base}")
        return unary(EXP, multiply(call.jet("exponent"), unary(LOG, call.jet("self"))))
    power = call.jet("exponent")
    if not power.varies and power.value.is_point and len(np.unique(power.value.lo)) == 1:
        return unary(raised(float(power.value.lo.flat[0])), call.jet("self"))
    return unary(EXP, multiply(power, unary(LOG, call.jet("self"))))


@operation("addcmul")
def _addcmul(call: Call) -> Jet:
    both = multiply(call.jet("tensor1"), call.jet("tensor2"))
    return add(call.jet("self"), scaled(both, call.get("value", 1)))


@operation("addcdiv")
def _addcdiv(call: Call) -> Jet:
    quotient = divide(call.jet("tensor1"), call.jet("tensor2"))
    return add(call.jet("self"), scaled(quotient, call.get("value", 1)))


@operation("lerp")
def _lerp(call: Call) -> Jet:
    start = call.jet("self")
    return add(start, multiply(call.jet("weight"), subtract(call.jet("end"), start)))


def matrix_product(a: Interval, b: Interval) -> Interval:
    """The product of matrices `(..., n, k)` and `(..., k, m)`."""

    def left(x: np.ndarray) -> np.ndarray:
        return x[..., :, :, None]

    def right(x: np.ndarray) -> np.ndarray:
        return x[..., None, :, :]

    first = Interval(left(a.lo), left(a.hi)) if not a.is_point else iv.point(left(a.lo))
    second = Interval(right(b.lo), right(b.hi)) if not b.is_point else iv.point(right(b.lo))
    terms = iv.multiply(first, second)
    return iv.total(terms, terms.lo.ndim - 2)


def _as_matrix(jet: Jet, *, row: bool) -> Jet:
    def shape(a: Interval) -> Interval:
        lo = a.lo[..., None, :] if row else a.lo[..., :, None]
        return Interval(lo, a.hi[..., None, :] if row else a.hi[..., :, None])

    return linear(shape, jet)


def _flat(jet: Jet, count: int) -> Jet:
    """Without the last `count` axes, which have length 1 or are kept by the final shape."""
    return linear(
        lambda a: Interval(
            a.lo.reshape(a.lo.shape[: a.lo.ndim - count]), a.hi.reshape(a.hi.shape[: a.hi.ndim - count])
        ),
        jet,
    )


@operation("mm")
def _mm(call: Call) -> Jet:
    return multiply(call.args["self"], call.args["mat2"], matrix_product)


@operation("bmm")
def _bmm(call: Call) -> Jet:
    return multiply(call.args["self"], call.args["mat2"], matrix_product)


@operation("mv")
def _mv(call: Call) -> Jet:
    return _flat(multiply(call.args["self"], _as_matrix(call.args["vec"], row=False), matrix_product), 1)


@operation("dot", "vdot")
def _dot(call: Call) -> Jet:
    first, second = call.args["self"], call.args.get("tensor", call.args.get("other"))
    return _flat(multiply(_as_matrix(first, row=True), _as_matrix(second, row=False), matrix_product), 2)


@operation("addmm", "baddbmm")
def _addmm(call: Call) -> Jet:
    names = ("mat1", "mat2") if call.name == "addmm" else ("batch1", "batch2")
    found = multiply(call.args[names[0]], call.args[names[1]], matrix_product)
    return add(scaled(call.jet("self"), call.get("beta", 1)), scaled(found, call.get("alpha", 1)))


@operation("addmv")
def _addmv(call: Call) -> Jet:
    found = _flat(multiply(call.args["mat"], _as_matrix(call.args["vec"], row=False), matrix_product), 1)
    return add(scaled(call.jet("self"), call.get("beta", 1)), scaled(found, call.get("alpha", 1)))
