"""The seven families: densities and fits beside scipy's, families inside each other, extreme weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from strategic_envs.errors import InvalidSettingError, UnknownNameError
from strategic_envs.evaluators.microstructure import FAMILIES
from strategic_envs.evaluators.microstructure.families import choose_families
from strategic_envs.evaluators.microstructure.roots import best_maximum, rising_root
from strategic_envs.evaluators.microstructure.searched_fits import CAP


def scipys(name: str, p: tuple[float, ...]):
    """The same distribution in scipy; the half-t is a folded t, which scipy lacks, so its parts are doubled."""
    return {
        "lognormal": lambda: stats.lognorm(p[1], scale=np.exp(p[0])),
        "half_normal": lambda: stats.halfnorm(scale=p[0]),
        "exponential": lambda: stats.expon(scale=p[0]),
        "gamma": lambda: stats.gamma(p[0], scale=p[1]),
        "weibull": lambda: stats.weibull_min(p[0], scale=p[1]),
        "generalised_half_normal": lambda: stats.halfgennorm(p[0], scale=p[1]),
        "half_t": lambda: stats.t(p[0], scale=p[1]),
    }[name]()


SHAPES = {
    "lognormal": [(-4.0, 1.2)],
    "half_normal": [(0.05,)],
    "exponential": [(0.1,)],
    "gamma": [(0.6, 0.2), (7.0, 3.0)],
    "weibull": [(0.7, 0.02), (1.6, 4.0)],
    "generalised_half_normal": [(0.8, 0.3), (3.0, 0.04)],
    "half_t": [(2.5, 0.04), (6.0, 1.0)],
}
CASES = [(name, p) for name, shapes in SHAPES.items() for p in shapes]


def draws(name: str, p: tuple[float, ...], n: int = 3000, seed: int = 0) -> np.ndarray:
    return FAMILIES[name].draw(np.random.default_rng(seed), n, p)


@pytest.mark.parametrize(("name", "p"), CASES)
def test_densities_tails_and_draws_are_scipys(name: str, p: tuple[float, ...]) -> None:
    family, other, y = FAMILIES[name], scipys(name, p), np.sort(draws(name, p))
    fold = np.log(2) if name == "half_t" else 0.0
    np.testing.assert_allclose(family.log_density(y, p), other.logpdf(np.exp(y)) + fold, rtol=1e-9, atol=1e-9)
    lower, upper = family.tails(y, p)
    expected = 2 * other.cdf(np.exp(y)) - 1 if fold else other.cdf(np.exp(y))
    np.testing.assert_allclose(lower, expected, atol=1e-9)
    np.testing.assert_allclose(upper, (2 if fold else 1) * other.sf(np.exp(y)), rtol=1e-7)
    np.testing.assert_allclose(lower + upper, 1, atol=1e-8)
    assert stats.kstest(lower, "uniform").pvalue > 1e-3  # the draws are of the family


@pytest.mark.parametrize(("name", "p"), CASES)
def test_fits_find_the_parameters_and_no_search_finds_better_ones(name: str, p: tuple[float, ...]) -> None:
    family, y = FAMILIES[name], draws(name, p, 2000)
    fitted = family.fit(y)
    np.testing.assert_allclose(fitted, p, rtol=0.3)
    best = family.log_density(y, fitted).mean()
    assert best >= family.log_density(y, p).mean()

    def loss(q: np.ndarray) -> float:  # the slow definition: a simplex search around the answer
        positive = (q[0], np.exp(q[1])) if name == "lognormal" else tuple(np.exp(q))
        return -float(family.log_density(y, positive).mean())

    start = [p[0], np.log(p[1])] if name == "lognormal" else np.log(p)
    found = optimize.minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14})
    assert -found.fun <= best + 1e-11
    assert -found.fun == pytest.approx(best, abs=1e-9)


def test_fits_are_those_of_scipys_own_searches() -> None:
    x = np.exp(draws("weibull", (1.3, 0.2), 800))
    bounds = {"c": (0.2, 5.0), "loc": (0, 0), "scale": (0.01, 2.0)}
    slow = stats.fit(stats.weibull_min, x, bounds, optimizer=_seeded).params
    np.testing.assert_allclose(FAMILIES["weibull"].fit(np.log(x)), (slow.c, slow.scale), rtol=1e-5)
    for name, law in (("gamma", stats.gamma), ("lognormal", stats.lognorm), ("generalised_half_normal", None)):
        fitted = FAMILIES[name].fit(np.log(x))
        shape, _, scale = (law or stats.halfgennorm).fit(x, floc=0)
        expected = (np.log(scale), shape) if name == "lognormal" else (shape, scale)
        np.testing.assert_allclose(fitted, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(FAMILIES["half_normal"].fit(np.log(x)), [stats.halfnorm.fit(x, floc=0)[1]], rtol=1e-9)
    np.testing.assert_allclose(FAMILIES["exponential"].fit(np.log(x)), [stats.expon.fit(x, floc=0)[1]], rtol=1e-9)
    x = np.exp(draws("half_t", (4.0, 0.2), 800))
    nu, _, scale = stats.t.fit(np.concatenate([x, -x]), floc=0)  # both signs: the same likelihood
    np.testing.assert_allclose(FAMILIES["half_t"].fit(np.log(x)), (nu, scale), rtol=1e-3)


def _seeded(function, bounds, *, args=(), **_):
    return optimize.differential_evolution(function, bounds, args=args, seed=0, tol=1e-12)


Y = np.linspace(-6, 2, 50)


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (("exponential", (0.3,)), ("weibull", (1.0, 0.3))),
        (("exponential", (0.3,)), ("gamma", (1.0, 0.3))),
        (("exponential", (0.3,)), ("generalised_half_normal", (1.0, 0.3))),
        (("half_normal", (0.3,)), ("generalised_half_normal", (2.0, 0.3 * 2**0.5))),
    ],
)
def test_families_inside_each_other(inner: tuple, outer: tuple) -> None:
    np.testing.assert_allclose(FAMILIES[inner[0]].log_density(Y, inner[1]), FAMILIES[outer[0]].log_density(Y, outer[1]))
    for a, b in zip(FAMILIES[inner[0]].tails(Y, inner[1]), FAMILIES[outer[0]].tails(Y, outer[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-300)
    y = draws("lognormal", (0.0, 1.0), 500)
    assert (
        FAMILIES[outer[0]].log_density(y, FAMILIES[outer[0]].fit(y)).mean()
        >= FAMILIES[inner[0]].log_density(y, FAMILIES[inner[0]].fit(y)).mean()
    )


def test_a_half_t_of_many_degrees_is_a_half_normal_and_says_so() -> None:
    np.testing.assert_allclose(
        FAMILIES["half_t"].log_density(Y, (1e9, 2.0)), FAMILIES["half_normal"].log_density(Y, (2.0,)), atol=1e-6
    )
    y = np.log(np.abs(stats.norm.ppf((np.arange(4000) + 0.5) / 8000)))  # quantiles, a little lighter than Gaussian
    fitted = FAMILIES["half_t"].fit(y)
    assert fitted[0] == pytest.approx(CAP)
    assert FAMILIES["half_t"].limit(fitted) == "Gaussian limit"
    assert FAMILIES["half_t"].limit((5.0, 1.0)) is None


def test_uniform_weights_are_the_limit_of_the_generalised_half_normal() -> None:
    x = np.sort(np.random.default_rng(0).uniform(size=3000))
    family = FAMILIES["generalised_half_normal"]
    fitted = family.fit(np.log(x))
    assert family.limit(fitted) == "uniform limit"
    np.testing.assert_allclose(
        family.tails(np.log(x), fitted)[0], x, atol=2e-3
    )  # powers of 1000 underflow, tails do not
    np.testing.assert_allclose(sum(family.tails(np.log(x), fitted)), 1, atol=1e-9)


def test_heavy_tails_end_at_the_floor_and_say_so() -> None:
    y = np.random.default_rng(0).normal(0, 40, 500)
    for name in ("half_t", "generalised_half_normal"):
        fitted = FAMILIES[name].fit(y)
        assert FAMILIES[name].limit(fitted) == "heaviest tail allowed"
        assert np.isfinite(FAMILIES[name].log_density(y, fitted)).all()


@given(st.floats(-40, 40), st.sampled_from(list(FAMILIES)), st.integers(0, 3))
@settings(max_examples=30)
def test_the_unit_of_the_weights_shifts_the_scale_and_nothing_else(shift: float, name: str, seed: int) -> None:
    family, y = FAMILIES[name], np.random.default_rng(seed).gumbel(size=60)
    here, there = family.fit(y), family.fit(y + shift)
    if name == "lognormal":
        np.testing.assert_allclose(there, (here[0] + shift, here[1]), rtol=1e-9, atol=1e-9)
    else:
        np.testing.assert_allclose(there[-1], here[-1] * np.exp(shift), rtol=1e-6)
        np.testing.assert_allclose(there[:-1], here[:-1], rtol=1e-6)
    gain = family.log_density(y, here).mean() - family.log_density(y + shift, there).mean()
    assert gain == pytest.approx(shift, abs=1e-8)


@pytest.mark.parametrize("width", [1e-4, 1.0, 12.0])
def test_narrow_and_wide_weights_are_fitted_without_a_warning(width: float) -> None:
    y = np.random.default_rng(0).normal(-3, width, 2000)
    likelihoods = {name: float(f.log_density(y, f.fit(y)).mean()) for name, f in FAMILIES.items()}
    assert np.isfinite(list(likelihoods.values())).all()
    assert max(likelihoods, key=lambda name: likelihoods[name]) in ("lognormal", "gamma")  # alike where narrow
    if width >= 1:
        assert max(likelihoods, key=lambda name: likelihoods[name]) == "lognormal"


def test_searches() -> None:
    assert rising_root(lambda t: (np.tanh(t - 300), 1e-300), 0.0) == pytest.approx(
        300
    )  # no slope: strides, then halves
    two = lambda t: -(t**2) * (t - 3) ** 2 + t  # noqa: E731  maxima near 0 and 3, the second higher
    slope = lambda t: -2 * t * (t - 3) ** 2 - 2 * t**2 * (t - 3) + 1  # noqa: E731
    assert best_maximum(slope, two, [-1.0, 1.5, 4.0]) == pytest.approx(3.05, abs=0.02)
    assert best_maximum(lambda t: -1.0, lambda t: -t, [0.0, 1.0]) == 0.0


def test_families_are_chosen_by_name() -> None:
    assert [f.name for f in choose_families(["gamma", "lognormal"])] == ["lognormal", "gamma"]
    with pytest.raises(UnknownNameError, match="did you mean 'weibull'"):
        choose_families(["lognormal", "weibul"])
    for wrong in (["gamma"], ["lognormal"], ["lognormal", "gamma", "gamma"], "lognormal"):
        with pytest.raises(InvalidSettingError, match="families"):
            choose_families(wrong)
