"""Extragradient (Korpelevich 1976): look one step ahead, then step from where one stands by the field found there.

`y = P(x + eta V(x))`, `x <- P(x + eta V(y))`. It converges where -V is monotone and `eta < 1/L`, the bilinear game
included, on which simultaneous gradient spirals outwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.profile import Profile

__all__ = ["Extragradient"]


@dataclass(frozen=True)
class Extragradient(Dynamic[State]):
    """Projected extragradient: two field calls a step.

    Args:
        step_size: eta > 0; below 1/L for a field with Lipschitz constant L.

    Example:
        >>> Extragradient(step_size=0.5).summary
        'look one step ahead, then move by the field found there'
    """

    name: ClassVar[str] = "extragradient"
    summary: ClassVar[str] = "look one step ahead, then move by the field found there"
    step_size: float

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)

    def init(self, x0: Profile, oracle: Oracle) -> State:
        return State(x0)

    def step(self, state: State, oracle: Oracle) -> State:
        x = state.x
        ahead = oracle.project(x + self.step_size * oracle.field(x))
        return State(oracle.project(x + self.step_size * oracle.field(ahead)))
