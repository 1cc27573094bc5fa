"""The families whose fit is a formula: lognormal, half-normal, exponential."""

from __future__ import annotations

import numpy as np
from scipy import special

from strategic_envs.evaluators.microstructure.family import Family, Logs, Parameters

__all__ = ["Exponential", "HalfNormal", "Lognormal"]


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
