"""Optimistic Adam (Daskalakis, Ilyas, Syrgkanis and Zeng 2018, algorithm 1): optimism about Adam's direction.

`x <- P(x + eta (2 a_t - a_{t-1}))` with `a_t = m_t / (sqrt(s_t) + eps)` and `a_0 = 0`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from strategic_envs.agents.dynamics.base import State
from strategic_envs.agents.dynamics.moments import AdamForm, AdamState, Moments
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.profile import Profile

__all__ = ["OptimisticAdam", "OptimisticAdamState"]


@dataclass(frozen=True, eq=False)
class OptimisticAdamState(AdamState):
    """Adam's state and the direction of the step before."""

    previous: Profile


@dataclass(frozen=True)
class OptimisticAdam(AdamForm[OptimisticAdamState]):
    """Optimistic gradient with Adam's moments: one field call a step; settings as in `AdamForm`.

    Example:
        >>> OptimisticAdam(step_size=1e-3).needs
        ('field', 'project')
    """

    name: ClassVar[str] = "optimistic_adam"
    summary: ClassVar[str] = "move along twice Adam's present direction minus the last one"
    state_type: ClassVar[type[State]] = OptimisticAdamState

    def init(self, x0: Profile, oracle: Oracle) -> OptimisticAdamState:
        return OptimisticAdamState(x0, **vars(Moments.zero(x0)), previous=x0.map(torch.zeros_like))

    def step(self, state: OptimisticAdamState, oracle: Oracle) -> OptimisticAdamState:
        moments = self.updated(state.moments, oracle.field(state.x))
        a = self.direction(moments)
        x = oracle.project(state.x + self.step_size * (2 * a - state.previous))
        return OptimisticAdamState(x, **vars(moments), previous=a)
