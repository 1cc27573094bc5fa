"""Many small agents: ones that look for a better bin, and weights that drift and fluctuate."""

from __future__ import annotations

from strategic_envs.agents.populations.better_response import Settled, settle
from strategic_envs.agents.populations.langevin import AdditiveNoise, MultiplicativeNoise

__all__ = ["AdditiveNoise", "MultiplicativeNoise", "Settled", "settle"]
