"""Gaps and reports about play: how far it is from equilibrium, globally and locally."""

from __future__ import annotations

from strategic_envs.evaluators.accumulator import FieldAccumulator
from strategic_envs.evaluators.best_response import best_response
from strategic_envs.evaluators.congestion import wardrop_excess
from strategic_envs.evaluators.deviations import Regime, delta_regime, local_deviation_gain
from strategic_envs.evaluators.family import FamilyGap
from strategic_envs.evaluators.gap import Gap
from strategic_envs.evaluators.gaps import cce_gap, ce_gap, exploitability, nash_conv
from strategic_envs.evaluators.labels import Labels, label, label_points
from strategic_envs.evaluators.local import local_cce_gap, local_nash_gap
from strategic_envs.evaluators.local_ce import local_ce_gap
from strategic_envs.evaluators.microstructure import arbitrage_gap, neuron_microstructure, weight_microstructure
from strategic_envs.evaluators.outcomes import Outcomes, outcome_probabilities
from strategic_envs.evaluators.rates import Rate, fit_rate, gaps_by_horizon, regret_bound
from strategic_envs.evaluators.report import Report, evaluate
from strategic_envs.evaluators.robustness import RobustReport, gradient_masking, pgd_accuracy, robustness_curve
from strategic_envs.evaluators.wardrop import layer_equilibrium, path_wardrop

__all__ = [
    "FamilyGap",
    "FieldAccumulator",
    "Gap",
    "Labels",
    "Outcomes",
    "Rate",
    "Regime",
    "Report",
    "RobustReport",
    "arbitrage_gap",
    "best_response",
    "cce_gap",
    "ce_gap",
    "delta_regime",
    "evaluate",
    "exploitability",
    "fit_rate",
    "gaps_by_horizon",
    "gradient_masking",
    "label",
    "label_points",
    "layer_equilibrium",
    "local_cce_gap",
    "local_ce_gap",
    "local_deviation_gain",
    "local_nash_gap",
    "nash_conv",
    "neuron_microstructure",
    "outcome_probabilities",
    "path_wardrop",
    "pgd_accuracy",
    "regret_bound",
    "robustness_curve",
    "wardrop_excess",
    "weight_microstructure",
]
