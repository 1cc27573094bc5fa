"""The network of a game of layers, alive: weights that DGNOpt may change, in the stages of the game."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.stages import Chain, Stage
from strategic_envs.games.networks import StagedNet, from_module
from strategic_envs.games.networks.game import NetworkStage

__all__ = ["live_network", "weights_of"]


def live_network(game: DynamicGame, like: Tensor) -> StagedNet:
    """The network of a game, with weights that are not set yet; its players are those of the game, in order.

    Args:
        game: A game of a plain chain of layers, or of any torch module.
        like: A tensor of the dtype and on the device that the weights shall have.

    Raises:
        InvalidGameError: If the game's stages are neither.

    Example:
        >>> import torch
        >>> from strategic_envs.games.layers import layers
        >>> game = layers(hidden=(4,))
        >>> net = live_network(game, torch.zeros(1))
        >>> [sum(p.numel() for p in weights_of(net, i)) for i in range(2)], game.dims
        ([260, 50], (260, 50))
    """
    first = game.stages[0]
    if isinstance(first, NetworkStage):
        there = first.template.like(like)
        fresh = {id(p): nn.Parameter(like.new_zeros(p.shape)) for p in there.module.parameters() if p.is_meta}
        return copy.deepcopy(there, fresh)
    parts: list[nn.Module] = []
    for stage in game.stages:
        if not (isinstance(stage, Stage) and isinstance(stage.merge, Chain)):
            raise InvalidGameError(
                f"{game.name}: got a stage {type(stage).__name__} with a merge of its own, expected a chain of layers "
                "or the stages of a torch module: make the game with strategic_envs.games.networks.network_game"
            )
        parts += [copy.deepcopy(p).to_empty(device=like.device).to(like.dtype) for p in stage.players]
        parts += copy.deepcopy(stage.merge.layers)
    return from_module(nn.Sequential(*parts))


def weights_of(net: StagedNet, player: int) -> nn.ParameterList:
    """The parameters of a player, in the order they lie in its flat weights; they are the network's own."""
    return nn.ParameterList(p for unit in net.players[player].units for p in unit.module.parameters())
