"""Gaps and reports about play: how far it is from equilibrium, globally and locally."""

from __future__ import annotations

from strategic_envs.evaluators.accumulator import FieldAccumulator
from strategic_envs.evaluators.best_response import best_response
from strategic_envs.evaluators.gap import Gap
from strategic_envs.evaluators.gaps import cce_gap, ce_gap, exploitability, nash_conv
from strategic_envs.evaluators.local import local_cce_gap, local_nash_gap
from strategic_envs.evaluators.report import Report, evaluate
from strategic_envs.evaluators.robustness import RobustReport, gradient_masking, pgd_accuracy, robustness_curve

__all__ = [
    "FieldAccumulator",
    "Gap",
    "Report",
    "RobustReport",
    "best_response",
    "cce_gap",
    "ce_gap",
    "evaluate",
    "exploitability",
    "gradient_masking",
    "local_cce_gap",
    "local_nash_gap",
    "nash_conv",
    "pgd_accuracy",
    "robustness_curve",
]
