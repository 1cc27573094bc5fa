"""DGNOpt: a network's layers as the players of a dynamic game, and optimizers that follow from it."""

from __future__ import annotations

from strategic_envs.agents.dgnopt.lm import AdaptiveLM, LMResult
from strategic_envs.agents.dgnopt.optimizer import DGNOpt
from strategic_envs.agents.dgnopt.result import StepResult
from strategic_envs.agents.dgnopt.terminal import CrossEntropy, PolicyLoss, SquaredError, Terminal, TerminalFactors

__all__ = [
    "AdaptiveLM",
    "CrossEntropy",
    "DGNOpt",
    "LMResult",
    "PolicyLoss",
    "SquaredError",
    "StepResult",
    "Terminal",
    "TerminalFactors",
]
