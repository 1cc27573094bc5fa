"""Extragradient that finds its own step size by backtracking: no Lipschitz constant need be known.

A trial step `y = P(x + eta V(x))` is accepted when `eta |V(y) - V(x)| <= nu |y - x|`, that is, when eta times the slope
of the field between x and y is at most nu < 1; until then eta is halved (Khobotov 1987; Tseng 2000). Then
`x <- P(x + eta V(y))`, and eta grows by `1/nu` for the next step if the first trial was accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, check_share, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.profile import Profile

__all__ = ["AdaptiveExtragradient", "AdaptiveState"]

_HALVINGS = 60  # at most, in one step


@dataclass(frozen=True, eq=False)
class AdaptiveState(State):
    """The profile and the step size to try first, `(*batch,)`: every row has its own."""

    rates: Tensor


@dataclass(frozen=True)
class AdaptiveExtragradient(Dynamic[AdaptiveState]):
    """Projected extragradient with backtracking: two field calls a step, and one more for each halving.

    Args:
        step_size: The first eta to try, > 0.
        nu: How much of the slope condition is allowed, in (0, 1).

    Example:
        >>> AdaptiveExtragradient(step_size=1.0).nu
        0.9
    """

    name: ClassVar[str] = "adaptive_extragradient"
    summary: ClassVar[str] = "extragradient with a step size found by backtracking, for each start its own"
    state_type: ClassVar[type[State]] = AdaptiveState
    step_size: float = 1.0
    nu: float = 0.9

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)
        check_share(self, "nu", self.nu)

    def init(self, x0: Profile, oracle: Oracle) -> AdaptiveState:
        return AdaptiveState(x0, rates=torch.full_like(x0[0][..., 0], self.step_size))

    def step(self, state: AdaptiveState, oracle: Oracle) -> AdaptiveState:
        x, eta, v = state.x, state.rates, oracle.field(state.x)
        grows = torch.ones_like(eta, dtype=torch.bool)
        halvings = 0
        while True:
            ahead = oracle.project(x + eta.unsqueeze(-1) * v)
            w, length = oracle.field(ahead), oracle.difference(x, ahead).norm()
            accepted = eta * (w - v).norm() <= self.nu * length
            if halvings == _HALVINGS or bool(accepted.all()):
                break
            grows, eta, halvings = grows & accepted, torch.where(accepted, eta, eta / 2), halvings + 1
        grows = grows & (length > 0)  # at rest every eta would do: it must not grow for ever
        new = oracle.project(x + eta.unsqueeze(-1) * w)
        return AdaptiveState(new, rates=torch.where(grows, eta / self.nu, eta))

    def rate(self, state: AdaptiveState) -> Tensor:
        """The step size that is tried first, `(*batch,)`."""
        return state.rates
