"""Fictitious players: several of them own one layer together, whose weights are the sum of theirs.

`theta_t = theta_{t,1} + ... + theta_{t,N}`: nothing that the network can do has changed, but every layer has N players,
all with the same field. Each moving by the learning rate, the layer moves N times as far.

Liu, Chen and Theodorou, "Dynamic Game Theoretic Neural Optimizer", ICML 2021, equation 16.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.stages import GameStage, StagedNetwork, State, with_weights
from strategic_envs.profile import Profile

__all__ = ["FictitiousGame", "SharedStage", "fictitious_game"]


class SharedStage:
    """A stage whose every player is several, whose weights add up; it has what a game asks of a `GameStage`.

    Args:
        inner: The stage.
        copies: How many players own each layer.
    """

    origin = None

    def __init__(self, inner: GameStage, copies: int) -> None:
        self.inner, self.copies = inner, copies
        self.players = tuple(p for p in inner.players for _ in range(copies))
        self.names = tuple(f"{name} ({k + 1} of {copies})" for name in inner.names for k in range(copies))
        self.dims = tuple(d for d in inner.dims for _ in range(copies))
        self.shapes = tuple(shape for shape in inner.shapes for _ in range(copies))
        self.ends_linear = inner.ends_linear

    def __call__(self, state: State, weights: Sequence[torch.Tensor]) -> State:
        """The next state, from the flat weights of all copies."""
        return self.inner(state, shared(weights, self.copies))

    def modules(self, weights: Sequence[torch.Tensor]) -> tuple[nn.Module, ...]:
        """The players as modules with these weights, which they do not share."""
        return tuple(with_weights(player, w) for player, w in zip(self.players, weights, strict=True))

    def run(self, state: State, modules: Sequence[nn.Module]) -> State:
        """The next state, with the sums of the modules' weights."""
        return self(state, [torch.cat([p.reshape(-1) for p in module.parameters()]) for module in modules])


def shared(weights: Sequence[torch.Tensor], copies: int) -> list[torch.Tensor]:
    """The layers' weights: the sums over the copies.

    Example:
        >>> shared([torch.ones(2), torch.ones(2), torch.zeros(1), torch.ones(1)], copies=2)
        [tensor([2., 2.]), tensor([1.])]
    """
    return [torch.stack(tuple(weights[i : i + copies])).sum(0) for i in range(0, len(weights), copies)]


class FictitiousGame(DynamicGame):
    """A network's game with several players a layer; made by `fictitious_game`.

    Args:
        game: The game with one player a layer.
        copies: How many players own each layer.
    """

    def __init__(self, game: DynamicGame, copies: int) -> None:
        super().__init__(
            [SharedStage(stage, copies) for stage in game.stages],
            game.inputs,
            game.targets,
            loss=game.objective.loss,
            weight_decay=[w for w in game.weight_decay for _ in range(copies)],
            name=f"{game.name}, {copies} players a layer",
        )
        self.base, self.copies = game, copies

    def initial(self, seed: int, *, dtype: torch.dtype | None = None) -> Profile:
        """The weights that the game with one player a layer begins with, in equal shares."""
        return self._share(self.base.initial(seed, dtype=dtype))

    def load(self, module: nn.Module) -> Profile:
        """The weights of a module such as the first game's, in equal shares.

        Raises:
            InvalidStrategyError: If the parameters have other shapes.
        """
        return self._share(self.base.load(module))

    def layers(self, x: Sequence[torch.Tensor]) -> Profile:
        """The layers' weights, a profile of the game with one player a layer."""
        return Profile(shared(self.validate(x), self.copies))

    def module(self, x: Sequence[torch.Tensor]) -> StagedNetwork:
        """The network with these weights, one layer for all its players, as a torch module."""
        return self.base.module(self.layers(x))

    def _share(self, x: Profile) -> Profile:
        return Profile(w / self.copies for w in x for _ in range(self.copies))


def fictitious_game(game: DynamicGame, copies: int) -> DynamicGame:
    """The game in which each layer has several players whose weights add up.

    Args:
        game: The game with one player a layer.
        copies: How many players own each layer; 1 leaves the game as it is.

    Raises:
        InvalidGameError: If the number is no whole number >= 1.

    Source:
        Liu, Chen and Theodorou (2021), equation 16.

    Example:
        >>> network = [nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)]
        >>> game = DynamicGame.from_sequential(network, torch.ones(8, 2), torch.arange(8) % 2)
        >>> both = fictitious_game(game, 2)
        >>> both.dims, both.players, bool((both.loss(both.initial(0)) == game.loss(game.initial(0))).all())
        ((9, 9, 8, 8), ((0, 0), (0, 1), (1, 0), (1, 1)), True)
    """
    if type(copies) is not int or copies < 1:
        raise InvalidGameError(f"{game.name}: got fictitious={copies!r}, expected a whole number of players >= 1")
    return game if copies == 1 else FictitiousGame(game, copies)
