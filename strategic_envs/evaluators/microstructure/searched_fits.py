"""The families whose shape is searched for: gamma, Weibull, generalised half-normal, half-Student-t.

The scale of largest likelihood is a formula (for the half-t, one rising equation) given the shape, so that every search
is over one number, the logarithm of the shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from strategic_envs.evaluators.microstructure.family import Family, Logs, Parameters
from strategic_envs.evaluators.microstructure.roots import best_maximum, rising_root

__all__ = ["CAP", "Gamma", "GeneralisedHalfNormal", "HalfT", "Weibull"]

CAP = 1e3  # of shapes that diverge: half-t on Gaussian weights, generalised half-normal on uniform ones


class Gamma(Family):
    """Density proportional to `x^(shape - 1) exp(-x / scale)`."""

    name, words, parameters = "gamma", "gamma", ("shape", "scale")

    def fit(self, y: Logs) -> Parameters:
        top, t = float(y.max()), y - y.max()
        mean = float(np.exp(t).mean())
        spread = max(math.log(mean) - float(t.mean()), 1e-15)  # zero by rounding only where all weights are the same
        start = (3 - spread + math.sqrt((spread - 3) ** 2 + 24 * spread)) / (12 * spread)  # Minka 2002
        a = math.exp(rising_root(lambda u: self._shape(spread, math.exp(u)), math.log(start)))
        return a, math.exp(top) * mean / a

    @staticmethod
    def _shape(spread: float, a: float) -> tuple[float, float]:
        """`psi(a) - ln a + spread`, which rises in ln a, and its slope there."""
        return float(special.digamma(a)) - math.log(a) + spread, a * float(special.polygamma(1, a)) - 1

    def log_density(self, y: Logs, p: Parameters) -> Logs:
        a, scale = p
        return (a - 1) * y - np.exp(y) / scale - special.gammaln(a) - a * np.log(scale)

    def tails(self, y: Logs, p: Parameters) -> tuple[Logs, Logs]:
        u = np.exp(y) / p[1]
        return special.gammainc(p[0], u), special.gammaincc(p[0], u)

    def draw(self, random: np.random.Generator, n: int, p: Parameters) -> Logs:
        # Draws of a small shape underflow; Gamma(a) = Gamma(a + 1) U^(1/a) stays in logarithms.
        return np.log(random.standard_gamma(p[0] + 1, n)) - random.standard_exponential(n) / p[0] + np.log(p[1])


class Weibull(Family):
    """The probability of a weight above `x` is `exp(-(x / scale)^shape)`."""

    name, words, parameters = "weibull", "Weibull", ("shape", "scale")

    def fit(self, y: Logs) -> Parameters:
        top, t = float(y.max()), y - y.max()
        start = math.log(math.pi / math.sqrt(6) / float(y.std()))
        c = math.exp(rising_root(lambda u: self._shape(t, math.exp(u)), start))
        return c, math.exp(top + math.log(np.exp(c * t).mean()) / c)

    @staticmethod
    def _shape(t: Logs, c: float) -> tuple[float, float]:
        """The equation of the shape times c, which rises in ln c, and its slope there."""
        share = np.exp(c * t)
        share /= share.sum()
        first = float(share @ t)
        ahead = c * (first - float(t.mean()))
        return ahead - 1, ahead + c * c * (float(share @ (t * t)) - first * first)

    def log_density(self, y: Logs, p: Parameters) -> Logs:
        c, scale = p
        u = c * (y - np.log(scale))
        return np.log(c) - y + u - np.exp(u)

    def tails(self, y: Logs, p: Parameters) -> tuple[Logs, Logs]:
        power = np.exp(p[0] * (y - np.log(p[1])))
        return -np.expm1(-power), np.exp(-power)

    def draw(self, random: np.random.Generator, n: int, p: Parameters) -> Logs:
        return np.log(random.standard_exponential(n)) / p[0] + np.log(p[1])


class GeneralisedHalfNormal(Family):
    """Density proportional to `exp(-(x / a)^b)`: half-normal at b = 2, exponential at b = 1, uniform as b grows."""

    name, words, parameters = "generalised_half_normal", "generalised half-normal", ("shape", "scale")
    grid = tuple(np.log([0.02, 0.1, 0.3, 0.7, 1.5, 3, 8, 30, CAP]))

    def fit(self, y: Logs) -> Parameters:
        top, t = float(y.max()), y - y.max()
        b = math.exp(
            best_maximum(lambda u: self._score(t, math.exp(u)), lambda u: self._value(t, math.exp(u)), self.grid)
        )
        return b, math.exp(top + self._log_scale(t, b))

    @staticmethod
    def _log_scale(t: Logs, b: float) -> float:
        return math.log(b * np.exp(b * t).mean()) / b

    @classmethod
    def _value(cls, t: Logs, b: float) -> float:
        return math.log(b) - cls._log_scale(t, b) - float(special.gammaln(1 / b)) - 1 / b

    @staticmethod
    def _score(t: Logs, b: float) -> float:
        """The slope of `_value` in b, times b^2."""
        power = np.exp(b * t)
        total = float(power.sum())
        return b + float(special.digamma(1 / b)) + math.log(b * total / t.size) - b * float(power @ t) / total

    def log_density(self, y: Logs, p: Parameters) -> Logs:
        b, a = p
        return np.log(b / a) - special.gammaln(1 / b) - np.exp(b * (y - np.log(a)))

    def tails(self, y: Logs, p: Parameters) -> tuple[Logs, Logs]:
        b, far = p[0], y - np.log(p[1])
        power = np.exp(b * far)
        first = np.exp(far - special.gammaln(1 + 1 / b))  # the first term of the series: a large power underflows
        small = power < 1e-12
        lower = np.where(small, first, special.gammainc(1 / b, power))
        return lower, np.where(small, 1 - lower, special.gammaincc(1 / b, power))

    def draw(self, random: np.random.Generator, n: int, p: Parameters) -> Logs:
        return np.log(random.standard_gamma(1 / p[0], n)) / p[0] + np.log(p[1])

    def limit(self, p: Parameters) -> str | None:
        return _limit(p[0], self.grid, "uniform limit")


class HalfT(Family):
    """The sizes of Student-t weights with nu degrees of freedom; nu is capped at 1000, the Gaussian limit."""

    name, words, parameters = "half_t", "half-Student-t", ("nu", "scale")
    grid = tuple(np.log([0.05, 0.3, 1, 2.5, 6, 15, 50, 200, CAP]))

    def fit(self, y: Logs) -> Parameters:
        middle = float(np.median(y))
        square = np.exp(2 * (y - middle))
        nu = math.exp(
            best_maximum(
                lambda u: self._score(square, math.exp(u)), lambda u: self._value(square, math.exp(u)), self.grid
            )
        )
        return nu, math.exp(middle + self._log_scale(square, nu))

    @classmethod
    def _log_scale(cls, square: Logs, nu: float) -> float:
        return rising_root(lambda u: cls._pull(square, nu, u), 0.0, tol=1e-11)

    @staticmethod
    def _pull(square: Logs, nu: float, log_scale: float) -> tuple[float, float]:
        """Minus the logarithm of the mean weighted square, which is 0 at the best scale, and its slope."""
        u = square * math.exp(-2 * log_scale)
        ratio = u / (nu + u)
        mean = float(ratio.mean())
        return -math.log((nu + 1) * mean), 2 * (1 - float(ratio @ ratio) / ratio.size / mean)

    @classmethod
    def _value(cls, square: Logs, nu: float) -> float:
        y = np.log(square) / 2
        return float(cls().log_density(y, (nu, math.exp(cls._log_scale(square, nu)))).mean())

    @classmethod
    def _score(cls, square: Logs, nu: float) -> float:
        """Twice the slope in nu of `_value`."""
        inside = float(np.log1p(square * (math.exp(-2 * cls._log_scale(square, nu)) / nu)).mean())
        return float(special.digamma((nu + 1) / 2) - special.digamma(nu / 2)) - inside

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
