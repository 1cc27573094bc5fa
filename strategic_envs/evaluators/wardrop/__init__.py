"""A network's Wardrop gap: paths as strategies of a congestion game, layers as players, layer by layer.

Reading order: `chain` (networks that are sums over paths), `losses`, `linear` (the closed form), `paths` and `report`
(the evaluator).
"""

from __future__ import annotations

from strategic_envs.evaluators.wardrop.paths import path_wardrop
from strategic_envs.evaluators.wardrop.report import PathWardrop

__all__ = ["PathWardrop", "path_wardrop"]
