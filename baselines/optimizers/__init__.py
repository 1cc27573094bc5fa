"""Optimizers of networks to compare against: KFAC, EKFAC, EMSA; SGD, RMSprop and Adam are torch's own."""

from __future__ import annotations

from strategic_envs.baselines.optimizers.ekfac import EKFAC
from strategic_envs.baselines.optimizers.emsa import EMSA
from strategic_envs.baselines.optimizers.kfac import KFAC

__all__ = ["EKFAC", "EMSA", "KFAC"]
