"""Online gradient ascent for each player: gradient play with the step sizes of no-regret learning.

`x <- P(x + eta_t V(x))`. With the constant `eta = D / (G sqrt T)` (set diameter D, gradient bound G, horizon T) every
player's linearised regret is at most `G D sqrt T`, whatever the others do, so the local CCE gap of the run is at most
`G D / sqrt T`. With `eta_t = (D / G) / sqrt t` no horizon need be known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.errors import InvalidSettingError
from strategic_envs.profile import Profile

__all__ = ["OnlineGradientDescent", "OnlineState"]


@dataclass(frozen=True, eq=False)
class OnlineState(State):
    """The profile and the number t of the next step, from 1: an int64 tensor `()`."""

    time: Tensor


@dataclass(frozen=True)
class OnlineGradientDescent(Dynamic[OnlineState]):
    """Projected online gradient; in this project players ascend.

    Args:
        step_size: eta > 0; with the anytime schedule, the first step size.
        schedule: `"constant"`, or `"anytime"` for `eta_t = step_size / sqrt t`.

    Example:
        >>> OnlineGradientDescent.tuned(diameter=2.0, gradient_bound=4.0, horizon=100).step_size
        0.05
    """

    name: ClassVar[str] = "online_gradient"
    summary: ClassVar[str] = "gradient play with the step sizes of no-regret learning"
    state_type: ClassVar[type[State]] = OnlineState
    step_size: float
    schedule: str = "constant"

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)
        if self.schedule not in ("constant", "anytime"):
            raise InvalidSettingError(f"{self.name}: got schedule={self.schedule!r}, expected 'constant' or 'anytime'")

    @classmethod
    def tuned(cls, *, diameter: float, gradient_bound: float, horizon: int) -> OnlineGradientDescent:
        """The constant step size `D / (G sqrt T)`.

        Args:
            diameter: D, the largest diameter of a player's set.
            gradient_bound: G, a bound on every player's own-gradient norm.
            horizon: T, the number of steps that will be taken.
        """
        if horizon < 1:
            raise InvalidSettingError(f"{cls.name}: got horizon={horizon}, expected at least 1 step")
        return cls(_first_step(diameter, gradient_bound) / math.sqrt(horizon))

    @classmethod
    def anytime(cls, *, diameter: float, gradient_bound: float) -> OnlineGradientDescent:
        """The schedule `(D / G) / sqrt t`; arguments as in `tuned`."""
        return cls(_first_step(diameter, gradient_bound), "anytime")

    def init(self, x0: Profile, oracle: Oracle) -> OnlineState:
        return OnlineState(x0, time=torch.ones((), dtype=torch.int64, device=x0[0].device))

    def step(self, state: OnlineState, oracle: Oracle) -> OnlineState:
        x = oracle.project(state.x + self.rate(state) * oracle.field(state.x))
        return OnlineState(x, time=state.time + 1)

    def rate(self, state: OnlineState) -> float | Tensor:
        if self.schedule == "constant":
            return self.step_size
        return self.step_size / state.time.to(state.x[0].dtype).sqrt()


def _first_step(diameter: float, gradient_bound: float) -> float:
    if not (0 < diameter < math.inf and 0 < gradient_bound < math.inf):
        raise InvalidSettingError(
            f"online_gradient: got diameter={diameter} and gradient_bound={gradient_bound}, expected finite numbers > 0"
        )
    return diameter / gradient_bound
