"""Alternating gradient: the players ascend in turn, each on the freshest profile.

On the unconstrained bilinear game `min_x max_y xy` with `0 < eta < 2` it stays bounded and conserves
`x^2 + y^2 - eta x y` exactly (its step matrix has determinant 1 and trace `2 - eta^2`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.profile import Profile

__all__ = ["AlternatingGradient"]


@dataclass(frozen=True)
class AlternatingGradient(Dynamic[State]):
    """Alternating projected gradient ascent, players in order.

    Args:
        step_size: eta > 0.

    Example:
        >>> AlternatingGradient(step_size=0.1).step_size
        0.1
    """

    name: ClassVar[str] = "alternating_gradient"
    summary: ClassVar[str] = "players ascend their own utilities in turn, each on the freshest profile"
    step_size: float

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)

    def init(self, x0: Profile, oracle: Oracle) -> State:
        return State(x0)

    def step(self, state: State, oracle: Oracle) -> State:
        x = state.x
        for i in range(len(x)):
            moved = x[i] + self.step_size * oracle.field(x, i)[0]
            x = oracle.project(x.replace(i, moved), i)
        return State(x)
