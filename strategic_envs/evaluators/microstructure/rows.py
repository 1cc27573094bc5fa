"""One tensor measured: the row of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from strategic_envs.evaluators.microstructure.arbitrage import arbitrage_gap_bias, log_spacings
from strategic_envs.evaluators.microstructure.comparisons import (
    Fit,
    anderson_darling,
    bootstrap_p,
    fit_family,
    kolmogorov,
    log_qq_r2,
    skewness,
    vuong,
)
from strategic_envs.evaluators.microstructure.families import FAMILIES
from strategic_envs.evaluators.microstructure.family import Family
from strategic_envs.evaluators.microstructure.samples import Sample
from strategic_envs.evaluators.microstructure.words import in_words, verdict_of
from strategic_envs.seeding import numpy_stream

__all__ = ["WeightRow", "measure"]

RESAMPLES = 200
PART = 2000  # how many weights a bootstrap p-value is of


@dataclass(frozen=True)
class WeightRow:
    """What the sizes `x = |w|` of one tensor look like. Likelihoods and gaps are in nats.

    Args:
        name: The tensor.
        n: How many of its entries are not zero.
        used: How many of these were measured; fewer than n in very large tensors.
        zero_share: The share of exact zeros.
        tied_share: The share of entries whose size occurs more than once: high in low precision.
        mu: The mean of `ln x`.
        sigma: Its standard deviation.
        fits: The fits by family.
        winner: The family of smallest BIC.
        loglik_per_weight: By rival: the log-likelihood per weight of the lognormal minus that of the rival.
        bic: By family.
        vuong: By rival: Vuong's z of the lognormal against it; positive for the lognormal.
        ks: The Kolmogorov-Smirnov distance D of the lognormal and of the winner.
        ad: The Anderson-Darling statistic of both.
        qq_r2: R^2 of the quantile plot of `ln x` against a Gaussian.
        skew: The skewness of `ln x`.
        J: The arbitrage gap as estimated.
        J_corrected: The same with its bias subtracted: the number to read.
        J_init: `J_corrected` at initialisation; None without a baseline.
        verdict: `supported`, `compatible` or `rejected`, of the lognormal.
        sentence: The verdict in words.
        intervals: 95% intervals of `mu`, `sigma`, `J_corrected` and of `loglik_per_weight` by rival, from resampling
            rows (neurons); empty with fewer than two rows.
        p_values: Of the lognormal and the winner, by parametric bootstrap on at most 2000 weights; empty unless asked.
        initial: The whole row at initialisation; None without a baseline.
    """

    name: str
    n: int
    used: int
    zero_share: float
    tied_share: float
    mu: float
    sigma: float
    fits: Mapping[str, Fit] = field(repr=False)
    winner: str
    loglik_per_weight: Mapping[str, float]
    bic: Mapping[str, float] = field(repr=False)
    vuong: Mapping[str, float]
    ks: Mapping[str, float]
    ad: Mapping[str, float]
    qq_r2: float
    skew: float
    J: float
    J_corrected: float
    J_init: float | None
    verdict: str
    sentence: str
    intervals: Mapping[str, tuple[float, float]] = field(repr=False)
    p_values: Mapping[str, float]
    initial: WeightRow | None = field(repr=False)

    def row(self) -> dict[str, float | str]:
        """The row without its fits, flat, for a table or a log; what is not there is left out."""
        flat: dict[str, float | str] = {"name": self.name, "winner": self.winner, "verdict": self.verdict}
        plain = ("n", "used", "zero_share", "tied_share", "mu", "sigma", "qq_r2", "skew", "J", "J_corrected", "J_init")
        flat |= {key: value for key in plain if (value := getattr(self, key)) is not None}
        for key in ("loglik_per_weight", "vuong", "ks", "ad", "p_values"):
            flat |= {f"{key}/{family}": value for family, value in getattr(self, key).items()}
        for key, (low, high) in self.intervals.items():
            flat |= {f"{key}/low": low, f"{key}/high": high}
        return flat


def measure(
    sample: Sample,
    families: Sequence[Family] = tuple(FAMILIES.values()),
    *,
    initial: WeightRow | None = None,
    beside: str = "initialisation not given",
    seed: int = 0,
    bootstrap: int = 0,
) -> WeightRow:
    """The row of one sample.

    Args:
        sample: What `sample_of` made of a tensor; not constant.
        families: The lognormal first, then its rivals.
        initial: The row of the same tensor at initialisation.
        beside: What the sentence says beside J where there is no such row.
        seed: Seeds the resampling of rows and the bootstrap.
        bootstrap: How many draws a p-value is of; 0 for none.

    Returns:
        The row.

    Example:
        >>> from strategic_envs.evaluators.microstructure.samples import sample_of
        >>> weights = np.random.default_rng(0).normal(size=(50, 100))
        >>> row = measure(sample_of("layer.weight", weights))
        >>> row.winner, row.verdict, round(row.J_corrected, 2)
        ('half_normal', 'rejected', 0.16)
    """
    y, n = sample.y, sample.y.size
    fits: dict[str, Fit] = {}
    densities: dict[str, Float[ndarray, "n"]] = {}
    for family in families:
        fits[family.name], densities[family.name] = fit_family(family, y)
    base, *rivals = fits
    winner = min(fits, key=lambda name: fits[name].bic)
    z, ahead = {}, {}
    for name in rivals:
        ahead[name] = fits[base].loglik - fits[name].loglik
        parameters = len(fits[base].parameters), len(fits[name].parameters)
        z[name] = vuong(densities[base], densities[name], *parameters)
    ks, ad, p_values = {}, {}, {}
    for family in families:
        if family.name in (base, winner):
            lower, upper = family.tails(y, tuple(fits[family.name].parameters.values()))
            ks[family.name], ad[family.name] = kolmogorov(lower), anderson_darling(lower, upper)
            if bootstrap:
                random = numpy_stream(seed, "microstructure", "bootstrap", sample.name, family.name)
                part = numpy_stream(seed, "microstructure", "subsample", sample.name)
                some = part.choice(y, PART, replace=False) if n > PART else y
                p_values[family.name] = bootstrap_p(family, some, random, bootstrap)
    heights, bias = log_spacings(sample.spread), arbitrage_gap_bias(n)
    gap = 0.5 * math.log(2 * math.pi * math.e * float(sample.spread.var())) + float(heights.mean())
    differences = {name: densities[base] - densities[name] for name in rivals}
    if initial is not None:
        beside = f"{initial.J_corrected:.3f} at initialisation"
    verdict = verdict_of(winner, z, ks[base])
    return WeightRow(
        name=sample.name,
        n=sample.n,
        used=n,
        zero_share=sample.zero_share,
        tied_share=sample.tied_share,
        mu=float(y.mean()),
        sigma=float(y.std()),
        fits=fits,
        winner=winner,
        loglik_per_weight=ahead,
        bic={name: fit.bic for name, fit in fits.items()},
        vuong=z,
        ks=ks,
        ad=ad,
        qq_r2=log_qq_r2(y),
        skew=skewness(y),
        J=gap,
        J_corrected=gap - bias,
        J_init=None if initial is None else initial.J_corrected,
        verdict=verdict,
        sentence=in_words(verdict, sample, fits, winner, ahead, z, ks, gap - bias, beside),
        intervals=_by_rows(sample, heights, bias, differences, seed),
        p_values=p_values,
        initial=initial,
    )


def _by_rows(
    sample: Sample, heights: Float[ndarray, "n"], bias: float, differences: Mapping[str, Float[ndarray, "n"]], seed: int
) -> dict[str, tuple[float, float]]:
    """95% intervals when whole rows are drawn again, with the fits and the estimated density as they are."""
    if sample.number_of_rows < 2:
        return {}
    y = sample.spread - sample.spread.mean()
    columns = [np.ones_like(y), y, y * y, heights, *differences.values()]
    sums = np.stack([np.bincount(sample.rows, column, sample.number_of_rows) for column in columns], axis=1)
    random = numpy_stream(seed, "microstructure", "rows", sample.name)
    found = []
    for _ in range(RESAMPLES):
        times = np.bincount(random.integers(sample.number_of_rows, size=sample.number_of_rows), minlength=len(sums))
        count, first, second, height, *ahead = times @ sums
        if count == 0:
            continue  # only empty rows were drawn
        variance = max(second / count - (first / count) ** 2, 1e-300)
        gap = 0.5 * math.log(2 * math.pi * math.e * variance) + height / count - bias
        found.append([sample.spread.mean() + first / count, math.sqrt(variance), gap, *(a / count for a in ahead)])
    low, high = np.quantile(np.array(found), [0.025, 0.975], axis=0)
    names = ["mu", "sigma", "J_corrected", *(f"loglik_per_weight/{name}" for name in differences)]
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}
