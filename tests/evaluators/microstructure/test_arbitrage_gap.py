"""The arbitrage gap J: exact values by quadrature, the estimator beside a slow one, and the two traps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from strategic_envs.errors import DataError, InvalidSettingError
from strategic_envs.evaluators.microstructure import FAMILIES, REFERENCE, arbitrage_gap, arbitrage_gap_bias
from strategic_envs.evaluators.microstructure.arbitrage import log_spacings, measured_bias, raw_gap

N = 20_000
LAWS = {
    "lognormal": (stats.lognorm(1.0), lambda r: r.lognormal(size=N)),
    "half_normal": (stats.halfnorm, lambda r: r.normal(size=N)),
    "exponential": (stats.expon, lambda r: r.laplace(size=N)),
    "uniform": (stats.uniform, lambda r: r.uniform(-1, 1, size=N)),
    **{f"half_t nu={nu}": (stats.t(nu), lambda r, nu=nu: r.standard_t(nu, size=N)) for nu in (2, 3, 5, 10, 30)},
}


@pytest.mark.parametrize("name", LAWS)
def test_reference_values_are_the_integrals(name: str) -> None:
    law, fold = LAWS[name][0], 2.0 if name.startswith("half_t") else 1.0

    def mean(f) -> float:  # over the density of y = ln |x|
        def inside(y: float) -> float:
            p = fold * float(law.pdf(math.exp(y))) * math.exp(y)
            return p * f(y, p) if p > 0 else 0.0

        return sum(
            integrate.quad(inside, a, b, limit=200, epsabs=1e-12)[0] for a, b in ((-45, -8), (-8, 0), (0, 8), (8, 22))
        )

    first = mean(lambda y, p: y)
    variance = mean(lambda y, p: (y - first) ** 2)
    entropy = mean(lambda y, p: -math.log(p))
    assert 0.5 * math.log(2 * math.pi * math.e * variance) - entropy == pytest.approx(REFERENCE[name], abs=1e-5)


@pytest.mark.parametrize("name", LAWS)
def test_estimates_meet_the_reference_values(name: str) -> None:
    """Within .01 on average over ten samples of 20,000; one sample has a standard deviation of up to .0074."""
    random = np.random.default_rng(2)
    found = [arbitrage_gap(LAWS[name][1](random)) for _ in range(10)]
    assert np.mean(found) == pytest.approx(REFERENCE[name], abs=0.01)
    assert max(abs(np.array(found) - REFERENCE[name])) < 0.03


def test_one_sample_of_uniform_weights_scatters_as_theory_says() -> None:
    """The influence function of J at uniform weights is 1 - 2e + e^2 / 2 with e exponential: its variance is 1."""
    random = np.random.default_rng(0)
    found = [arbitrage_gap(random.uniform(size=2000)) for _ in range(200)]
    assert np.std(found) == pytest.approx(1 / math.sqrt(2000), rel=0.2)


@given(st.floats(-3, 3).filter(lambda k: abs(k) > 0.01), st.floats(-30, 30), st.integers(0, 5))
@settings(max_examples=25)
def test_units_powers_and_signs_do_not_matter(power: float, log_scale: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=200)
    there = math.exp(log_scale) * np.abs(x) ** power * random.choice([-1.0, 1.0], 200)
    assert arbitrage_gap(there) == pytest.approx(arbitrage_gap(x), abs=1e-9)


def test_every_weibull_has_the_gap_of_the_exponential() -> None:
    x = np.random.default_rng(0).exponential(size=500)
    assert arbitrage_gap(x ** (1 / 2.5)) == pytest.approx(arbitrage_gap(x), abs=1e-12)


def test_spacings_beside_the_formula_with_loops() -> None:
    y = np.sort(np.random.default_rng(0).normal(size=57))
    n, m, total = 57, round(57 ** (1 / 3)), 0.0
    for i in range(1, n + 1):
        count = 1 + (i - 1) / m if i <= m else 1 + (n - i) / m if i > n - m else 2
        total += math.log(n / (count * m) * (y[min(i + m, n) - 1] - y[max(i - m, 1) - 1]))
    assert -log_spacings(y).mean() == pytest.approx(total / n, rel=1e-12)
    assert raw_gap(y) == pytest.approx(0.5 * math.log(2 * math.pi * math.e * y.var()) - total / n, rel=1e-12)


@pytest.mark.parametrize(("n", "draws"), [(12, 3000), (40, 2000), (150, 1000), (600, 500), (2500, 200), (20_000, 30)])
def test_the_table_of_the_bias_between_its_sizes(n: int, draws: int) -> None:
    mean, error = measured_bias(n, draws, seed=1)
    assert abs(mean - arbitrage_gap_bias(n)) < 4 * error + 5e-4 + 0.05 / n


def test_the_bias_falls() -> None:
    assert [round(arbitrage_gap_bias(n), 3) for n in (2000, 20_000)] == [0.017, 0.008]
    assert arbitrage_gap_bias(10**8) < arbitrage_gap_bias(10**6) < 0.003


def test_trap_one_every_density_is_an_arbitrage_equilibrium_of_some_utility() -> None:
    """Gaussian weights under the cost of weight decay: no bin is better than another, and J is as large as ever."""
    w = np.linspace(0.01, 4, 400)
    crowd = FAMILIES["half_normal"].log_density(np.log(w), (1.0,))
    utility = -(w**2) / 2
    assert np.ptp(utility - crowd) < 1e-12
    assert arbitrage_gap(stats.halfnorm.ppf((np.arange(N) + 0.5) / N)) > 0.15


def test_trap_two_least_squares_with_free_alpha_and_beta_accepts_uniform_weights() -> None:
    """With beta = 0 allowed the bins of `ln w` of a uniform density fit perfectly; J does not."""
    level = np.linspace(-6, -0.05, 60)  # bins of equal width in ln w hold crowds proportional to w
    design = np.stack([level, -(level**2), np.ones_like(level)], axis=1)
    (alpha, beta, _), residual, *_ = np.linalg.lstsq(design, level, rcond=None)
    assert (alpha, beta) == (pytest.approx(1), pytest.approx(0, abs=1e-9))
    assert residual < 1e-18
    assert REFERENCE["uniform"] == max(REFERENCE.values())
    assert arbitrage_gap((np.arange(N) + 0.5) / N) == pytest.approx(0.4189, abs=0.02)


def test_the_gap_is_the_mean_shortfall_from_the_utility_of_the_fitted_lognormal() -> None:
    """`h = alpha L - beta L^2 - ln N` with alpha and beta of the fit, the density known: h* - mean h = KL = J."""
    y = np.sort(np.log(np.random.default_rng(0).exponential(size=200_000)))
    mu, sigma = y.mean(), y.std()
    beta = 1 / (2 * sigma**2)
    alpha = 2 * beta * mu
    h = alpha * y - beta * y**2 - (y - np.exp(y))  # ln of the density of y = ln x for x exponential
    best = math.log(math.sqrt(2 * math.pi) * sigma) + mu**2 * beta  # h everywhere, were the weights lognormal
    assert best - h.mean() == pytest.approx(REFERENCE["exponential"], abs=0.005)


def test_tensors_ties_and_zeros() -> None:
    x = torch.randn(300, 100, generator=torch.Generator().manual_seed(0))
    with_zeros = torch.cat([x.reshape(-1), torch.zeros(500)])
    assert arbitrage_gap(with_zeros) == arbitrage_gap(x)
    assert arbitrage_gap(x.bfloat16()) == pytest.approx(arbitrage_gap(x), abs=0.003)  # 8 bits: nearly all sizes tie
    assert arbitrage_gap(x, corrected=False) == pytest.approx(arbitrage_gap(x) + arbitrage_gap_bias(30_000), abs=1e-12)


@pytest.mark.parametrize("x", [np.ones(100), np.zeros(100), np.arange(1.0, 9.0), np.array([])])
def test_what_has_no_gap_is_refused(x: np.ndarray) -> None:
    with pytest.raises(InvalidSettingError, match="expected 10 of different sizes"):
        arbitrage_gap(x)


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DataError, match="1 of 100 entries are NaN or infinite"):
        arbitrage_gap(np.append(np.ones(99), np.nan))
