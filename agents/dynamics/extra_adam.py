"""ExtraAdam (Gidel, Berard, Vignoud, Vincent and Lacoste-Julien 2019, algorithm 4): extragradient by Adam's direction.

Look one Adam step ahead, then take an Adam step from where one stands by the field found there. Both fields go into
the same moments, so the bias correction counts two a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from strategic_envs.agents.dynamics.moments import AdamForm, AdamState, Moments
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.profile import Profile

__all__ = ["ExtraAdam"]


@dataclass(frozen=True)
class ExtraAdam(AdamForm[AdamState]):
    """Extragradient with Adam's moments: two field calls a step; settings as in `AdamForm`.

    Example:
        >>> ExtraAdam(step_size=1e-3).summary
        'look one Adam step ahead, then move by the field found there'
    """

    name: ClassVar[str] = "extra_adam"
    summary: ClassVar[str] = "look one Adam step ahead, then move by the field found there"

    def init(self, x0: Profile, oracle: Oracle) -> AdamState:
        return AdamState(x0, **vars(Moments.zero(x0)))

    def step(self, state: AdamState, oracle: Oracle) -> AdamState:
        x, eta = state.x, self.step_size
        here = self.updated(state.moments, oracle.field(x))
        ahead = oracle.project(x + eta * self.direction(here))
        there = self.updated(here, oracle.field(ahead))
        return AdamState(oracle.project(x + eta * self.direction(there)), **vars(there))
