"""Vuong's test, BIC, distances and p-values, each beside a slow definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.microstructure import FAMILIES, vuong
from strategic_envs.evaluators.microstructure.comparisons import (
    anderson_darling,
    bootstrap_p,
    fit_family,
    kolmogorov,
    log_qq_r2,
    skewness,
)


def logs(seed: int, n: int = 400) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).normal(-3, 1.1, n))


def test_vuong_is_antisymmetric_and_as_written() -> None:
    y = logs(0)
    (_, a), (_, b) = fit_family(FAMILIES["lognormal"], y), fit_family(FAMILIES["exponential"], y)
    z = vuong(a, b, 2, 1)
    assert z == -vuong(b, a, 1, 2)
    m = [p - q for p, q in zip(a, b, strict=True)]
    by_hand = (sum(m) - (2 - 1) / 2 * np.log(len(m))) / (np.sqrt(len(m)) * np.std(m))
    assert z == pytest.approx(by_hand, rel=1e-12)


def test_vuong_of_equal_densities() -> None:
    a = np.linspace(-1, 0, 10)
    assert vuong(a, a, 2, 2) == 0
    assert vuong(a, a, 2, 1) == -np.inf  # the same fit with one more parameter
    assert vuong(a, a, 1, 2) == np.inf


def test_vuong_of_equal_merit_is_a_standard_normal_number() -> None:
    random = np.random.default_rng(0)
    found = [vuong(*random.normal(size=(2, 300)), 1, 1) for _ in range(400)]
    assert stats.kstest(found, "norm").pvalue > 1e-3


def test_bic_and_words() -> None:
    y = logs(1)
    fit, density = fit_family(FAMILIES["weibull"], y)
    assert fit.bic == pytest.approx(2 * np.log(400) - 2 * density.sum(), rel=1e-12)
    assert fit.words == f"Weibull (shape {fit.parameters['shape']:.3g})"
    assert fit_family(FAMILIES["exponential"], y)[0].words == "exponential"
    assert (
        fit_family(FAMILIES["half_t"], np.log(np.linspace(0.01, 1, 300)))[0].words == "half-Student-t (Gaussian limit)"
    )


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_scipys(seed: int) -> None:
    lower = np.sort(np.random.default_rng(seed).uniform(size=200) ** 1.1)
    assert kolmogorov(lower) == pytest.approx(float(stats.kstest(lower, "uniform").statistic), rel=1e-12)
    y = logs(seed)
    family = FAMILIES["lognormal"]
    z = (y - y.mean()) / y.std(ddof=1)  # scipy divides by n - 1
    with np.errstate(all="ignore"):
        slow = float(stats.goodness_of_fit(
            stats.norm, y, statistic="ad", n_mc_samples=1, known_params={"loc": y.mean(), "scale": y.std()}, rng=0
        ).statistic)  # fmt: skip
    assert anderson_darling(*family.tails(y, (y.mean(), y.std()))) == pytest.approx(slow, rel=1e-9)
    assert anderson_darling(*family.tails(z, (0.0, 1.0))) == pytest.approx(slow, rel=0.05)
    assert skewness(y) == pytest.approx(float(stats.skew(y)), rel=1e-9)
    quantiles = stats.norm.ppf((np.arange(400) + 0.5) / 400)
    assert log_qq_r2(y) == pytest.approx(np.corrcoef(quantiles, y)[0, 1] ** 2, rel=1e-9)


def test_anderson_darling_of_a_point_outside_a_fit_is_finite() -> None:
    assert np.isfinite(anderson_darling(np.array([0.5, 1.0]), np.array([0.5, 0.0])))


@pytest.mark.parametrize(("law", "expected"), [("normal", -1.5351), ("laplace", -1.1395), ("lognormal", 0.0)])
def test_skewness_of_log_sizes(law: str, expected: float) -> None:
    x = getattr(np.random.default_rng(0), law)(size=200_000)
    assert skewness(np.log(np.abs(x))) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("name", ["lognormal", "exponential"])
def test_p_values_are_uniform_under_the_null(name: str) -> None:
    """Of fitted parameters, where Kolmogorov's own table would give p near 1 throughout."""
    family, random = FAMILIES[name], np.random.default_rng(0)
    p = (1.0, 0.7)[: len(family.parameters)]
    found = [bootstrap_p(family, family.draw(random, 60, p), random, 19) for _ in range(60)]
    assert stats.kstest(found, "uniform").pvalue > 0.005
    naive = []
    for _ in range(60):
        y = family.draw(random, 60, p)
        naive.append(stats.kstest(family.tails(y, family.fit(y))[0], "uniform").pvalue)
    assert np.mean(naive) > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["half_t", "gamma", "generalised_half_normal", "weibull"])
def test_p_values_are_uniform_under_the_null_of_families_with_a_shape(name: str) -> None:
    family, random = FAMILIES[name], np.random.default_rng(1)
    found = [bootstrap_p(family, family.draw(random, 100, (3.0, 1.0)), random, 9) for _ in range(30)]
    assert stats.kstest(found, "uniform").pvalue > 0.005


def test_p_values_reject_another_family() -> None:
    random = np.random.default_rng(0)
    y = np.log(np.abs(random.normal(size=2000)))
    assert bootstrap_p(FAMILIES["lognormal"], y, random, 99) == 0.01
    assert bootstrap_p(FAMILIES["half_normal"], y, random, 99) > 0.05
    with pytest.raises(InvalidSettingError, match="got 0 draws"):
        bootstrap_p(FAMILIES["lognormal"], y, random, 0)


@pytest.mark.parametrize(("law", "least"), [("normal", 0.85), ("laplace", 0.95)])
def test_trap_three_a_curve_through_a_histogram_fits_what_the_likelihood_rejects(law: str, least: float) -> None:
    x = np.abs(getattr(np.random.default_rng(0), law)(size=65_536))
    height, edges = np.histogram(x, bins=100, density=True)
    middle, y = (edges[1:] + edges[:-1]) / 2, np.log(x)
    law_of = lambda t, mu, sigma: stats.lognorm.pdf(t, sigma, scale=np.exp(mu))  # noqa: E731
    curve, _ = optimize.curve_fit(law_of, middle, height, p0=[y.mean(), y.std()])
    r2 = 1 - np.mean((height - law_of(middle, *curve)) ** 2) / height.var()
    assert r2 > least
    lognormal, rival = (fit_family(FAMILIES[name], y) for name in ("lognormal", "weibull"))
    assert vuong(lognormal[1], rival[1], 2, 2) < -35


def test_the_weibull_of_largest_likelihood_for_gaussian_weights() -> None:
    """1.26; a line through a probability plot of the middle gives 1.20: the two are not to be mixed."""
    y = np.log(stats.halfnorm.ppf((np.arange(100_000) + 0.5) / 100_000))
    assert FAMILIES["weibull"].fit(y)[0] == pytest.approx(1.263, abs=0.001)
