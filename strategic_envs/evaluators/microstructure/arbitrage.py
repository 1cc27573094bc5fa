"""The arbitrage gap J: how far `ln|w|` is from Gaussian, in nats.

In the arbitrage picture weights crowd into bins of `ln|w|` where benefit, cost and crowding balance,
`h = alpha ln|w| - beta (ln|w|)^2 - ln N`, and `h` is the same in all bins exactly if `ln|w|` is Gaussian. For a density
p of the weights and the lognormal q of the same mean and variance of the logarithm, the mean shortfall is

    h* - mean_p h = KL(p || q) = 0.5 ln(2 pi e s^2) - H(ln|w|) = J >= 0,

the negentropy of `ln|w|`. J has no unit and no parameter: it is the same for `c |w|^k`. It is 0 for a lognormal, .0906
for Laplace weights (and every Weibull), .1630 for Gaussian weights, .4189 for uniform ones.

The entropy H is estimated from spacings (Vasicek 1976) with the end correction of Ebrahimi, Pflughoeft and Soofi
(1994). The estimate of J is too high; what it reads on Gaussian draws of the same size, on average, is subtracted.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy import special
from torch import Tensor

from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.microstructure.samples import sample_of
from strategic_envs.seeding import numpy_stream

__all__ = ["REFERENCE", "arbitrage_gap", "arbitrage_gap_bias", "log_spacings", "measured_bias", "raw_gap"]

REFERENCE = {  # exact, in nats, of the sizes of weights that are ...
    "lognormal": 0.0,
    "half_t nu=2": 0.05408,
    "half_t nu=3": 0.07966,
    "exponential": 0.090573,  # Laplace; every Weibull too
    "half_t nu=5": 0.10835,
    "half_t nu=10": 0.13425,
    "half_t nu=30": 0.15316,
    "half_normal": 0.162975,  # Gaussian
    "uniform": 0.418939,
}

# What is left of the bias after its main part (see `arbitrage_gap_bias`): `measured_bias` with seed 0 and 6e6 / n draws
# (at least 6, at most 20,000), size -> rest. The standard errors are .0009 at 10, .0002 at 100, below .00008 from 300.
_REST = {
    **{10: 0.03923, 15: 0.02726, 20: 0.02548, 30: 0.01443, 50: 0.0053, 75: 0.0019, 100: -0.00152, 200: -0.00356},
    **{300: -0.00437, 500: -0.0041, 700: -0.00397, 1000: -0.0036, 2000: -0.00305, 3000: -0.00233, 5000: -0.00191},
    **{10_000: -0.00151, 20_000: -0.0011, 50_000: -0.00058, 100_000: -0.00047, 300_000: -0.0003},
    **{1_000_000: -0.00015, 3_000_000: -0.00006},
}


def arbitrage_gap(x: Tensor | np.ndarray, *, corrected: bool = True) -> float:
    """J of the sizes of `x`: the negentropy of `ln|x|` in nats; signs are ignored and zeros left out.

    Args:
        x: Weights, of any shape.
        corrected: Whether to subtract the bias at this number of entries; a corrected J may fall a little below 0.

    Returns:
        The estimate. At 20,000 entries its standard deviation is .0006 for lognormal draws, .004 for Laplace, .005 for
        Gaussian and .007 for uniform ones, where `1 / sqrt(n)` is the least that any estimate can have.

    Raises:
        DataError: If an entry is NaN or infinite.
        InvalidSettingError: If fewer than 10 entries are not zero, or all have the same size.

    Example:
        >>> draws = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
        >>> abs(arbitrage_gap(draws) - REFERENCE["half_normal"]) < 0.01, abs(arbitrage_gap(draws.exp())) < 0.01
        (True, True)
    """
    sample = sample_of("the weights", torch.as_tensor(x), largest=torch.as_tensor(x).numel())
    if sample.n < 10 or sample.constant:
        raise InvalidSettingError(
            f"an arbitrage gap: got {sample.n} entries that are not zero"
            f"{' and all of one size' if sample.n >= 10 else ''}, expected 10 of different sizes at least"
        )
    return raw_gap(sample.spread) - corrected * arbitrage_gap_bias(sample.n)


def log_spacings(y: Float[ndarray, "n"]) -> Float[ndarray, "n"]:
    """Estimates of the logarithm of the density at rising points, from the distance of their m-th neighbours.

    The window is `m = round(n^(1/3))`; near an end, where one neighbour is missing, the end stands in for it and the
    count of spacings is Ebrahimi's. Minus the mean is the estimate of the entropy.

    Example:
        >>> log_spacings(np.arange(30.0)).round(3)[[0, 15, 29]].tolist()
        [-3.401, -3.401, -3.401]
    """
    n = y.size
    m = round(n ** (1 / 3))
    ends = np.concatenate([np.full(m, y[0]), y, np.full(m, y[-1])])
    place = np.arange(n)
    count = 1 + np.minimum(1.0, np.minimum(place, n - 1 - place) / m)
    return np.log(count * m / n) - np.log(ends[2 * m :] - ends[: -2 * m])


def raw_gap(y: Float[ndarray, "n"]) -> float:
    """J of rising logarithms without ties, its bias not subtracted.

    Example:
        >>> round(raw_gap(special.ndtri((np.arange(1000) + 0.5) / 1000)), 3)  # quantiles, without the noise of draws
        -0.004
    """
    return 0.5 * math.log(2 * math.pi * math.e * float(y.var())) + float(log_spacings(y).mean())


def arbitrage_gap_bias(n: int) -> float:
    """What `raw_gap` reads on average on `n` lognormal draws, whose J is 0.

    Inside the sample a gap of 2m spacings is a Beta variable whatever the density: the mean of its logarithm is
    `psi(2m) - psi(n + 1)` where `ln(2m / n)` is taken for it. That part is exact; the rest (the ends, the curvature,
    the variance of the sample) is small and smooth in n, and read from a table of seeded draws.

    Example:
        >>> [round(arbitrage_gap_bias(n), 3) for n in (300, 2000, 20_000)]
        [0.033, 0.017, 0.008]
    """
    return _main_bias(n) + float(np.interp(math.log(n), np.log(list(_REST)), list(_REST.values())))


def _main_bias(n: int) -> float:
    m = round(n ** (1 / 3))
    return float(math.log(2 * m / n) - special.digamma(2 * m) + special.digamma(n + 1))


def measured_bias(n: int, draws: int, seed: int = 0) -> tuple[float, float]:
    """The mean of `raw_gap` over seeded Gaussian draws of size `n`, and its standard error.

    Example:
        >>> mean, error = measured_bias(300, 50)
        >>> abs(mean - arbitrage_gap_bias(300)) < 4 * error
        True
    """
    random = numpy_stream(seed, "microstructure", "bias", n)
    found = [raw_gap(np.sort(random.standard_normal(n))) for _ in range(draws)]
    return float(np.mean(found)), float(np.std(found) / math.sqrt(draws))
