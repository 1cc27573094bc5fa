"""Smith's dynamic (Smith 1984): compare your strategy with every other, and switch at the rate of what that gains.

Those who play p switch to q at the rate `[V(q) - V(p)]_+`, so

    dx(q)/dt = sum_p x(p) [V(q) - V(p)]_+  -  x(q) sum_p [V(p) - V(q)]_+.

Unlike the replicator it also finds strategies that nobody plays, and its rest points are exactly the equilibria of the
population game (Sandholm 2010, section 5.6). In a step of length eta payoffs are held fixed and everybody switches at
most once: of those who play p the share `1 - exp(-eta sum_q [V(q) - V(p)]_+)` leaves, so shares stay in the simplex.

With a fixed step size the dynamic can end in a cycle of two points near strategies that few play: they attract in
proportion to what the others gain, and are overrun. So eta is adapted in every step, for each player its own, such that
nobody regrets the step (`unregretted`); then the Beckmann potential of a congestion game falls monotonically.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size, simplices_only
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.agents.dynamics.unregretted import first_rates, largest_rate, unregretted
from strategic_envs.profile import Profile
from strategic_envs.sets import StrategySet

__all__ = ["Smith", "SmithState"]


@dataclass(frozen=True, eq=False)
class SmithState(State):
    """The profile, and the step size that each player tries first, `(*batch, 1)`."""

    rates: Profile


@dataclass(frozen=True)
class Smith(Dynamic[SmithState]):
    """Pairwise comparison on simplices; a step costs `d_i^2` numbers a player.

    Args:
        step_size: The eta that is tried first, > 0.
        adaptive: Whether eta is adapted; otherwise it stays what it is.

    Example:
        >>> from strategic_envs.agents.dynamics.run import run
        >>> from strategic_envs.games.kinds.vi import VIGame
        >>> from strategic_envs.sets import Simplex
        >>> pigou = VIGame(lambda x: (x[0].clone().index_fill(-1, x[0].new_zeros(1).long(), 1.0),), [Simplex(2)])
        >>> end = run(pigou, Smith(), pigou.profile([1.0, 0.0]), steps=50)  # costs 1 and x; at first nobody plays x
        >>> bool(end.final[0][0] < 1e-9)
        True
    """

    name: ClassVar[str] = "smith"
    summary: ClassVar[str] = "Smith's pairwise comparison on simplices, with a step size of its own"
    state_type: ClassVar[type[State]] = SmithState
    step_size: float = 1.0
    adaptive: bool = True

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)

    def suits(self, sets: Sequence[StrategySet]) -> str | None:
        return simplices_only(sets)

    def init(self, x0: Profile, oracle: Oracle) -> SmithState:
        return SmithState(x0, rates=first_rates(x0, self.step_size))

    def step(self, state: SmithState, oracle: Oracle) -> SmithState:
        x, v = state.x, oracle.field(state.x)

        def switched(rates: Profile) -> tuple[Profile, Profile]:
            way = Profile(map(_switched, x, v, rates))
            return x + way, way

        if not self.adaptive:
            return SmithState(switched(state.rates)[0], rates=state.rates)
        y, _, rates = unregretted(x, state.rates, switched, oracle)
        return SmithState(y, rates=rates)

    def rate(self, state: SmithState) -> Tensor:
        """The largest step size that a player tries first, `(*batch,)`."""
        return largest_rate(state.rates)


def _switched(x: Tensor, v: Tensor, eta: Tensor) -> Tensor:
    """By how much the shares x change, `(*batch, d)`, while everybody compares for a time eta at payoffs v."""
    gains = (v.unsqueeze(-2) - v.unsqueeze(-1)).clamp(min=0)  # [p, q]: what those who play p gain at q
    total = gains.sum(-1)
    leaving = x * -torch.expm1(-eta * total)
    to = leaving / torch.where(total > 0, total, 1.0)
    return (to.unsqueeze(-1) * gains).sum(-2) - leaving
