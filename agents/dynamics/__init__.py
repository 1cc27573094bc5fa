"""Learning dynamics: update rules on a joint field, one file each."""

from __future__ import annotations

from strategic_envs.agents.dynamics.alternating import AlternatingGradient
from strategic_envs.agents.dynamics.base import Dynamic, State, state_from_dict, state_to_dict
from strategic_envs.agents.dynamics.extragradient import Extragradient
from strategic_envs.agents.dynamics.optimistic import OptimisticGradient
from strategic_envs.agents.dynamics.oracle import GameOracle, Oracle
from strategic_envs.agents.dynamics.simultaneous import SimultaneousGradient

__all__ = [
    "AlternatingGradient",
    "Dynamic",
    "Extragradient",
    "GameOracle",
    "OptimisticGradient",
    "Oracle",
    "SimultaneousGradient",
    "State",
    "state_from_dict",
    "state_to_dict",
]
