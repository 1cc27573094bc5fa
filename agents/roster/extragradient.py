"""Extragradient: look one step ahead along the joint field, then move by the field found there.

Korpelevich 1976. It converges where independent gradient circles, at two fields an iteration; fields that are sampled
are sampled anew at the point ahead. Its steps must be smaller than those of independent gradient: on the layers of a
network a step of 0.3 serves the latter and sends the former's weights away, although the points ahead still improve.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategic_envs.agents.roster.game_dynamics import DynamicsAgent

__all__ = ["AGENT", "Extragradient"]


class Extragradient(DynamicsAgent):
    """Extragradient on the joint field."""

    name: str = "extragradient"
    summary: str = "extragradient: look one step ahead, move by the field found there"
    dynamic: str = "extragradient"
    presets: Mapping[str, Mapping[str, Any]] = {
        "continuous_game_v0": {"iterations": 200, "evaluate_every": 10, "step_size": 0.05},
        "duopoly_pricing_v0": {"iterations": 40, "step_size": 20.0, "games_per_sample": 256, "horizon": 100},
        "sequential_pricing_v0": {"iterations": 40, "step_size": 20.0, "games_per_sample": 256, "horizon": 100},
        "bertrand_pricing_v0": {"iterations": 40, "step_size": 1.0, "games_per_sample": 256, "horizon": 1},
        "larger_number_v0": {"step_size": 1.0, "games_per_sample": 4096},
        "routing_v0": {"evaluate_every": 10, "step_size": 0.2},
        "layers_v0": {"iterations": 200, "evaluate_every": 50, "step_size": 0.2, "minibatch_size": 128},
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


AGENT = Extragradient()
