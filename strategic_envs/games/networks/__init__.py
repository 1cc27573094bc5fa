"""Networks to train, and any torch network as the stages and players of a dynamic game."""

from __future__ import annotations

from strategic_envs.games.networks.inception import inception
from strategic_envs.games.networks.initialise import initialise
from strategic_envs.games.networks.plain import mlp
from strategic_envs.games.networks.residual import residual_conv, residual_mlp
from strategic_envs.games.networks.resnet import resnet18

__all__ = ["inception", "initialise", "mlp", "residual_conv", "residual_mlp", "resnet18"]
