"""A plain chain of layers as stages: one player a stage, and the parameter-free layers that follow it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

from torch import nn

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.stages import Chain, Stage

__all__ = ["sequential_stages"]

_PLAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
_PARAMETER_FREE = (
    *(nn.Identity, nn.Flatten, nn.Unflatten, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU),
    *(nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Hardtanh, nn.Softmax),
    *(nn.LogSoftmax, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d),
    nn.AdaptiveAvgPool2d,
)
_WHY_NOT = {
    nn.modules.batchnorm._BatchNorm: "it couples the samples of a batch and changes its running statistics",
    nn.modules.dropout._DropoutNd: "its output is random, and a game's utilities are not",
    nn.RNNBase: "its output is a tuple",
}


def sequential_stages(layers: nn.Sequential | Iterable[nn.Module]) -> tuple[Stage, ...]:
    """Cuts a plain chain of layers into stages: a layer with parameters and the parameter-free ones that follow it.

    Args:
        layers: An `nn.Sequential`, nested ones included, or a list of layers.

    Raises:
        InvalidGameError: If a layer is unsupported, works in place, or shares its parameters with another; the message
            names it.

    Example:
        >>> [len(s.players) for s in sequential_stages([nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)])]
        [0, 1, 1]
    """
    stages: list[Stage] = []
    player: tuple[tuple[nn.Module, ...], tuple[str, ...]] = ((), ())
    rest: list[nn.Module] = []
    owners: dict[int, str] = {}
    for name, layer in _leaves(layers):
        _check_layer(name, layer, owners)
        if isinstance(layer, _PLAYERS):
            if player[0] or rest:
                stages.append(Stage(player[0], Chain(tuple(rest)), names=player[1]))
            player, rest = ((layer,), (f"{name}: {type(layer).__name__}",)), []
        else:
            rest.append(copy.deepcopy(layer))
    if player[0] or rest:
        stages.append(Stage(player[0], Chain(tuple(rest)), names=player[1]))
    return tuple(stages)


def _leaves(layers: nn.Sequential | Iterable[nn.Module], prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for i, layer in enumerate(layers):
        if type(layer) is nn.Sequential:
            yield from _leaves(layer, f"{prefix}{i}.")
        else:
            yield f"{prefix}{i}", layer


def _check_layer(name: str, layer: object, owners: dict[int, str]) -> None:
    what = f"layer {name} ({type(layer).__name__})"
    if not isinstance(layer, nn.Module):
        raise InvalidGameError(f"{what}: got a {type(layer).__name__}, expected a torch.nn.Module")
    if getattr(layer, "inplace", False):
        raise InvalidGameError(
            f"{what} works in place, which destroys the state that co-states need: make it with inplace=False"
        )
    if type(layer) not in _PLAYERS + _PARAMETER_FREE:
        reason = next((why for kind, why in _WHY_NOT.items() if isinstance(layer, kind)), "it is not known here")
        known = ", ".join(kind.__name__ for kind in _PLAYERS)
        raise InvalidGameError(
            f"{what} is not supported: {reason}. Expected {known} and parameter-free layers that act on each sample "
            "alone; leave it out, or describe its stage with strategic_envs.games.kinds.stages.Stage"
        )
    if layer._forward_hooks or layer._forward_pre_hooks:
        raise InvalidGameError(f"{what} has forward hooks, which a game would not run: remove them")
    for parameter in layer.parameters():
        other = owners.setdefault(id(parameter), what)
        if other != what:
            raise InvalidGameError(
                f"{what} shares a parameter with {other}: every player owns its weights, so give each layer its own"
            )
