"""What the Adam forms share: running moments of the field, and the direction that they give.

`m <- b1 m + (1 - b1) V`, `s <- b2 s + (1 - b2) V^2`, each divided by `1 - b^t`; the direction is `m / (sqrt(s) + eps)`,
coordinate by coordinate (Kingma and Ba 2015). In a box every first-order Nash point is a rest point of such steps; on
the curved boundary of a ball it need not be one, for the direction does not keep the angle of the field.
"""

from __future__ import annotations

import math
from abc import ABC
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.errors import InvalidSettingError
from strategic_envs.profile import Profile

__all__ = ["AdamForm", "AdamState", "Moments"]


@dataclass(frozen=True, eq=False)
class AdamState(State):
    """The profile, both moments of the field, and how often they were updated: an int64 tensor `()`."""

    first: Profile
    second: Profile
    time: Tensor

    @property
    def moments(self) -> Moments:
        """The moments alone."""
        return Moments(self.first, self.second, self.time)


@dataclass(frozen=True, eq=False)
class Moments:
    """Running moments of a field.

    Args:
        first: The mean, of the shape of a profile.
        second: The mean of the squares.
        time: How many fields went in, an int64 tensor `()`.
    """

    first: Profile
    second: Profile
    time: Tensor

    @classmethod
    def zero(cls, x: Profile) -> Moments:
        """The moments before any field was seen."""
        return cls(
            x.map(torch.zeros_like), x.map(torch.zeros_like), torch.zeros((), dtype=torch.int64, device=x[0].device)
        )


S = TypeVar("S", bound=AdamState)


@dataclass(frozen=True)
class AdamForm(Dynamic[S], ABC):
    """A dynamic that steps along Adam's direction in place of the field.

    Args:
        step_size: eta > 0: how far a coordinate moves in a step, where its field keeps its sign.
        beta1: How much of the mean is kept, in `[0, 1)`; 0 and 0.5 are usual for GANs.
        beta2: How much of the mean of squares is kept, in `[0, 1)`.
        epsilon: Added to the root, above zero.

    Raises:
        InvalidSettingError: If one of them makes no sense.
    """

    state_type: ClassVar[type[State]] = AdamState
    step_size: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidSettingError(
                    f"{self.name}: got {name}={getattr(self, name)!r}, expected a number in [0, 1)"
                )
        if not 0 < self.epsilon < math.inf:
            raise InvalidSettingError(f"{self.name}: got epsilon={self.epsilon!r}, expected a number > 0, such as 1e-8")

    def updated(self, moments: Moments, v: Profile) -> Moments:
        """The moments after one more field v."""
        first = self.beta1 * moments.first + (1 - self.beta1) * v
        second = self.beta2 * moments.second + (1 - self.beta2) * v * v
        return Moments(first, second, moments.time + 1)

    def direction(self, moments: Moments) -> Profile:
        """`m / (sqrt(s) + eps)`, both corrected for their start at zero."""
        time = moments.time.double()
        share1, share2 = 1 - self.beta1**time, (1 - self.beta2**time).sqrt()
        root = moments.second.map(lambda s: s.sqrt() / share2 + self.epsilon)
        return moments.first / share1 / root
