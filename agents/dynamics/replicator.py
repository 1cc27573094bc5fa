"""The replicator dynamic (Taylor and Jonker 1978) with a step size that finds itself.

`dx_i(a)/dt = x_i(a) (V_i(a) - <x_i, V_i>)`: the share of an action grows as fast as it earns more than the mean. For
a time eta with payoffs held fixed, its exact flow is exponentiated gradient, `x_i(a) <- x_i(a) exp(eta V_i(a)) / Z`,
the step of `Hedge`. There eta is chosen beforehand, for the regret of a whole run; here it is adapted in every step,
for each player its own, such that nobody regrets the step (`unregretted`): then the Beckmann potential of a congestion
game falls monotonically. A share of zero never comes back (the replicator imitates), so a rest point need not be an
equilibrium: start inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size, simplices_only
from strategic_envs.agents.dynamics.hedge import Hedge, HedgeState
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.agents.dynamics.unregretted import first_rates, largest_rate, unregretted
from strategic_envs.profile import Profile
from strategic_envs.sets import StrategySet

__all__ = ["Replicator", "ReplicatorState"]


@dataclass(frozen=True, eq=False)
class ReplicatorState(HedgeState):
    """The profile, its logarithm, and the step size that each player tries first, `(*batch, 1)`."""

    rates: Profile


@dataclass(frozen=True)
class Replicator(Dynamic[ReplicatorState]):
    """Exponentiated gradient on simplices with steps that nobody regrets; for a fixed step size there is `Hedge`.

    Args:
        step_size: The eta that is tried first, > 0.

    Example:
        >>> from strategic_envs.agents.dynamics.run import run
        >>> from strategic_envs.games.kinds.vi import VIGame
        >>> from strategic_envs.sets import Simplex
        >>> pigou = VIGame(lambda x: (x[0].clone().index_fill(-1, x[0].new_zeros(1).long(), 1.0),), [Simplex(2)])
        >>> end = run(pigou, Replicator(), pigou.profile([0.5, 0.5]), steps=50)  # costs 1 and x
        >>> bool(end.final[0][0] < 1e-9)
        True
    """

    name: ClassVar[str] = "replicator"
    summary: ClassVar[str] = "replicator dynamic (exponentiated gradient) on simplices, with a step size of its own"
    state_type: ClassVar[type[State]] = ReplicatorState
    step_size: float = 1.0

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)

    def suits(self, sets: Sequence[StrategySet]) -> str | None:
        return simplices_only(sets)

    def init(self, x0: Profile, oracle: Oracle) -> ReplicatorState:
        scores = Hedge(self.step_size).init(x0, oracle).scores
        return ReplicatorState(x0, scores=scores, rates=first_rates(x0, self.step_size))

    def step(self, state: ReplicatorState, oracle: Oracle) -> ReplicatorState:
        x, v = state.x, oracle.field(state.x)

        def grown(rates: Profile) -> Profile:
            return Profile((s + eta * g).log_softmax(-1) for s, eta, g in zip(state.scores, rates, v, strict=True))

        def moved(rates: Profile) -> tuple[Profile, Profile]:
            y = grown(rates).map(Tensor.exp)
            return y, y - x

        y, used, rates = unregretted(x, state.rates, moved, oracle)
        return ReplicatorState(y, scores=grown(used), rates=rates)

    def rate(self, state: ReplicatorState) -> Tensor:
        """The largest step size that a player tries first, `(*batch,)`."""
        return largest_rate(state.rates)
