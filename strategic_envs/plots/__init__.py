"""Pictures of trajectories, fields, coverage of starts, gaps, prices and boards."""

from __future__ import annotations

from strategic_envs.plots.counts import draw_counts
from strategic_envs.plots.coverage import draw_coverage, plot_coverage
from strategic_envs.plots.curves import draw_curves, plot_curves
from strategic_envs.plots.figure import COLOURS, new_figure, save, share_legend
from strategic_envs.plots.flows import draw_flows, flow_picture
from strategic_envs.plots.price_paths import draw_price_clouds, draw_standing_prices
from strategic_envs.plots.pricing import (
    draw_heat_map,
    draw_histogram,
    draw_impulse_response,
    draw_price_cycles,
)
from strategic_envs.plots.quantiles import draw_quantiles, plot_quantiles
from strategic_envs.plots.robustness import plot_adversarial_examples, plot_robustness
from strategic_envs.plots.supports import draw_supports
from strategic_envs.plots.training import LearningCurves, plot_training
from strategic_envs.plots.trajectories import draw_trajectories, plot_trajectories

__all__ = [
    "COLOURS",
    "LearningCurves",
    "draw_counts",
    "draw_coverage",
    "draw_curves",
    "draw_flows",
    "draw_heat_map",
    "draw_histogram",
    "draw_impulse_response",
    "draw_price_clouds",
    "draw_price_cycles",
    "draw_quantiles",
    "draw_standing_prices",
    "draw_supports",
    "draw_trajectories",
    "flow_picture",
    "new_figure",
    "plot_adversarial_examples",
    "plot_coverage",
    "plot_curves",
    "plot_quantiles",
    "plot_robustness",
    "plot_training",
    "plot_trajectories",
    "save",
    "share_legend",
]
