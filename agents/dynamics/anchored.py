"""Anchored extragradient, EAG (Yoon and Ryu 2021): every step is pulled a little back towards the start.

`w = P(x + b (x0 - x) + eta V(x))`, `x <- P(x + b (x0 - x) + eta V(w))` with `b = 1/(t + 2)`. On monotone fields without
constraints the squared residual falls like `1/t^2`, the fastest possible; extragradient's last iterate has `1/t`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.profile import Profile

__all__ = ["AnchoredExtragradient", "AnchoredState"]


@dataclass(frozen=True, eq=False)
class AnchoredState(State):
    """The profile, the start that pulls, and the number of steps taken: an int64 tensor `()`."""

    anchor: Profile
    time: Tensor


@dataclass(frozen=True)
class AnchoredExtragradient(Dynamic[AnchoredState]):
    """Projected extra anchored gradient: two field calls a step.

    Slow is not stuck: its residual falls like 1/t even where extragradient's falls geometrically.

    Args:
        step_size: eta > 0; 1/(8L) is proved to do for a field with Lipschitz constant L.

    Example:
        >>> AnchoredExtragradient(step_size=0.1).step_size
        0.1
    """

    name: ClassVar[str] = "anchored_extragradient"
    summary: ClassVar[str] = "extragradient pulled back to its start, by a part of the way that falls like 1/t"
    state_type: ClassVar[type[State]] = AnchoredState
    step_size: float

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)

    def init(self, x0: Profile, oracle: Oracle) -> AnchoredState:
        return AnchoredState(x0, anchor=x0, time=torch.zeros((), dtype=torch.int64, device=x0[0].device))

    def step(self, state: AnchoredState, oracle: Oracle) -> AnchoredState:
        x = state.x
        pull = 1 / (state.time + 2).to(x[0].dtype)
        pulled = x + pull * oracle.difference(x, state.anchor)
        ahead = oracle.project(pulled + self.step_size * oracle.field(x))
        new = oracle.project(pulled + self.step_size * oracle.field(ahead))
        return AnchoredState(new, anchor=state.anchor, time=state.time + 1)
