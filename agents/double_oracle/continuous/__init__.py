"""Double oracle on compact sets: best responses over whole sets, points held, and how many there can be."""

from __future__ import annotations

from strategic_envs.agents.double_oracle.continuous.algorithm import continuous_double_oracle, mixed_play
from strategic_envs.agents.double_oracle.continuous.packing import packing_bound

__all__ = ["continuous_double_oracle", "mixed_play", "packing_bound"]
