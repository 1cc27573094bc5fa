"""Smooth functions of one number, and those that are smooth apart from kinks."""

from __future__ import annotations

import numpy as np

from strategic_envs.evaluators.certified import elementary as el
from strategic_envs.evaluators.certified import intervals as iv
from strategic_envs.evaluators.certified.intervals import Interval
from strategic_envs.evaluators.certified.jets import (
    Jet,
    Unary,
    add,
    choose,
    constant,
    linear,
    multiply,
    subtract,
    unary,
)
from strategic_envs.evaluators.certified.operations.arithmetic import EXP, LOG, RECIPROCAL, SQRT, scaled
from strategic_envs.evaluators.certified.operations.table import Call, UnsupportedOperation, operation

__all__ = ["SMOOTH", "larger", "smaller"]


def _one_plus_square(a: Interval) -> Interval:
    return iv.add(iv.point(1.0), iv.square(a))


def _tan_slope(a: Interval) -> Interval:
    return _one_plus_square(el.tan(a))


def _tanh_slope(a: Interval) -> Interval:
    found = iv.subtract(iv.point(1.0), iv.square(el.tanh(a)))
    return Interval(np.maximum(found.lo, 0.0), np.maximum(found.hi, 0.0))


def _sigmoid_slope(a: Interval) -> Interval:
    return el.logistic_slope(el.sigmoid(a))


def _sigmoid_bend(a: Interval) -> Interval:
    s = el.sigmoid(a)
    return iv.multiply(el.logistic_slope(s), iv.subtract(iv.point(1.0), iv.scale(s, 2.0)))


def _arcsin_slope(a: Interval) -> Interval:
    return iv.reciprocal(el.sqrt(iv.subtract(iv.point(1.0), iv.square(a))))


def _arcsin_bend(a: Interval) -> Interval:
    return iv.multiply(a, el.power(_arcsin_slope(a), 3))


def _arcsinh_slope(a: Interval) -> Interval:
    return iv.reciprocal(el.sqrt(_one_plus_square(a)))


SMOOTH = {
    "exp": EXP,
    "log": LOG,
    "sqrt": SQRT,
    "sin": Unary(el.sin, el.cos, lambda a: iv.negate(el.sin(a))),
    "cos": Unary(el.cos, lambda a: iv.negate(el.sin(a)), lambda a: iv.negate(el.cos(a))),
    "tan": Unary(el.tan, _tan_slope, lambda a: iv.scale(iv.multiply(el.tan(a), _tan_slope(a)), 2.0)),
    "tanh": Unary(el.tanh, _tanh_slope, lambda a: iv.scale(iv.multiply(el.tanh(a), _tanh_slope(a)), -2.0)),
    "sinh": Unary(el.sinh, el.cosh, el.sinh),
    "cosh": Unary(el.cosh, el.sinh, el.cosh),
    "sigmoid": Unary(el.sigmoid, _sigmoid_slope, _sigmoid_bend),
    "atan": Unary(
        el.arctan,
        lambda a: iv.reciprocal(_one_plus_square(a)),
        lambda a: iv.multiply(iv.scale(a, -2.0), iv.reciprocal(iv.square(_one_plus_square(a)))),
    ),
    "asin": Unary(el.arcsin, _arcsin_slope, _arcsin_bend),
    "acos": Unary(el.arccos, lambda a: iv.negate(_arcsin_slope(a)), lambda a: iv.negate(_arcsin_bend(a))),
    "asinh": Unary(el.arcsinh, _arcsinh_slope, lambda a: iv.negate(iv.multiply(a, el.power(_arcsinh_slope(a), 3)))),
    "erf": Unary(el.erf, el.bell, lambda a: iv.multiply(iv.scale(a, -2.0), el.bell(a))),
    "expm1": Unary(el.expm1, el.exp, el.exp),
    "log1p": Unary(
        el.log1p,
        lambda a: iv.reciprocal(iv.add(iv.point(1.0), a)),
        lambda a: iv.negate(iv.reciprocal(iv.square(iv.add(iv.point(1.0), a)))),
    ),
}
SOFTPLUS = Unary(el.softplus, el.sigmoid, _sigmoid_slope)


@operation(*SMOOTH)
def _smooth(call: Call) -> Jet:
    return unary(SMOOTH[call.name], call.jet("self"))


def _irrational(value: float, like: Jet, rank: int) -> Jet:
    """A constant that torch rounds: an enclosure of the double and of the number it stands for."""
    array = np.full((1,) * (rank + 2), value)
    return constant(iv.outward(array, array), like)


@operation("log2", "log10")
def _log_base(call: Call) -> Jet:
    factor = 1 / np.log(2.0 if call.name == "log2" else 10.0)
    return multiply(unary(LOG, call.jet("self")), _irrational(factor, call.like, len(call.shape)))


@operation("exp2")
def _exp2(call: Call) -> Jet:
    return unary(EXP, multiply(call.jet("self"), _irrational(np.log(2.0), call.like, len(call.shape))))


@operation("rsqrt")
def _rsqrt(call: Call) -> Jet:
    return unary(RECIPROCAL, unary(SQRT, call.jet("self")))


@operation("erfc")
def _erfc(call: Call) -> Jet:
    return subtract(call.number(1.0, len(call.shape)), unary(SMOOTH["erf"], call.jet("self")))


