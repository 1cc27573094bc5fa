"""How the firms explore: with a chance that fades, by temperatures that fall, or not at all.

Every schedule is two numbers a firm: a level in period 0 and the factor by which each period multiplies it. The
repeated product in float64 is the definition, so every executor has the same bits (in float32 it drifts).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from strategic_envs.errors import InvalidSettingError

__all__ = ["Boltzmann", "Exponential", "NoExploration", "Schedule", "per_firm"]


@dataclass(frozen=True)
class Exponential:
    """A firm draws one of all its prices with chance `first * exp(-beta t)` in period t, else takes the greedy one.

    Args:
        beta: How fast exploration fades, >= 0, one number or one a firm; 0 keeps it as it is.
        first: The chance in period 0, in [0, 1], one number or one a firm.

    Raises:
        InvalidSettingError: If a number is out of its range.

    Example:
        >>> Exponential(beta=4e-6).levels(2)
        (array([1., 1.]), array([0.999996, 0.999996]))
    """

    beta: float | Sequence[float] = 4e-6
    first: float | Sequence[float] = 1.0

    def __post_init__(self) -> None:
        _freeze(self, "beta", 0.0, math.inf, ">= 0")
        _freeze(self, "first", 0.0, 1.0, "in [0, 1]")

    def levels(self, n: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """The level in period 0 and the factor of each period, by firm."""
        return per_firm("first", self.first, n), np.exp(-per_firm("beta", self.beta, n))


@dataclass(frozen=True)
class Boltzmann:
    """A firm draws a price with chances in proportion to `exp(Q(s, a) / T_t)`, where `T_{t+1} = T_t (1 - decay)`.

    Args:
        temperature: T_0 > 0, one number or one a firm.
        decay: In [0, 1), one number or one a firm; the default is that of AER 2020, 10^-4.41414.

    Raises:
        InvalidSettingError: If a number is out of its range.

    Example:
        >>> first, factor = Boltzmann().levels(2)
        >>> float(first[0]), round(float(factor[0]), 6)
        (1000.0, 0.999961)
    """

    temperature: float | Sequence[float] = 1000.0
    decay: float | Sequence[float] = 10**-4.41414

    def __post_init__(self) -> None:
        _freeze(self, "temperature", math.ulp(0.0), math.inf, "> 0")
        _freeze(self, "decay", 0.0, math.nextafter(1.0, 0.0), "in [0, 1)")

    def levels(self, n: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """The temperature in period 0 and the factor of each period, by firm."""
        return per_firm("temperature", self.temperature, n), 1.0 - per_firm("decay", self.decay, n)


@dataclass(frozen=True)
class NoExploration:
    """Firms always take their greedy price: what they try is left to the first values (optimism).

    Example:
        >>> NoExploration().levels(2)
        (array([0., 0.]), array([1., 1.]))
    """

    def levels(self, n: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """A chance of 0 in every period, by firm."""
        return np.zeros(n), np.ones(n)


Schedule = Exponential | Boltzmann | NoExploration


def per_firm(name: str, value: float | Sequence[float], n: int) -> Float[np.ndarray, " n"]:
    """One number a firm from one for all or one for each.

    Raises:
        InvalidSettingError: If there are not as many numbers as firms.

    Example:
        >>> per_firm("alpha", 0.5, 3)
        array([0.5, 0.5, 0.5])
    """
    values = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if len(values) not in (1, n):
        raise InvalidSettingError(
            f"q_learning: {name} has {len(values)} numbers for {n} firms, expected one for all firms or {n}, one a firm"
        )
    return np.broadcast_to(values, (n,)).copy()


def in_range(
    name: str, value: float | Sequence[float], low: float, high: float, expected: str
) -> float | tuple[float, ...]:
    """The number or numbers as floats, if all lie in [low, high] and are finite."""
    many = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    numbers: list[Any] = [*value] if isinstance(value, Sequence | np.ndarray) else [value]
    good = [isinstance(v, int | float | np.number) and not isinstance(v, bool) for v in numbers]
    if not numbers or not all(good) or not all(math.isfinite(v) and low <= v <= high for v in numbers):
        raise InvalidSettingError(
            f"q_learning: got {name}={value!r}, expected a finite number {expected}, one for all firms or one a firm"
        )
    return tuple(float(v) for v in numbers) if many else float(numbers[0])


def _freeze(setting: object, name: str, low: float, high: float, expected: str) -> None:
    object.__setattr__(setting, name, in_range(name, getattr(setting, name), low, high, expected))
