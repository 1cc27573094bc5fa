"""Regret matching+ (Tammelin 2014; Tammelin et al. 2015): play in proportion to what you regret not having played.

`R_i <- max(R_i + V_i - <x_i, V_i>, 0)` and `x_i = R_i / sum R_i`, where V_i(a) is the payoff of action a in a finite
game. There is no step size, and payoffs may have any scale. On n actions with payoffs in an interval of length r the
regret after T steps is at most `r sqrt(n T)`; so in a zero-sum game the average is an approximate equilibrium. As is
standard in the field, the players move in turn and the average weighs step t by t (Burch, Moravcik and Schmid 2019);
that is much better than the proved rate. The last iterate is no equilibrium.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, simplices_only
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.errors import InvalidSettingError
from strategic_envs.profile import Profile
from strategic_envs.sets import StrategySet

__all__ = ["RegretMatchingPlus", "RegretMatchingState"]

_AVERAGING = ("linear", "uniform", "none")


@dataclass(frozen=True, eq=False)
class RegretMatchingState(State):
    """The profile that is stepped from, the positive regrets behind it, the average so far, and the number of steps."""

    regrets: Profile
    average: Profile
    time: Tensor


@dataclass(frozen=True)
class RegretMatchingPlus(Dynamic[RegretMatchingState]):
    """Regret matching+ for players whose sets are simplices.

    The start counts as regret: one unit of payoff, shared as it says.

    Args:
        alternating: Whether players move in turn, each on the freshest profile, or all at once.
        averaging: What `point` reads: the average in which step t weighs t (`"linear"`), the plain average
            (`"uniform"`), or the last iterate (`"none"`).

    Raises:
        InvalidSettingError: If there is no such averaging.

    Example:
        >>> from strategic_envs.agents.dynamics.run import run
        >>> from strategic_envs.games.kinds.normal_form import NormalFormGame
        >>> game = NormalFormGame.zero_sum([[3.0, -1.0], [-2.0, 1.0]])
        >>> end = run(game, RegretMatchingPlus(), game.profile([1.0, 0.0], [1.0, 0.0]), 500)
        >>> [round(float(w), 2) for w in end.final[0]]  # 3/7 and 4/7
        [0.43, 0.57]
    """

    name: ClassVar[str] = "regret_matching_plus"
    summary: ClassVar[str] = "play actions of a finite game in proportion to their regrets; no step size"
    state_type: ClassVar[type[State]] = RegretMatchingState
    alternating: bool = True
    averaging: str = "linear"

    def __post_init__(self) -> None:
        if self.averaging not in _AVERAGING:
            raise InvalidSettingError(
                f"{self.name}: got averaging={self.averaging!r}, expected one of {', '.join(map(repr, _AVERAGING))}"
            )

    def suits(self, sets: Sequence[StrategySet]) -> str | None:
        return simplices_only(sets)

    def init(self, x0: Profile, oracle: Oracle) -> RegretMatchingState:
        return RegretMatchingState(x0, regrets=x0, average=x0, time=x0[0].new_zeros(()))

    def step(self, state: RegretMatchingState, oracle: Oracle) -> RegretMatchingState:
        x, regrets = state.x, state.regrets
        if self.alternating:
            for i in range(len(x)):
                (v,) = oracle.field(x, i)
                regrets = regrets.replace(i, _regretted(regrets[i], x[i], v))
                x = x.replace(i, _matched(regrets[i]))
        else:
            regrets = Profile(map(_regretted, regrets, x, oracle.field(x)))
            x = regrets.map(_matched)
        time = state.time + 1
        share = {"linear": 2 / (time + 1), "uniform": 1 / time, "none": 1.0}[self.averaging]  # of step t in the average
        average = Profile(a + share * (b - a) for a, b in zip(state.average, x, strict=True))
        return RegretMatchingState(x, regrets=regrets, average=average, time=time)

    def point(self, state: RegretMatchingState) -> Profile:
        return state.x if self.averaging == "none" else state.average


def _regretted(regrets: Tensor, x: Tensor, v: Tensor) -> Tensor:
    return (regrets + v - (x * v).sum(-1, keepdim=True)).clamp(min=0)


def _matched(regrets: Tensor) -> Tensor:
    total = regrets.sum(-1, keepdim=True)
    return torch.where(total > 0, regrets / total, 1 / regrets.shape[-1])
