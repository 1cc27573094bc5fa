"""Curvatures of a network's layers: one matrix a layer, with the solves that optimizers need."""

from __future__ import annotations

from strategic_envs.baselines.optimizers.curvature.adam import Adam
from strategic_envs.baselines.optimizers.curvature.base import Curvature
from strategic_envs.baselines.optimizers.curvature.ekfac import EKFAC
from strategic_envs.baselines.optimizers.curvature.identity import Identity
from strategic_envs.baselines.optimizers.curvature.kfac import KFAC
from strategic_envs.baselines.optimizers.curvature.rms import RMS

__all__ = ["EKFAC", "KFAC", "RMS", "Adam", "Curvature", "Identity"]
