"""Independent gradient: every player ascends its own utility, all at the same time.

The baseline of learning in games. It circles or spirals out where players' interests are opposed (matching pennies),
and is stochastic gradient descent where they are not (layers of a network).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategic_envs.agents.roster.game_dynamics import DynamicsAgent

__all__ = ["AGENT", "IndependentGD"]


class IndependentGD(DynamicsAgent):
    """Simultaneous gradient ascent, each player on its own utility."""

    name: str = "independent_gd"
    summary: str = "independent gradient: every player ascends its own utility"
    dynamic: str = "simultaneous_gradient"
    presets: Mapping[str, Mapping[str, Any]] = {
        "continuous_game_v0": {"iterations": 200, "evaluate_every": 10, "step_size": 0.05},
        "duopoly_pricing_v0": {"iterations": 40, "step_size": 20.0, "games_per_sample": 256, "horizon": 100},
        "larger_number_v0": {"step_size": 1.0, "games_per_sample": 4096},
        "layers_v0": {"iterations": 200, "evaluate_every": 50, "step_size": 0.5, "minibatch_size": 128},
        "tic_tac_toe_v0": {
            "iterations": 40,
            "evaluate_every": 2,
            "steps_per_iteration": 10,
            "step_size": 3000.0,
            "games_per_sample": 4096,
            "strategy": "logits",
            "exploring_starts": 1.0,
            "entropy": [0.5, 0.01, 300],
        },
    }


AGENT = IndependentGD()
