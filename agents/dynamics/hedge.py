"""Hedge, or multiplicative weights (Freund and Schapire 1997): entropic mirror ascent on simplices.

`x_i(a) <- x_i(a) exp(eta V_i(a)) / Z`. In a finite game V_i(a) is the payoff of action a, and if payoffs lie in an
interval of length r, then after T steps from the uniform start with `eta = sqrt(8 ln n / T) / r` nobody's mean regret
exceeds `r sqrt(ln n / (2T))`, whatever the others do (Cesa-Bianchi and Lugosi 2006, theorem 2.2): the play of a run is
an approximate coarse correlated equilibrium, and in a zero-sum game its average an approximate equilibrium. The last
iterate is no such thing: on rock-paper-scissors it spirals out to the edge (Bailey and Piliouras 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size, simplices_only
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.errors import InvalidSettingError
from strategic_envs.profile import Profile
from strategic_envs.sets import StrategySet

__all__ = ["Hedge", "HedgeState"]


@dataclass(frozen=True, eq=False)
class HedgeState(State):
    """The profile and its logarithm, in which the rule is linear and a small weight keeps its digits."""

    scores: Profile


@dataclass(frozen=True)
class Hedge(Dynamic[HedgeState]):
    """Multiplicative weights for players whose sets are simplices.

    An action of weight zero never comes back, so every pure profile is a rest point: start inside.

    Args:
        step_size: eta > 0.

    Example:
        >>> round(Hedge.tuned(actions=3, horizon=10_000, payoff_range=2.0).step_size, 6)
        0.014823
    """

    name: ClassVar[str] = "hedge"
    summary: ClassVar[str] = "multiplicative weights on the actions of a finite game"
    state_type: ClassVar[type[State]] = HedgeState
    step_size: float

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)

    @classmethod
    def tuned(cls, *, actions: int, horizon: int, payoff_range: float = 1.0) -> Hedge:
        """The step size `sqrt(8 ln n / T) / r`, for which the mean regret is at most `r sqrt(ln n / (2T))`.

        Args:
            actions: n, the largest number of actions of a player, at least 2.
            horizon: T, the number of steps that will be taken.
            payoff_range: r, the length of an interval that holds every payoff of a player.
        """
        if actions < 2 or horizon < 1 or not 0 < payoff_range < math.inf:
            raise InvalidSettingError(
                f"{cls.name}: got actions={actions}, horizon={horizon} and payoff_range={payoff_range}, expected at "
                "least 2 actions, at least 1 step and a finite range > 0"
            )
        return cls(math.sqrt(8 * math.log(actions) / horizon) / payoff_range)

    def suits(self, sets: Sequence[StrategySet]) -> str | None:
        return simplices_only(sets)

    def init(self, x0: Profile, oracle: Oracle) -> HedgeState:
        return HedgeState(x0, scores=x0.map(lambda t: t.clamp(min=0).log()))

    def step(self, state: HedgeState, oracle: Oracle) -> HedgeState:
        scores = (state.scores + self.step_size * oracle.field(state.x)).map(_normalised)
        return HedgeState(scores.map(Tensor.exp), scores=scores)


def _normalised(scores: Tensor) -> Tensor:
    return scores.log_softmax(-1)
