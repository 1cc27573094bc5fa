"""A torch module as stages: `x_{t+1} = F_t(x_t, theta_t)`, with the module's own layers and weights.

`from_module` follows the forward pass, finds the layers with parameters, gives each a stage and writes one function a
stage. The layers are not copied: an optimiser that changes the module changes the stages, and the other way round.

Liu, Chen and Theodorou, "Dynamic Game Theoretic Neural Optimizer", ICML 2021, section 3.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, fx, nn

from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.networks.alignment import Order, align, combinations, order
from strategic_envs.games.networks.cutting import Values, cut, values
from strategic_envs.games.networks.players import Roles, roles
from strategic_envs.games.networks.source import Run, write
from strategic_envs.games.networks.tracing import Graph, trace
from strategic_envs.games.networks.units import Player, State, Unit

__all__ = ["NetStage", "StagedNet", "alignments", "from_module", "plain"]


def plain(unit: Unit, value: Tensor) -> Tensor:
    """Runs a unit as the module itself would: with its own weights, mode and buffers.

    Example:
        >>> import torch
        >>> plain(Unit("layer", nn.ReLU(), "other"), torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return unit.module(value)


@dataclass(frozen=True, eq=False)
class NetStage:
    """One stage `F_t` of a staged network.

    Args:
        units: All its units in the order they run: those of its players, frozen layers, dropout.
        players: Its players, by number.
        run: `run(state, apply)`, the next state. The state is a tuple of tensors, samples first; `apply(unit, value)`
            is called for each unit, everything else runs as the module wrote it. `apply=plain` is the plain run.
        slots: The names of the values in the state that it gets.
        results: The names of the values in the state that it gives.
        ends: The unit whose output is all that the stage gives, if it is one.
        code: The source of `run`.

    Example:
        >>> import torch
        >>> stage = from_module(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))).stages[0]
        >>> [value.shape for value in stage.run((torch.zeros(5, 4),), plain)]
        [torch.Size([5, 3])]
    """

    units: tuple[Unit, ...]
    players: tuple[Player, ...]
    run: Run
    slots: tuple[str, ...]
    results: tuple[str, ...]
    ends: Unit | None
    code: str = field(repr=False)


@dataclass(frozen=True, eq=False)
class _Source:
    """What all alignments of a module share."""

    module: nn.Module
    unsupported: str
    in_place: str
    graph: Graph
    values: Values
    roles: Roles
    order: Order
    made: dict[tuple[int, ...], StagedNet] = field(default_factory=dict)


class StagedNet:
    """A torch module in stages; made by `from_module`.

    Attributes:
        module: The module itself.
        stages: The stages.
        players: The players, stage by stage.
        units: The units, in the order the module runs them.
        alignment: The stage of each player, by name, in the order the module runs them.

    Example:
        >>> import torch
        >>> staged = from_module(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
        >>> staged.alignment, staged(torch.zeros(5, 4)).shape
        ({'0': 0, '2': 1}, torch.Size([5, 2]))
    """

    def __init__(self, source: _Source, alignment: dict[str, int]) -> None:
        self._source = source
        self.module, self.alignment = source.module, alignment
        count = max(alignment.values()) + 1
        players, units = _seat(source.roles, alignment, count)
        self.players = tuple(p for stage in players for p in stage)
        self.units = tuple(units.values())
        stage_of = {node: alignment[name] for name, nodes in source.roles.groups.items() for node in nodes}
        stages = []
        for t, part in enumerate(cut(source.graph, source.values, stage_of, count)):
            run, code = write(source.graph, source.values, part, units, f"stage {t} of {type(self.module).__name__}")
            own = tuple(units[node] for node in part.nodes if node in units)
            slots, results = (tuple(node.name for node in nodes) for nodes in (part.slots, part.results))
            ends = units.get(part.results[0]) if len(part.results) == 1 else None
            stages.append(NetStage(own, players[t], run, slots, results, ends, code))
        self.stages: tuple[NetStage, ...] = tuple(stages)

    def __call__(self, inputs: Tensor) -> Tensor:
        """The module's output, stage by stage: bitwise what `module(inputs)` gives."""
        state: State = (inputs,)
        for stage in self.stages:
            state = stage.run(state, plain)
        return state[0]

    def __repr__(self) -> str:
        rows = [f"  stage {t}: {', '.join(p.name for p in s.players) or '-'}" for t, s in enumerate(self.stages)]
        return "\n".join([f"StagedNet of {type(self.module).__name__}", *rows])

    def __reduce__(self) -> tuple[Any, ...]:
        # functions that were written out cannot be pickled, and a copy's stages must run the copy's layers
        return _rebuild, (self.module, self.alignment, self._source.unsupported, self._source.in_place)

    def realign(self, alignment: str | Mapping[str, int]) -> StagedNet:
        """The same module, units and players in other stages; each alignment is made once and kept.

        Args:
            alignment: `early`, `late`, or the stage of every player by name.

        Raises:
            InvalidGameError: If the alignment violates the data flow; the message names the players and stages.
        """
        chosen = align(self._source.order, alignment)
        key = tuple(chosen.values())
        if key not in self._source.made:
            self._source.made[key] = StagedNet(self._source, chosen)
        return self._source.made[key]


def _seat(who: Roles, alignment: dict[str, int], count: int) -> tuple[list[tuple[Player, ...]], dict[fx.Node, Unit]]:
    """The players of each stage, and the units with the numbers of their players."""
    by_stage = [[name for name in alignment if alignment[name] == t] for t in range(count)]
    number = {name: i for i, name in enumerate(name for names in by_stage for name in names)}
    owner = {node: name for name, nodes in who.groups.items() for node in nodes}
    units = {node: replace(u, player=number[owner[node]] if node in owner else -1) for node, u in who.units.items()}
    players = [
        tuple(Player(name, tuple(units[node] for node in who.groups[name]), t, n) for n, name in enumerate(names))
        for t, names in enumerate(by_stage)
    ]
    return players, units


def _rebuild(module: nn.Module, alignment: dict[str, int], unsupported: str, in_place: str) -> StagedNet:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # who made the first one has been warned
        return from_module(module, alignment, unsupported=unsupported, in_place=in_place)


def from_module(
    module: nn.Module,
    alignment: str | Mapping[str, int] = "late",
    *,
    unsupported: str = "refuse",
    in_place: str = "refuse",
) -> StagedNet:
    """A torch module as stages of players.

    Layers with parameters are players: linear layers, convolutions and norms; a norm that directly follows a layer
    joins it. A frozen layer (`requires_grad=False` in all its parameters) is a part of the dynamics and has no player.
    Modules that are put together of others are entered. What the stages pass on is described in
    `strategic_envs.games.networks.cutting`.

    Weights and buffers are read from the module whenever a stage runs. Its structure is looked at once: after layers
    were exchanged, frozen or thawed, stage it again.

    Args:
        module: The module: one input tensor with the samples first, one output tensor. It is kept, not copied.
        alignment: `early`, `late`, or the stage of every player by name.
        unsupported: `refuse` raises at a layer whose parameters have no matrix form; `gradient` keeps it in its stage
            as a player of kind `other`, with a warning.
        in_place: `refuse` raises at an operation that works in place, such as `nn.ReLU(inplace=True)` and `x += y`;
            `copy` runs it out of place in the stages, and raises only where the result would differ.

    Raises:
        InvalidGameError: If the module works in place, shares parameters, calls a layer twice, reads raw parameters,
            has an unsupported layer, hooks or several outputs, or its control flow depends on data; or the alignment
            violates the data flow. The message names the layer and how to mend it.
        InvalidSettingError: If `unsupported` or `in_place` is none of its values.

    Example:
        >>> module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> staged = from_module(module)
        >>> staged
        StagedNet of Sequential
          stage 0: 0
          stage 1: 2
        >>> [stage.results for stage in staged.stages]
        [('_1',), ('_2',)]
    """
    if unsupported not in ("refuse", "gradient"):
        raise InvalidSettingError(f"got unsupported={unsupported!r}, expected 'refuse' or 'gradient'")
    if in_place not in ("refuse", "copy"):
        raise InvalidSettingError(f"got in_place={in_place!r}, expected 'refuse' or 'copy'")
    graph = trace(module, unsupported, in_place)
    who = roles(graph, unsupported, in_place)
    flow = order(graph, who)
    source = _Source(graph.module, unsupported, in_place, graph, values(graph), who, flow)
    staged = StagedNet(source, align(flow, alignment))
    source.made[tuple(staged.alignment.values())] = staged
    return staged


def alignments(staged: StagedNet, limit: int | None = None) -> list[dict[str, int]]:
    """All alignments in which each player moves as early or as late as it can, the `late` one first.

    Args:
        staged: A staged network; its own alignment does not matter.
        limit: How many to list at most.

    Raises:
        InvalidSettingError: If the limit is not a whole number >= 1, or there is none and there are too many.

    Example:
        >>> len(alignments(from_module(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))))
        1
    """
    return combinations(staged._source.order, limit)
