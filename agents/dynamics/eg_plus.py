"""EG+ (Diakonikolas, Daskalakis and Jordan 2021): extragradient that looks far ahead and then moves a part of the way.

`w = P(z + eta V(z))`, `z <- z + a ((w + eta V(w)) - (z + eta V(z)))`; without constraints: `z <- z + a eta V(w)`. With
a = 1/2 it converges where the weak Minty condition `<F(z), z - z*> >= rho |F(z)|^2` holds with
`rho > -1/(8L)`, a class that includes some limit cycles of gradient play; with small steps a, up to `-1/(2L)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from strategic_envs.agents.dynamics.base import Dynamic, State, check_share, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.profile import Profile

__all__ = ["EGPlus", "OutsideState"]


@dataclass(frozen=True, eq=False)
class OutsideState(State):
    """The iterate x, which may lie outside the sets, and its projection, which is played."""

    inside: Profile


@dataclass(frozen=True)
class EGPlus(Dynamic[OutsideState]):
    """EG+ on a closed convex set: two field calls a step.

    The iterate is not projected and may leave the sets, and the field is asked for there. What is played and judged is
    its projection; `Trajectory.outside` says how far out it was.

    Args:
        step_size: eta > 0 of the look ahead; below 1/L.
        weight: a in (0, 1], the part of the way that is gone.

    Example:
        >>> EGPlus(step_size=0.9).weight
        0.5
    """

    name: ClassVar[str] = "eg_plus"
    summary: ClassVar[str] = "look far ahead, then move half of the way by the field found there"
    state_type: ClassVar[type[State]] = OutsideState
    step_size: float
    weight: float = 0.5

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)
        check_share(self, "weight", self.weight, closed=True)

    def init(self, x0: Profile, oracle: Oracle) -> OutsideState:
        return OutsideState(x0, inside=x0)

    def step(self, state: OutsideState, oracle: Oracle) -> OutsideState:
        z, eta = state.x, self.step_size
        forward = z + eta * oracle.field(z)
        w = oracle.project(forward)
        z = z + self.weight * (oracle.difference(forward, w) + eta * oracle.field(w))
        return OutsideState(z, inside=oracle.project(z))

    def point(self, state: OutsideState) -> Profile:
        """The projection of the iterate."""
        return state.inside
