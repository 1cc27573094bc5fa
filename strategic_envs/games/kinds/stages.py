"""The stages of a network seen as a dynamic game: `x_{t+1} = F_t(x_t, theta_{t,1..N})`.

The augmented state `x_t` is a tuple of tensors, the *slots*: everything that a later stage still needs. Each player
`(t, n)` of stage t is a module with parameters that reads one slot; parameter-free operations belong to the stage. A
stage has any number of players, none included. In a plain chain there is one slot, and at most one player a stage.

Liu, Chen and Theodorou, "Dynamic Game Theoretic Neural Optimizer", ICML 2021, section 3.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from strategic_envs.errors import InvalidGameError, InvalidStrategyError

__all__ = [
    "Chain",
    "GameStage",
    "Merge",
    "Stage",
    "StagedNetwork",
    "State",
    "draw_weights",
    "load_weights",
    "named_weights",
    "with_weights",
]

State = tuple[Tensor, ...]
Merge = Callable[[State, tuple[Tensor, ...]], State]


@runtime_checkable
class GameStage(Protocol):
    """What a `DynamicGame` asks of a stage `F_t`: `Stage` has it, and so have the stages of any torch module."""

    @property
    def players(self) -> tuple[nn.Module, ...]:
        """A template of each player's parameters, in the order they lie in the flat weights."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """What each player is called."""
        ...

    @property
    def dims(self) -> tuple[int, ...]:
        """The number of weights of each player."""
        ...

    @property
    def shapes(self) -> tuple[dict[str, torch.Size], ...]:
        """The shape of each parameter of each player."""
        ...

    @property
    def ends_linear(self) -> bool:
        """Whether a linear player's output is all that the stage gives."""
        ...

    def __call__(self, state: State, weights: Sequence[Tensor]) -> State:
        """The next state, from the players' flat weights."""
        ...

    def modules(self, weights: Sequence[Tensor]) -> tuple[nn.Module, ...]:
        """The players as modules with these weights, which they do not share."""
        ...

    def run(self, state: State, modules: Sequence[nn.Module]) -> State:
        """The next state, from what `modules` gave."""
        ...

    @property
    def origin(self) -> tuple[tuple[torch.Size, ...], tuple[int, ...]] | None:
        """For stages of a torch module: the shapes of all its parameters, and which of them are the players'."""
        ...


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

    def run(self, state: State, modules: Sequence[nn.Module]) -> State:
        """The next state, from what `modules` gave."""
        return self.merge(state, tuple(m(state[slot]) for m, slot in zip(modules, self.reads, strict=True)))

    def modules(self, weights: Sequence[Tensor]) -> tuple[nn.Module, ...]:
        """The players as modules with these weights, which they do not share."""
        return tuple(with_weights(player, w) for player, w in zip(self.players, weights, strict=True))

    @property
    def origin(self) -> None:
        """Nothing: the stage stands for itself."""
        return None

    @property
    def ends_linear(self) -> bool:
        """Whether one player's output is all that the stage gives."""
        return len(self.players) == 1 and not getattr(self.merge, "layers", True)

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

    Weights and biases are uniform on `[-b, b]`, `b = 1 / sqrt(fan in)`; weights of norms are one.
    """
    parts: list[Tensor] = []
    for layer in player.modules():
        own = dict(layer.named_parameters(recurse=False))
        weight = own.get("weight")
        norm = isinstance(layer, nn.LayerNorm | nn.RMSNorm)
        bound = 1 / math.sqrt(weight[0].numel()) if weight is not None and weight.ndim > 1 and not norm else None
        for name, template in own.items():
            if bound is not None:
                unit = torch.rand(template.numel(), generator=generator, dtype=torch.float64)
                parts.append((2 * unit - 1) * bound)
            else:
                parts.append(torch.full((template.numel(),), float(name == "weight"), dtype=torch.float64))
    return torch.cat(parts)


def with_weights(template: nn.Module, weights: Tensor) -> nn.Module:
    """A copy of a template with flat weights `(d,)`, in their dtype and on their device; its buffers move along.

    Example:
        >>> with_weights(nn.Linear(2, 1), torch.tensor([1.0, 2.0, 3.0])).bias
        Parameter containing:
        tensor([3.], requires_grad=True)
    """
    copied = copy.deepcopy(template)
    pieces = weights.detach().clone().split([p.numel() for p in template.parameters()])
    made = {p: nn.Parameter(w.view(p.shape)) for p, w in zip(copied.parameters(), pieces, strict=True)}
    for layer in copied.modules():
        for name, parameter in list(layer.named_parameters(recurse=False)):
            setattr(layer, name, made[parameter])
    return copied.to(weights.device, weights.dtype)


class StagedNetwork(nn.Module):
    """The torch module that a profile of weights describes: its parameters are the players', in order."""

    def __init__(self, stages: Sequence[GameStage], weights: Sequence[Tensor]) -> None:
        super().__init__()
        self.stages = tuple(stages)
        rest = iter(weights)
        self.players = nn.ModuleList(m for s in self.stages for m in s.modules([next(rest) for _ in s.players]))

    def forward(self, inputs: Tensor) -> Tensor:
        """The network's output."""
        state: State = (inputs,)
        players = iter(self.players)
        for stage in self.stages:
            state = stage.run(state, [next(players) for _ in stage.players])
        return state[0]


def load_weights(stages: Sequence[GameStage], module: nn.Module, name: str) -> list[Tensor]:
    """The flat weights of each player in a module such as the one that the stages were made of.

    Args:
        stages: The stages.
        module: Its parameters are the players', in order; or the stages came from a module like it.
        name: What errors call the game.

    Raises:
        InvalidStrategyError: If its parameters have other shapes.
    """
    shapes = [size for stage in stages for player in stage.shapes for size in player.values()]
    places = list(range(len(shapes)))
    if not isinstance(module, StagedNetwork) and stages[0].origin is not None:
        shapes = list(stages[0].origin[0])
        places = [place for stage in stages for place in (stage.origin or ((), ()))[1]]
    parameters = [p.detach() for p in module.parameters()]
    if [p.shape for p in parameters] != shapes:
        got = [tuple(p.shape) for p in parameters]
        raise InvalidStrategyError(
            f"{name}: got a module with parameters of shapes {got}, expected {[tuple(s) for s in shapes]}"
        )
    flat = torch.cat([parameters[place].reshape(-1) for place in places])
    return list(flat.split([d for stage in stages for d in stage.dims]))


def named_weights(stages: Sequence[GameStage], weights: Sequence[Tensor]) -> dict[str, Tensor]:
    """The players' parameters in their own shapes, by the names that the network's own module gives them.

    Args:
        stages: The stages.
        weights: The flat weights of each player, `(d,)`.

    Example:
        >>> stage = Stage((nn.Linear(2, 1),), Chain(()), names=("0: Linear",))
        >>> named_weights([stage], [torch.tensor([1.0, 2.0, 3.0])])
        {'0.weight': tensor([[1., 2.]]), '0.bias': tensor([3.])}
    """
    players = [(name, shape) for stage in stages for name, shape in zip(stage.names, stage.shapes, strict=True)]
    found: dict[str, Tensor] = {}
    for i, ((label, shapes), flat) in enumerate(zip(players, weights, strict=True)):
        prefix = re.sub(r": \w+", "", label) or f"player_{i}"
        if any(f"{prefix}.{name}" in found for name in shapes):
            prefix = f"{prefix} (player {i})"
        parts = flat.split([size.numel() for size in shapes.values()])
        found |= {f"{prefix}.{name}": p.view(size) for (name, size), p in zip(shapes.items(), parts, strict=True)}
    return found
