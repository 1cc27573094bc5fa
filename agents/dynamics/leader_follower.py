"""The gradient of a leader whose opponents respond: K ascent steps of the followers, then one step of the leader.

With a follower that maximises, `phi(x) = max_y f(x, y)` has the gradient `d f(x, y*(x)) / dx` at any maximiser y* where
it is unique (Danskin 1967), so a step against an (approximately) best response descends phi: it looks for the leader's
Stackelberg solution of a min-max game. With steps of fixed length along the sign of the gradient this is adversarial
training (Madry et al. 2018, section 2.1); one inner step from a random point is fast adversarial training (Wong, Rice
and Kolter 2020); no inner step from a random point is training on noise. A rest point satisfies the first-order
conditions of the leader, and those of the followers if they were followed to the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.agents.dynamics.steepest import check_geometry, steepest
from strategic_envs.errors import InvalidSettingError
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream

__all__ = ["GradientVsBestResponse", "LeaderState"]


@dataclass(frozen=True, eq=False)
class LeaderState(State):
    """The profile and the number of steps taken, an int64 tensor `()`: it names the followers' random starts."""

    time: torch.Tensor


@dataclass(frozen=True)
class GradientVsBestResponse(Dynamic[LeaderState]):
    """One gradient step of the leader against followers that have just made `inner_steps` ascent steps.

    Args:
        step_size: The leader's eta > 0, along its gradient.
        inner_steps: K >= 0, how often the followers move before each step of the leader.
        inner_step_size: The followers' step size > 0; the leader's if None.
        geometry: How followers move: `euclidean` along the gradient, `sign` along its sign (steepest in L-infinity).
        start: Where followers start each time: `warm` from where they were, `random` from a point drawn from their
            sets, one for all rows of a batch.
        leader: Which player leads.
        seed: The seed of the random starts.

    Example:
        >>> GradientVsBestResponse(0.1, inner_steps=7, inner_step_size=0.02, geometry="sign").leader
        0
    """

    name: ClassVar[str] = "gradient_vs_best_response"
    summary: ClassVar[str] = "the leader steps against followers that have just ascended K times: adversarial training"
    state_type: ClassVar[type[State]] = LeaderState
    step_size: float
    inner_steps: int = 5
    inner_step_size: float | None = None
    geometry: str = "euclidean"
    start: str = "warm"
    leader: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)
        if self.inner_step_size is not None:
            check_step_size(self, self.inner_step_size)
        check_geometry(self, self.geometry)
        for what in ("inner_steps", "leader"):
            value = getattr(self, what)
            if type(value) is not int or value < 0:
                raise InvalidSettingError(f"{self.name}: got {what}={value!r}, expected a whole number >= 0")
        if self.start not in ("warm", "random"):
            raise InvalidSettingError(f"{self.name}: got start={self.start!r}, expected 'warm' or 'random'")

    def init(self, x0: Profile, oracle: Oracle) -> LeaderState:
        if self.leader >= len(x0):
            raise InvalidSettingError(
                f"{self.name}: got leader={self.leader} in {oracle.name}, expected one of its players 0..{len(x0) - 1}"
            )
        return LeaderState(x0, time=torch.zeros((), dtype=torch.int64, device=x0[0].device))

    def step(self, state: LeaderState, oracle: Oracle) -> LeaderState:
        followers = [i for i in range(len(state.x)) if i != self.leader]
        x = self._restarted(state, oracle) if self.start == "random" else state.x
        with oracle.held():  # leader and followers look at the same data
            for _ in range(self.inner_steps):
                ascent = {i: oracle.field(x, i)[0] for i in followers}
                for i in followers:
                    moved = x[i] + (self.inner_step_size or self.step_size) * steepest(ascent[i], self.geometry)
                    x = oracle.project(x.replace(i, moved), i)
            moved = x[self.leader] + self.step_size * oracle.field(x, self.leader)[0]
        return LeaderState(oracle.project(x.replace(self.leader, moved), self.leader), time=state.time + 1)

    def _restarted(self, state: LeaderState, oracle: Oracle) -> Profile:
        """The profile with the followers at random points of their sets."""
        x = state.x
        for i in (i for i in range(len(x)) if i != self.leader):
            stream = torch_stream(self.seed, self.name, i, int(state.time), device=x[i].device)
            point = oracle.sets[i].sample((), generator=stream, dtype=x[i].dtype)
            x = x.replace(i, point.expand_as(x[i]))
        return x
