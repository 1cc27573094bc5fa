"""PSRO on RLlib: populations of frozen policies, replies by learners, stock algorithms or exactly."""

from __future__ import annotations

from strategic_envs.agents.rllib.psro.config import ORACLES, DoubleOracleConfig

__all__ = ["ORACLES", "DoubleOracleConfig"]
