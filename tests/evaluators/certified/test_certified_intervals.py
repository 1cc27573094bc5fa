"""Interval arithmetic holds every exact result: against fractions, and against functions of fifty digits."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategic_envs.evaluators.certified import elementary as el
from strategic_envs.evaluators.certified import intervals as iv
from strategic_envs.evaluators.certified.intervals import Interval

numbers = st.one_of(
    st.floats(-1e3, 1e3),
    st.floats(-1e150, 1e150),
    st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e-300, -1e-300, 5e-324, 1e-160, -1e-160, 1e200]),
)


@st.composite
def inside(draw: st.DrawFn) -> tuple[Interval, float]:
    """An interval and one of its members."""
    a, b, c = sorted(draw(st.tuples(numbers, numbers, numbers)))
    if draw(st.booleans()):
        return iv.point(b), b
    return Interval(np.array([a]), np.array([c])), b


def holds(interval: Interval, exact: Fraction) -> bool:
    lo, hi = interval.lo.item(), interval.hi.item()
    return (lo == -np.inf or Fraction(lo) <= exact) and (hi == np.inf or exact <= Fraction(hi))


@given(inside(), inside())
def test_sums_differences_and_products_hold_the_exact_result(
    first: tuple[Interval, float], second: tuple[Interval, float]
) -> None:
    (a, x), (b, y) = first, second
    p, q = Fraction(x), Fraction(y)
    with np.errstate(all="ignore"):
        assert holds(iv.add(a, b), p + q)
        assert holds(iv.subtract(a, b), p - q)
        assert holds(iv.multiply(a, b), p * q)
        assert holds(iv.multiply(b, a), p * q)
        assert holds(iv.square(a), p * p)
        assert holds(iv.negate(a), -p)
        assert holds(iv.absolute(a), abs(p))
        assert holds(iv.maximum(a, b), max(p, q))
        assert holds(iv.minimum(a, b), min(p, q))
        assert holds(iv.hull(a, b), p) and holds(iv.hull(a, b), q)
        for n in range(7):
            assert holds(el.power(a, n), p**n)
        if q != 0:
            assert holds(iv.divide(a, b), p / q)
            assert holds(iv.reciprocal(b), 1 / q)
            assert holds(el.power(b, -3), 1 / q**3)


@given(st.lists(inside(), min_size=1, max_size=40))
def test_a_sum_of_many_terms_holds_the_exact_sum(terms: list[tuple[Interval, float]]) -> None:
    stacked = Interval(np.array([t.lo.item() for t, _ in terms]), np.array([t.hi.item() for t, _ in terms]))
    with np.errstate(all="ignore"):
        assert holds(
            iv.total(Interval(stacked.lo[:, None], stacked.hi[:, None]), 0),
            sum((Fraction(x) for _, x in terms), Fraction(0)),
        )


def test_exact_zeros_stay_exact_and_zero_times_infinity_is_zero() -> None:
    zero, everything = iv.point(0.0), iv.EVERYTHING
    with np.errstate(all="ignore"):
        for found in (iv.add(zero, zero), iv.multiply(zero, iv.point(3.0)), iv.multiply(zero, everything)):
            assert found.lo.item() == 0.0 == found.hi.item()


@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "divide", "maximum", "minimum", "hull"])
def test_no_bound_is_ever_nan(operation: str) -> None:
    ends = np.array([-np.inf, -1e308, -1.0, 0.0, 1e-308, 2.0, 1e308, np.inf])
    lo, hi = (t.ravel() for t in np.meshgrid(ends, ends))
    proper = (lo <= hi) & (lo < np.inf) & (hi > -np.inf)
    intervals = Interval(lo[proper], hi[proper])
    a = Interval(intervals.lo[:, None], intervals.hi[:, None])
    b = Interval(intervals.lo[None], intervals.hi[None])
    with np.errstate(all="ignore"):
        found = getattr(iv, operation)(a, b)
    assert not np.isnan(found.lo).any() and not np.isnan(found.hi).any()
    assert (found.lo <= found.hi).all() and (found.lo < np.inf).all() and (found.hi > -np.inf).all()


FUNCTIONS = {
    "exp": (mpmath.exp, -800, 800),
    "expm1": (mpmath.expm1, -50, 50),
    "log": (mpmath.log, 1e-300, 1e300),
    "log1p": (mpmath.log1p, -0.999, 1e10),
    "sqrt": (mpmath.sqrt, 0, 1e300),
    "tanh": (mpmath.tanh, -30, 30),
    "sinh": (mpmath.sinh, -50, 50),
    "cosh": (mpmath.cosh, -50, 50),
    "arcsinh": (mpmath.asinh, -1e6, 1e6),
    "arctan": (mpmath.atan, -1e6, 1e6),
    "arcsin": (mpmath.asin, -1, 1),
    "arccos": (mpmath.acos, -1, 1),
    "erf": (mpmath.erf, -7, 7),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), -800, 800),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), -800, 800),
    "sin": (mpmath.sin, -1e7, 1e7),
    "cos": (mpmath.cos, -1e7, 1e7),
    "tan": (mpmath.tan, -1e4, 1e4),
    "bell": (lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x), -30, 30),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@given(data=st.data())
def test_elementary_functions_hold_their_true_values(name: str, data: st.DataObject) -> None:
    exact, low, high = FUNCTIONS[name]
    near = st.floats(max(low, -20), min(high, 20))
    a, x, b = sorted(data.draw(st.tuples(*[st.one_of(near, st.floats(low, high))] * 3)))
    if data.draw(st.booleans()):
        b = min(b, x + 2)  # narrow ones test the reduction of angles
        a = max(a, x - 2)
    with mpmath.workdps(60), np.errstate(all="ignore"):
        true = exact(mpmath.mpf(x))
        for interval in (Interval(np.array([a]), np.array([b])), iv.point(x)):
            found = getattr(el, name)(interval)
            assert mpmath.mpf(found.lo.item()) <= true <= mpmath.mpf(found.hi.item()), (a, x, b, found)


@given(st.floats(1e-8, 1e8), st.floats(1e-8, 1e8), st.floats(1e-8, 1e8), st.floats(-8, 8))
def test_real_powers_hold_their_true_values(a: float, x: float, b: float, exponent: float) -> None:
    a, x, b = sorted((a, x, b))
    with mpmath.workdps(60):
        true = mpmath.mpf(x) ** mpmath.mpf(exponent)
        for interval in (Interval(np.array([a]), np.array([b])), iv.point(x)):
            found = el.real_power(interval, exponent)
            assert mpmath.mpf(found.lo.item()) <= true <= mpmath.mpf(found.hi.item())


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("log", -1.0, 1.0), ("sqrt", -1e-9, 1.0), ("arcsin", 0.0, 1.1), ("log1p", -2.0, 0.0), ("tan", 1.0, 2.0)],
)
def test_outside_its_domain_a_function_is_anything(name: str, low: float, high: float) -> None:
    found = getattr(el, name)(Interval(np.array([low]), np.array([high])))
    assert found.lo.item() == -np.inf and found.hi.item() == np.inf


def test_enclosures_of_points_are_narrow() -> None:
    """Otherwise every test of enclosure could be passed by (-inf, inf)."""
    x = np.linspace(0.1, 0.9, 50)
    for name in FUNCTIONS:
        found = getattr(el, name)(iv.point(x))
        assert float((found.hi - found.lo).max()) < 1e-12, name
    wave = el.sin(Interval(np.array([0.1, 1.0, 4.0, -7.0]), np.array([0.2, 2.0, 5.0, 7.0])))
    assert wave.hi == pytest.approx([np.sin(0.2), 1.0, np.sin(4.0), 1.0])
    assert wave.lo == pytest.approx([np.sin(0.1), np.sin(1.0), -1.0, -1.0])
