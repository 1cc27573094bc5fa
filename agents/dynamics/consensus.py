"""Consensus optimisation, ConOpt (Mescheder, Nowozin and Geiger 2017): gradient play that also shrinks its own field.

`x <- P(x + eta (V(x) - gamma DV(x)^T V(x)))`: the second term descends `|V|^2 / 2`, so near a rest point where DV is
invertible the rotation is damped for a gamma that is large enough. That term knows nothing of who wants what: it is
drawn to every zero of the field, saddle points and worst points included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.errors import InvalidSettingError
from strategic_envs.profile import Profile

__all__ = ["ConsensusOptimization"]


@dataclass(frozen=True)
class ConsensusOptimization(Dynamic[State]):
    """Projected consensus optimisation: a field call and a VJP a step.

    It is a method for the whole space. On a bounded set it has *spurious rest points*: on the boundary, and wherever
    `V = gamma DV^T V`, it may rest where no player is satisfied (`Trajectory.verdicts` calls such rows `resting`).

    Args:
        step_size: eta > 0; about `0.1 / (L (1 + L))` for a field with Lipschitz constant L and gamma = 1.
        gamma: The weight of the descent of `|V|^2 / 2`, >= 0; zero is simultaneous gradient.

    Example:
        >>> ConsensusOptimization(step_size=0.05, gamma=1.0).needs
        ('field', 'project', 'vjp')
    """

    name: ClassVar[str] = "consensus_optimization"
    summary: ClassVar[str] = "gradient play that also descends the squared length of the field"
    needs: ClassVar[tuple[str, ...]] = ("field", "project", "vjp")
    step_size: float
    gamma: float = 1.0

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)
        if not 0 <= self.gamma < math.inf:
            raise InvalidSettingError(f"{self.name}: got gamma={self.gamma!r}, expected a finite number >= 0")

    def init(self, x0: Profile, oracle: Oracle) -> State:
        return State(x0)

    def step(self, state: State, oracle: Oracle) -> State:
        x, v = state.x, oracle.field(state.x)
        return State(oracle.project(x + self.step_size * (v - self.gamma * oracle.vjp(x, v))))
