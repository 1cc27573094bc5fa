"""Optimistic gradient (Popov 1980; Daskalakis et al. 2018): expect the field to go on changing as it just did.

`x <- P(x + eta (2 V_t - V_{t-1}))`, with `V_{-1} = V_0`. One field call a step gives most of what extragradient gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.profile import Profile

__all__ = ["OptimisticGradient", "OptimisticState"]


@dataclass(frozen=True, eq=False)
class OptimisticState(State):
    """The profile and the field at the profile before it."""

    previous: Profile


@dataclass(frozen=True)
class OptimisticGradient(Dynamic[OptimisticState]):
    """Projected optimistic gradient.

    Args:
        step_size: eta > 0; at most 1/(2L) for a field with Lipschitz constant L.

    Example:
        >>> OptimisticGradient(step_size=0.1).needs
        ('field', 'project')
    """

    name: ClassVar[str] = "optimistic_gradient"
    summary: ClassVar[str] = "ascend along twice the present field minus the last one"
    state_type: ClassVar[type[State]] = OptimisticState
    step_size: float

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)

    def init(self, x0: Profile, oracle: Oracle) -> OptimisticState:
        return OptimisticState(x0, previous=oracle.field(x0))

    def step(self, state: OptimisticState, oracle: Oracle) -> OptimisticState:
        v = oracle.field(state.x)
        x = oracle.project(state.x + self.step_size * (2 * v - state.previous))
        return OptimisticState(x, previous=v)
