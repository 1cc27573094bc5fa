"""Independent gradient: every player ascends its own utility, all at the same time.

The baseline of learning in games. It circles or spirals out where players' interests are opposed (matching pennies),
and is stochastic gradient descent where they are not (layers of a network).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategic_envs.agents.roster.extragradient import Extragradient
from strategic_envs.agents.roster.game_dynamics import DynamicsAgent

__all__ = ["AGENT", "IndependentGD"]


class IndependentGD(DynamicsAgent):
    """Simultaneous gradient ascent, each player on its own utility."""

    name: str = "independent_gd"
    summary: str = "independent gradient: every player ascends its own utility"
    dynamic: str = "simultaneous_gradient"
    presets: Mapping[str, Mapping[str, Any]] = {  # those of extragradient, for a fair comparison
        **Extragradient.presets,
        "layers_v0": {**Extragradient.presets["layers_v0"], "step_size": 0.5},  # where it allows longer steps
    }


AGENT = IndependentGD()
