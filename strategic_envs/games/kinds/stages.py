"""The stages of a network seen as a dynamic game: `x_{t+1} = F_t(x_t, theta_{t,1..N})`.

The augmented state `x_t` is a tuple of tensors, the *slots*: everything that a later stage still needs. Each player
`(t, n)` of stage t is a module with parameters that reads one slot; parameter-free operations belong to the stage. A
stage has any number of players, none included. In a plain chain there is one slot, and at most one player a stage.

Liu, Chen and Theodorou, "Dynamic Game Theoretic Neural Optimizer", ICML 2021, section 3.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from strategic_envs.errors import InvalidGameError

__all__ = ["Chain", "Merge", "Stage", "StagedNetwork", "State", "draw_weights", "sequential_stages"]

State = tuple[Tensor, ...]
Merge = Callable[[State, tuple[Tensor, ...]], State]

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


@dataclass(frozen=True, eq=False)
class Chain:
    """The parameter-free rest of a stage of a plain chain: layers applied to the one player's output.

    Args:
        layers: The layers; they act on every sample by itself.
    """

    layers: tuple[nn.Module, ...] = ()

    def __call__(self, state: State, outputs: tuple[Tensor, ...]) -> State:
        """The next state; a stage without players passes on what it got."""
        (value,) = outputs or state
        for layer in self.layers:
            value = layer(value)
        return (value,)


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage `F_t`.

    Args:
        players: The modules with parameters, one a player, of any number. They are templates: only their structure is
            used, the weights come from the profile.
        merge: From the state `x_t` and the players' outputs to the next state, without parameters.
        reads: Which slot of the state each player reads; slot 0 by default.
        names: What each player is called; `stage_player` numbers by default, set by the game.

    Raises:
        InvalidGameError: If a player has no parameters, or the numbers of players, slots and names differ.

    Example:
        >>> stage = Stage((nn.Linear(2, 1),), Chain((nn.ReLU(),)))
        >>> stage((torch.ones(5, 2),), [torch.tensor([1.0, 1.0, -0.5])])[0].shape
        torch.Size([5, 1])
    """

    players: tuple[nn.Module, ...]
    merge: Merge
    reads: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, default in (("reads", (0,) * len(self.players)), ("names", ("",) * len(self.players))):
            given = getattr(self, field) or default
            if len(given) != len(self.players):
                raise InvalidGameError(
                    f"a stage of {len(self.players)} players got {len(given)} {field}: give one a player"
                )
            object.__setattr__(self, field, tuple(given))
        for player in self.players:
            if next(player.parameters(), None) is None:
                raise InvalidGameError(
                    f"got the player {player} without parameters: a stage's merge is the place for it"
                )
        templates = tuple(copy.deepcopy(p).to("meta") for p in self.players)
        object.__setattr__(self, "players", templates)

    def __call__(self, state: State, weights: Sequence[Tensor]) -> State:
        """The next state.

        Args:
            state: The slots of `x_t`, samples first.
            weights: The flat weights of each player, `(d,)`.
        """
        outputs = tuple(
            _apply(player, w, state[slot]) for player, w, slot in zip(self.players, weights, self.reads, strict=True)
        )
        return self.merge(state, outputs)

    @property
    def dims(self) -> tuple[int, ...]:
        """The number of weights of each player."""
        return tuple(sum(p.numel() for p in player.parameters()) for player in self.players)

    @property
    def shapes(self) -> tuple[dict[str, torch.Size], ...]:
        """The shape of each parameter of each player, in the order they lie in the flat weights."""
        return tuple({name: p.shape for name, p in player.named_parameters()} for player in self.players)


def _apply(player: nn.Module, weights: Tensor, value: Tensor) -> Tensor:
    parameters: dict[str, Tensor] = {}
    start = 0
    for name, template in player.named_parameters():
        parameters[name] = weights[start : start + template.numel()].view(template.shape)
        start += template.numel()
    if type(player) is nn.Linear:  # the same result as below, in half the time on small layers
        return functional.linear(value, parameters["weight"], parameters.get("bias"))
    return functional_call(player, parameters, (value,))


def draw_weights(player: nn.Module, generator: torch.Generator) -> Tensor:
    """Flat weights `(d,)` in float64, distributed as torch initialises linear and convolutional layers.

    Weights and biases are uniform on `[-b, b]`, `b = 1 / sqrt(fan in)`; one-dimensional weights (of norms) are one.
    """
    parts: list[Tensor] = []
    for layer in player.modules():
        own = dict(layer.named_parameters(recurse=False))
        weight = own.get("weight")
        bound = 1 / math.sqrt(weight[0].numel()) if weight is not None and weight.ndim > 1 else None
        for name, template in own.items():
            if bound is not None:
                unit = torch.rand(template.numel(), generator=generator, dtype=torch.float64)
                parts.append((2 * unit - 1) * bound)
            else:
                parts.append(torch.full((template.numel(),), float(name == "weight"), dtype=torch.float64))
    return torch.cat(parts)


class StagedNetwork(nn.Module):
    """The torch module that a profile of weights describes: its parameters are the players', in order."""

    def __init__(self, stages: Sequence[Stage], weights: Sequence[Tensor]) -> None:
        super().__init__()
        self.stages = tuple(stages)
        players = [p for stage in stages for p in stage.players]
        self.players = nn.ModuleList(
            copy.deepcopy(p).to_empty(device=w.device).to(w.dtype) for p, w in zip(players, weights, strict=True)
        )
        with torch.no_grad():
            for player, w in zip(self.players, weights, strict=True):
                nn.utils.vector_to_parameters(w.detach().clone(), player.parameters())

    def forward(self, inputs: Tensor) -> Tensor:
        """The network's output."""
        state: State = (inputs,)
        players = iter(self.players)
        for stage in self.stages:
            state = stage.merge(state, tuple(next(players)(state[slot]) for slot in stage.reads))
        return state[0]


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
