"""A damping that follows how well the model predicts the loss: the gain ratio of Levenberg and Marquardt."""

from __future__ import annotations

import math
from dataclasses import dataclass

from strategic_envs.errors import InvalidSettingError

__all__ = ["Damping"]


@dataclass
class Damping:
    """Lambda, raised where the model promised too much and lowered where it kept its word.

    The gain ratio is the fall of the loss over the predicted fall. Below `low` the damping is multiplied by `factor`,
    above `high` it is divided by it. A rejected step multiplies it by 2, 4, 8, ... as long as rejections follow each
    other (Nielsen's rule), so that few tries are wasted.

    Args:
        value: The damping at the start, > 0.
        least: It never falls below this. On batches that the network could fit alone the ratio stays near 1 however
            far a step overfits; this is what bounds the step then.
        most: It never rises above this.
        factor: How fast it changes, > 1.
        low: The ratio below which it rises.
        high: The ratio above which it falls.

    Raises:
        InvalidSettingError: If a number makes no sense.

    Source:
        Marquardt (1963); Nielsen, "Damping parameter in Marquardt's method" (1999), for the rejections.

    Example:
        >>> damping = Damping(1.0)
        >>> damping.accepted(0.9)
        >>> damping.rejected()
        >>> damping.rejected()
        >>> round(damping.value, 3)  # 1 / 1.5 * 2 * 4
        5.333
    """

    value: float = 1.0
    least: float = 0.1
    most: float = 1e6
    factor: float = 1.5
    low: float = 0.25
    high: float = 0.75
    growth: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.value <= self.most < math.inf:
            raise InvalidSettingError(
                f"got a damping of {self.value!r} between {self.least!r} and {self.most!r}, expected 0 < least <= "
                "damping <= most"
            )
        if not 1 < self.factor < math.inf:
            raise InvalidSettingError(f"got factor={self.factor!r}, expected a number above 1, such as 1.5")

    def accepted(self, ratio: float) -> None:
        """A step was taken, with this gain ratio."""
        self.growth = 2.0
        if ratio < self.low:
            self.value = min(self.value * self.factor, self.most)
        elif ratio > self.high:
            self.value = max(self.value / self.factor, self.least)

    def rejected(self) -> None:
        """A step was taken back."""
        self.value = min(self.value * self.growth, self.most)
        self.growth = min(2 * self.growth, 1024.0)
