"""Seven families of densities for the sizes of weights, each fitted by maximum likelihood.

Everything is computed from `y = ln x`, `x = |w| > 0`: powers `x^c` are taken relative to the largest weight, so that no
scale of the weights overflows. A density is that of `x`, not of `y`; likelihoods of families are comparable.

Weights that are Gaussian are half-normal in size; Laplace weights are exponential; Student-t weights are half-t.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import special

from strategic_envs.errors import InvalidSettingError, UnknownNameError
from strategic_envs.evaluators.microstructure.roots import best_maximum, rising_root

__all__ = ["CAP", "FAMILIES", "Family", "choose_families"]

Logs = Float[ndarray, "n"]
Parameters = tuple[float, ...]

CAP = 1e3  # of shapes that diverge: half-t on Gaussian weights, generalised half-normal on uniform ones


class Family(ABC):
    """A family of densities on the positive numbers.

    Attributes:
        name: What the family is called in `FAMILIES`.
        words: What it is called in a sentence.
        parameters: The names of its parameters, in their order.

    Example:
        >>> y = np.log(np.array([1.0, 2.0, 3.0]))
        >>> FAMILIES["exponential"].fit(y)
        (2.0,)
    """

    name: ClassVar[str]
    words: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fit(self, y: Logs) -> Parameters:
        """The parameters of largest likelihood, from the logarithms `y` (at least two different ones)."""

    @abstractmethod
    def log_density(self, y: Logs, p: Parameters) -> Logs:
        """The logarithm of the density of `x = exp(y)`, point by point."""

    @abstractmethod
    def tails(self, y: Logs, p: Parameters) -> tuple[Logs, Logs]:
        """The probability of a smaller and of a larger weight, each accurate where it is small."""

    @abstractmethod
    def draw(self, random: np.random.Generator, n: int, p: Parameters) -> Logs:
        """Logarithms of `n` independent draws."""

    def limit(self, p: Parameters) -> str | None:
        """Which limit the parameters stand for, if a shape reached its cap."""
        return None


class Lognormal(Family):
    """`ln x` is Gaussian with mean mu and standard deviation sigma."""

    name, words, parameters = "lognormal", "lognormal", ("mu", "sigma")

    def fit(self, y: Logs) -> Parameters:
        return float(y.mean()), float(y.std())

    def log_density(self, y: Logs, p: Parameters) -> Logs:
        mu, sigma = p
        return -y - np.log(sigma * np.sqrt(2 * np.pi)) - ((y - mu) / sigma) ** 2 / 2

    def tails(self, y: Logs, p: Parameters) -> tuple[Logs, Logs]:
        z = (y - p[0]) / p[1]
        return special.ndtr(z), special.ndtr(-z)

    def draw(self, random: np.random.Generator, n: int, p: Parameters) -> Logs:
        return random.normal(p[0], p[1], n)


class GeneralisedHalfNormal(Family):
    """Density proportional to `exp(-(x / a)^b)`: half-normal at b = 2, exponential at b = 1, uniform as b grows."""

    name, words, parameters = "generalised_half_normal", "generalised half-normal", ("shape", "scale")
    grid = tuple(np.log([0.02, 0.1, 0.3, 0.7, 1.5, 3, 8, 30, CAP]))

    def fit(self, y: Logs) -> Parameters:
        top, t = y.max(), y - y.max()

        def score(log_b: float) -> float:  # b times the slope in ln b of the likelihood at the best scale
            b = float(np.exp(log_b))
            power = np.exp(b * t)
            return b + special.digamma(1 / b) + np.log(b * power.mean()) - b * float(power @ t) / power.sum()

        def scale(b: float) -> float:
            return float(np.exp(top + np.log(b * np.exp(b * t).mean()) / b))

        def value(log_b: float) -> float:
            b = float(np.exp(log_b))
            return log_b - np.log(scale(b)) - special.gammaln(1 / b) - 1 / b

        b = float(np.exp(best_maximum(score, value, self.grid)))
        return b, scale(b)

    def log_density(self, y: Logs, p: Parameters) -> Logs:
        b, a = p
        return np.log(b / a) - special.gammaln(1 / b) - np.exp(b * (y - np.log(a)))

    def tails(self, y: Logs, p: Parameters) -> tuple[Logs, Logs]:
        power = np.exp(p[0] * (y - np.log(p[1])))
        return special.gammainc(1 / p[0], power), special.gammaincc(1 / p[0], power)

    def draw(self, random: np.random.Generator, n: int, p: Parameters) -> Logs:
        return np.log(random.standard_gamma(1 / p[0], n)) / p[0] + np.log(p[1])

    def limit(self, p: Parameters) -> str | None:
        return _limit(p[0], self.grid, "uniform limit")


class HalfNormal(Family):
    """The sizes of Gaussian weights of mean 0 and standard deviation `scale`."""

    name, words, parameters = "half_normal", "half-normal", ("scale",)

    def fit(self, y: Logs) -> Parameters:
        top = y.max()
        return (float(np.exp(top) * np.sqrt(np.exp(2 * (y - top)).mean())),)

    def log_density(self, y: Logs, p: Parameters) -> Logs:
        return np.log(np.sqrt(2 / np.pi) / p[0]) - np.exp(2 * (y - np.log(p[0]))) / 2

    def tails(self, y: Logs, p: Parameters) -> tuple[Logs, Logs]:
        z = np.exp(y - np.log(p[0])) / np.sqrt(2)
        return special.erf(z), special.erfc(z)

    def draw(self, random: np.random.Generator, n: int, p: Parameters) -> Logs:
        return np.log(np.abs(random.normal(0, p[0], n)))


class Weibull(Family):
    """The probability of a weight above `x` is `exp(-(x / scale)^shape)`."""

    name, words, parameters = "weibull", "Weibull", ("shape", "scale")

    def fit(self, y: Logs) -> Parameters:
        top, t = y.max(), y - y.max()
        mean = t.mean()

        def curve(log_c: float) -> tuple[float, float]:  # c times the equation of the shape, rising in ln c
            c = float(np.exp(log_c))
            power = np.exp(c * t)
            share = power / power.sum()
            first = float(share @ t)
            second = float(share @ (t * t))
            return c * (first - mean) - 1, c * (first - mean) + c * c * (second - first * first)

        c = float(np.exp(rising_root(curve, float(np.log(np.pi / np.sqrt(6) / y.std())))))
        return c, float(np.exp(top + np.log(np.exp(c * t).mean()) / c))

    def log_density(self, y: Logs, p: Parameters) -> Logs:
        c, scale = p
        u = c * (y - np.log(scale))
        return np.log(c) - y + u - np.exp(u)

    def tails(self, y: Logs, p: Parameters) -> tuple[Logs, Logs]:
        power = np.exp(p[0] * (y - np.log(p[1])))
        return -np.expm1(-power), np.exp(-power)

    def draw(self, random: np.random.Generator, n: int, p: Parameters) -> Logs:
        return np.log(random.standard_exponential(n)) / p[0] + np.log(p[1])


class Exponential(Family):
    """The sizes of Laplace weights; `scale` is the mean."""

    name, words, parameters = "exponential", "exponential", ("scale",)

    def fit(self, y: Logs) -> Parameters:
        return (float(np.exp(y).mean()),)

    def log_density(self, y: Logs, p: Parameters) -> Logs:
        return -np.log(p[0]) - np.exp(y) / p[0]

    def tails(self, y: Logs, p: Parameters) -> tuple[Logs, Logs]:
        u = np.exp(y) / p[0]
        return -np.expm1(-u), np.exp(-u)

    def draw(self, random: np.random.Generator, n: int, p: Parameters) -> Logs:
        return np.log(random.exponential(p[0], n))


class Gamma(Family):
    """Density proportional to `x^(shape - 1) exp(-x / scale)`."""

    name, words, parameters = "gamma", "gamma", ("shape", "scale")

    def fit(self, y: Logs) -> Parameters:
        top, t = y.max(), y - y.max()
        mean = float(np.exp(t).mean())
        spread = max(float(np.log(mean) - t.mean()), 1e-15)  # zero by rounding only where all weights are the same

        def curve(log_a: float) -> tuple[float, float]:  # in ln a; psi(a) - ln a rises
            a = float(np.exp(log_a))
            return float(special.digamma(a)) - log_a + spread, a * float(special.polygamma(1, a)) - 1

        start = (3 - spread + np.sqrt((spread - 3) ** 2 + 24 * spread)) / (12 * spread)  # Minka 2002
        a = float(np.exp(rising_root(curve, float(np.log(start)))))
        return a, float(np.exp(top)) * mean / a

    def log_density(self, y: Logs, p: Parameters) -> Logs:
        a, scale = p
        return (a - 1) * y - np.exp(y) / scale - special.gammaln(a) - a * np.log(scale)

    def tails(self, y: Logs, p: Parameters) -> tuple[Logs, Logs]:
        u = np.exp(y) / p[1]
        return special.gammainc(p[0], u), special.gammaincc(p[0], u)

    def draw(self, random: np.random.Generator, n: int, p: Parameters) -> Logs:
        # Draws of a small shape underflow; Gamma(a) = Gamma(a + 1) U^(1/a) stays in logarithms.
        return np.log(random.standard_gamma(p[0] + 1, n)) - random.standard_exponential(n) / p[0] + np.log(p[1])


class HalfT(Family):
    """The sizes of Student-t weights with nu degrees of freedom; nu is capped at 1000, the Gaussian limit."""

    name, words, parameters = "half_t", "half-Student-t", ("nu", "scale")
    grid = tuple(np.log([0.05, 0.3, 1, 2.5, 6, 15, 50, 200, CAP]))

    def fit(self, y: Logs) -> Parameters:
        middle = float(np.median(y))
        square = np.exp(2 * (y - middle))
        at = 0.0  # ln scale - middle, kept from one nu to the next

        def log_scale(nu: float) -> float:
            def curve(log_s: float) -> tuple[float, float]:  # minus ln mean weighted square, rising in ln s
                u = square * np.exp(-2 * log_s)
                ratio = u / (nu + u)
                mean = float(ratio.mean())
                return -np.log((nu + 1) * mean), 2 * (1 - float(ratio @ ratio) / ratio.size / mean)

            return rising_root(curve, at, tol=1e-11)

        def score(log_nu: float) -> float:  # twice the slope in nu of the likelihood at the best scale
            nonlocal at
            nu = float(np.exp(log_nu))
            at = log_scale(nu)
            inside = np.log1p(square * (np.exp(-2 * at) / nu)).mean()
            return special.digamma((nu + 1) / 2) - special.digamma(nu / 2) - float(inside)

        def value(log_nu: float) -> float:
            nu = float(np.exp(log_nu))
            return float(self.log_density(y, (nu, float(np.exp(middle + log_scale(nu))))).mean())

        nu = float(np.exp(best_maximum(score, value, self.grid)))
        return nu, float(np.exp(middle + log_scale(nu)))

    def log_density(self, y: Logs, p: Parameters) -> Logs:
        nu, s = p
        constant = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - np.log(nu * np.pi) / 2 + np.log(2 / s)
        return constant - (nu + 1) / 2 * np.log1p(np.exp(2 * (y - np.log(s))) / nu)

    def tails(self, y: Logs, p: Parameters) -> tuple[Logs, Logs]:
        nu, s = p
        u = np.exp(2 * (y - np.log(s)))
        above = special.betainc(nu / 2, 0.5, nu / (nu + u))
        return np.where(u > nu, 1 - above, special.betainc(0.5, nu / 2, u / (nu + u))), above

    def draw(self, random: np.random.Generator, n: int, p: Parameters) -> Logs:
        return np.log(np.abs(random.standard_t(p[0], n))) + np.log(p[1])

    def limit(self, p: Parameters) -> str | None:
        return _limit(p[0], self.grid, "Gaussian limit")


def _limit(shape: float, grid: Sequence[float], at_cap: str) -> str | None:
    low, high = np.exp(grid[0]), np.exp(grid[-1])
    if shape >= high * (1 - 1e-9):
        return at_cap
    return "heaviest tail allowed" if shape <= low * (1 + 1e-9) else None


_ALL: tuple[Family, ...] = (
    Lognormal(),
    HalfNormal(),
    Exponential(),
    Gamma(),
    Weibull(),
    GeneralisedHalfNormal(),
    HalfT(),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}


def choose_families(names: Sequence[str]) -> tuple[Family, ...]:
    """The families of these names; the lognormal comes first, for it is what the others are compared with.

    Raises:
        UnknownNameError: If a name is in no list.
        InvalidSettingError: If the lognormal or every rival is missing, or a name comes twice.

    Example:
        >>> [family.name for family in choose_families(["weibull", "lognormal"])]
        ['lognormal', 'weibull']
    """
    if isinstance(names, str):
        raise InvalidSettingError(f"families: got the text {names!r}, expected a list of names: [{names!r}]")
    for name in names:
        if name not in FAMILIES:
            raise UnknownNameError("family", name, FAMILIES)
    if "lognormal" not in names or len(names) < 2 or len(set(names)) < len(names):
        raise InvalidSettingError(
            f"families: got {list(names)}, expected different ones, 'lognormal' and a rival of it at least"
        )
    return (FAMILIES["lognormal"], *(FAMILIES[name] for name in names if name != "lognormal"))
