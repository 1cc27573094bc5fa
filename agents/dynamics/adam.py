"""Adam for every player at once: simultaneous gradient along Adam's direction, `x <- P(x + eta m / (sqrt(s) + eps))`.

This is what GANs are usually trained by; with one player it is `torch.optim.Adam(maximize=True)`. Kingma and Ba (2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from strategic_envs.agents.dynamics.moments import AdamForm, AdamState, Moments
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.profile import Profile

__all__ = ["AdamGradient"]


@dataclass(frozen=True)
class AdamGradient(AdamForm[AdamState]):
    """Simultaneous gradient ascent with Adam's moments; settings as in `AdamForm`.

    Example:
        >>> AdamGradient(step_size=1e-3, beta1=0.5)
        AdamGradient(step_size=0.001, beta1=0.5, beta2=0.999, epsilon=1e-08)
    """

    name: ClassVar[str] = "adam_gradient"
    summary: ClassVar[str] = "every player ascends by Adam, all at once"

    def init(self, x0: Profile, oracle: Oracle) -> AdamState:
        return AdamState(x0, **vars(Moments.zero(x0)))

    def step(self, state: AdamState, oracle: Oracle) -> AdamState:
        moments = self.updated(state.moments, oracle.field(state.x))
        x = oracle.project(state.x + self.step_size * self.direction(moments))
        return AdamState(x, **vars(moments))
