"""Simultaneous gradient: every player ascends its own utility at once, `x <- P(x + eta V(x))`.

This is independent gradient learning. On a bilinear game it spirals outwards: without constraints a step multiplies the
norm by exactly `sqrt(1 + eta^2)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.profile import Profile

__all__ = ["SimultaneousGradient"]


@dataclass(frozen=True)
class SimultaneousGradient(Dynamic[State]):
    """Simultaneous projected gradient ascent.

    Args:
        step_size: eta > 0.

    Example:
        >>> SimultaneousGradient(step_size=0.1).name
        'simultaneous_gradient'
    """

    name: ClassVar[str] = "simultaneous_gradient"
    summary: ClassVar[str] = "every player ascends its own utility, all at once"
    step_size: float

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)

    def init(self, x0: Profile, oracle: Oracle) -> State:
        return State(x0)

    def step(self, state: State, oracle: Oracle) -> State:
        return State(oracle.project(state.x + self.step_size * oracle.field(state.x)))
