"""What a family of densities can do. Everything is computed from `y = ln x`, `x = |w| > 0`.

A density is that of `x`, not of `y`. Powers `x^c` are taken relative to the largest weight, or to the scale, so that no
unit of the weights overflows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

__all__ = ["Family", "Logs", "Parameters"]

Logs = Float[ndarray, "n"]
Parameters = tuple[float, ...]


class Family(ABC):
    """A family of densities on the positive numbers.

    Attributes:
        name: What the family is called in `FAMILIES`.
        words: What it is called in a sentence.
        parameters: The names of its parameters, in their order.

    Example:
        >>> from strategic_envs.evaluators.microstructure import FAMILIES
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
