"""Weights that drift and fluctuate: multiplicative noise ends lognormal, additive noise with decay ends Gaussian.

    multiplicative:  d ln|w| = (alpha - 2 beta ln|w|) dt + sqrt(2 gamma) dB    ln|w| ~ N(alpha / 2 beta, gamma / 2 beta)
    additive:        d w = -decay w dt + sqrt(2 temperature) dB                w ~ N(0, temperature / decay)

The first has the arbitrage equilibrium (`strategic_envs.games.arbitrage`) as its stationary law, the second is gradient
descent with noise and weight decay on a flat loss. So a lognormal is what multiplicative updates predict, and not what
gradient descent does in general. Both are Ornstein-Uhlenbeck processes (1930), whose transitions are known in closed
form: they are drawn exactly, and the length of a step introduces no error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidSettingError

__all__ = ["AdditiveNoise", "MultiplicativeNoise"]


@dataclass(frozen=True)
class MultiplicativeNoise:
    """`d ln|w| = (alpha - 2 beta ln|w|) dt + sqrt(2 gamma) dB`; signs stay what they are.

    Args:
        alpha: The drift of ln|w| at 0.
        beta: Half its decay, > 0.
        crowding: gamma > 0, the strength of the noise.

    Example:
        >>> MultiplicativeNoise(alpha=-4.0, beta=0.5).stationary  # mean and standard deviation of ln|w|
        (-4.0, 1.0)
    """

    alpha: float = -4.0
    beta: float = 0.5
    crowding: float = 1.0

    def __post_init__(self) -> None:
        _check(type(self).__name__, beta=self.beta, crowding=self.crowding)

    @property
    def stationary(self) -> tuple[float, float]:
        """Mean and standard deviation of ln|w| in the long run."""
        return self.alpha / (2 * self.beta), math.sqrt(self.crowding / (2 * self.beta))

    def advance(self, w: Float[Tensor, "*shape"], time: float, generator: torch.Generator) -> Float[Tensor, "*shape"]:
        """The weights after some time.

        Args:
            w: Weights, none of them zero.
            time: How long, > 0.
            generator: Where the noise comes from.

        Raises:
            InvalidSettingError: If the time is not above 0, or a weight is zero: it would stay zero.
        """
        _check("advance", time=time)
        if bool((w == 0).any()):
            raise InvalidSettingError("multiplicative noise: got a weight of 0, expected none: it would never move")
        mean, deviation = self.stationary
        return w.sign() * _relaxed(w.abs().log(), mean, deviation, 2 * self.beta * time, generator).exp()


@dataclass(frozen=True)
class AdditiveNoise:
    """`dw = -decay w dt + sqrt(2 temperature) dB`.

    Args:
        decay: > 0.
        temperature: > 0.

    Example:
        >>> AdditiveNoise(decay=2.0, temperature=0.5).stationary  # mean and standard deviation of w
        (0.0, 0.5)
    """

    decay: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check(type(self).__name__, decay=self.decay, temperature=self.temperature)

    @property
    def stationary(self) -> tuple[float, float]:
        """Mean and standard deviation of w in the long run."""
        return 0.0, math.sqrt(self.temperature / self.decay)

    def advance(self, w: Float[Tensor, "*shape"], time: float, generator: torch.Generator) -> Float[Tensor, "*shape"]:
        """The weights after some time, > 0, with the noise of the generator."""
        _check("advance", time=time)
        return _relaxed(w, *self.stationary, self.decay * time, generator)


def _relaxed(y: Tensor, mean: float, deviation: float, time: float, generator: torch.Generator) -> Tensor:
    """An Ornstein-Uhlenbeck process after so many relaxation times."""
    noise = torch.randn(y.shape, generator=generator, dtype=y.dtype, device=y.device)
    return mean + (y - mean) * math.exp(-time) + deviation * math.sqrt(-math.expm1(-2 * time)) * noise


def _check(who: str, **values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise InvalidSettingError(f"{who}: got {name}={value!r}, expected a finite number above 0")
