"""A network's Wardrop gap: paths as strategies of a congestion game, layers as players, layer by layer.

Reading order: `chain` (networks that are sums over paths), `losses`, `linear` (the closed form), `enumeration`,
`kernel` and `sampling` (networks with ReLU), `kinks`, `paths` and `report` (the evaluator); `problem` and `layers` (the
layers as players); `spectral` (weight decay), `flow` (routing shares), `saddles` (critical points in closed form).
"""

from __future__ import annotations

from strategic_envs.evaluators.wardrop.flow import FlowWardrop, flow_wardrop
from strategic_envs.evaluators.wardrop.layers import LayerEquilibrium, layer_equilibrium
from strategic_envs.evaluators.wardrop.paths import path_wardrop
from strategic_envs.evaluators.wardrop.report import PathWardrop
from strategic_envs.evaluators.wardrop.saddles import linear_critical_point
from strategic_envs.evaluators.wardrop.spectral import SpectralGap, spectral_gap

__all__ = [
    "FlowWardrop",
    "LayerEquilibrium",
    "PathWardrop",
    "SpectralGap",
    "flow_wardrop",
    "layer_equilibrium",
    "linear_critical_point",
    "path_wardrop",
    "spectral_gap",
]