@operation("hypot")
def _hypot(call: Call) -> Jet:
    a, b = call.jet("self"), call.jet("other")
    return unary(SQRT, add(multiply(a, a), multiply(b, b)))


@operation("logaddexp")
def _logaddexp(call: Call) -> Jet:
    b = call.jet("other")
    return add(b, unary(SOFTPLUS, subtract(call.jet("self"), b)))


@operation("softplus")
def _softplus(call: Call) -> Jet:
    x, beta, threshold = call.jet("self"), call.get("beta", 1), call.get("threshold", 20)
    inner = scaled(x, beta)
    smooth = divide_by(unary(SOFTPLUS, inner), beta)
    # Torch returns x itself beyond the threshold: a jump of 2e-9 at 20, which is part of the program.
    return choose(inner.value.lo > threshold, inner.value.hi <= threshold, x, smooth)


def divide_by(jet: Jet, number: float) -> Jet:
    """A tensor divided by a number."""
    return jet if number == 1 else linear(lambda a: iv.divide(a, iv.point(float(number))), jet)


@operation("log_sigmoid_forward")
def _log_sigmoid(call: Call) -> tuple[Jet, Jet]:
    found = linear(iv.negate, unary(SOFTPLUS, linear(iv.negate, call.args["self"])))
    return found, found


@operation("silu")
def _silu(call: Call) -> Jet:
    x = call.jet("self")
    return multiply(x, unary(SMOOTH["sigmoid"], x))


@operation("gelu")
def _gelu(call: Call) -> Jet:
    x, rank = call.jet("self"), len(call.shape)
    one = call.number(1.0, rank)
    if call.get("approximate", "none") == "none":
        inner = multiply(x, _irrational(np.sqrt(0.5), call.like, rank))
        return multiply(scaled(x, 0.5), add(one, unary(SMOOTH["erf"], inner)))
    cube = multiply(multiply(x, x), x)
    inner = multiply(add(x, scaled(cube, 0.044715)), _irrational(np.sqrt(2 / np.pi), call.like, rank))
    return multiply(scaled(x, 0.5), add(one, unary(SMOOTH["tanh"], inner)))


def larger(a: Jet, b: Jet) -> Jet:
    """The larger of two; its slope is one of theirs."""
    return choose(a.value.lo >= b.value.hi, b.value.lo >= a.value.hi, a, b, iv.maximum(a.value, b.value))


def smaller(a: Jet, b: Jet) -> Jet:
    """The smaller of two."""
    return choose(a.value.hi <= b.value.lo, b.value.hi <= a.value.lo, a, b, iv.minimum(a.value, b.value))


@operation("maximum", "fmax")
def _maximum(call: Call) -> Jet:
    return larger(call.jet("self"), call.jet("other"))


@operation("minimum", "fmin")
def _minimum(call: Call) -> Jet:
    return smaller(call.jet("self"), call.jet("other"))


@operation("relu")
def _relu(call: Call) -> Jet:
    return larger(call.jet("self"), call.number(0.0, len(call.shape)))


@operation("clamp", "clamp_min", "clamp_max", "hardtanh")
def _clamp(call: Call) -> Jet:
    found = call.jet("self")
    hard = {"min_val": -1.0, "max_val": 1.0} if call.name == "hardtanh" else {}
    for name in ("min", "min_val"):
        if call.get(name, hard.get(name)) is not None:
            found = larger(found, _bound(call, name, hard))
    for name in ("max", "max_val"):
        if call.get(name, hard.get(name)) is not None:
            found = smaller(found, _bound(call, name, hard))
    return found


def _bound(call: Call, name: str, default: dict[str, float]) -> Jet:
    return call.number(default[name], len(call.shape)) if call.get(name) is None else call.jet(name)


@operation("abs")
def _abs(call: Call) -> Jet:
    x = call.jet("self")
    return choose(x.value.lo >= 0, x.value.hi <= 0, x, linear(iv.negate, x), iv.absolute(x.value))


@operation("leaky_relu")
def _leaky_relu(call: Call) -> Jet:
    x, zero, slope = call.jet("self"), call.number(0.0, len(call.shape)), call.get("negative_slope", 0.01)
    if not 0 <= slope <= 1:
        raise UnsupportedOperation(f"a leaky ReLU with slope {slope}")
    return add(larger(x, zero), scaled(smaller(x, zero), slope))


@operation("elu")
def _elu(call: Call) -> Jet:
    x, zero = call.jet("self"), call.number(0.0, len(call.shape))
    alpha, scale, inner = call.get("alpha", 1), call.get("scale", 1), call.get("input_scale", 1)
    if inner <= 0:
        raise UnsupportedOperation(f"an ELU with input scale {inner}")
    below = unary(SMOOTH["expm1"], scaled(smaller(x, zero), inner))
    return scaled(add(larger(x, zero), scaled(below, alpha)), scale)


@operation("celu")
def _celu(call: Call) -> Jet:
    x, zero, alpha = call.jet("self"), call.number(0.0, len(call.shape)), call.get("alpha", 1)
    if alpha <= 0:
        raise UnsupportedOperation(f"a CELU with alpha {alpha}")
    below = unary(SMOOTH["expm1"], divide_by(smaller(x, zero), alpha))
    return add(larger(x, zero), scaled(below, alpha))
