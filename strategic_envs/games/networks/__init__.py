"""Networks to train, and any torch network as the stages and players of a dynamic game."""

from __future__ import annotations

from strategic_envs.games.networks.checks import check_batch
from strategic_envs.games.networks.game import network_game
from strategic_envs.games.networks.inception import inception
from strategic_envs.games.networks.initialise import initialise
from strategic_envs.games.networks.pairs import paired_mlp
from strategic_envs.games.networks.plain import mlp
from strategic_envs.games.networks.residual import residual_conv, residual_mlp
from strategic_envs.games.networks.resnet import resnet18
from strategic_envs.games.networks.staged import NetStage, StagedNet, alignments, from_module, plain
from strategic_envs.games.networks.units import KINDS, Apply, Player, State, Unit, kind_of

__all__ = [
    "KINDS",
    "Apply",
    "NetStage",
    "Player",
    "StagedNet",
    "State",
    "Unit",
    "alignments",
    "check_batch",
    "from_module",
    "inception",
    "initialise",
    "kind_of",
    "mlp",
    "network_game",
    "paired_mlp",
    "plain",
    "residual_conv",
    "residual_mlp",
    "resnet18",
]
