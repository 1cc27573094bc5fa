"""What the sweeps remember of one batch: everything of the state a sample, everything of the parameters a batch."""

from __future__ import annotations

import copy
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from strategic_envs.agents.dgnopt.value import Value
from strategic_envs.games.networks import NetStage, State, Unit

__all__ = ["Seats", "StageRecord", "Trace", "matrix_form", "plain", "stacked"]


class Seats:
    """Who is trained in a stage.

    Args:
        stage: The stage.
        trained: The names of all units that are trained.

    Attributes:
        units: The stage's trained units, in the order of its players;
        names: their names;
        parameters: their parameters;
        reacting: the names of those that can react to the state, all but layers of other kinds;
        players: the names of every player's units, by its number.
    """

    def __init__(self, stage: NetStage, trained: Container[str]) -> None:
        self.units = [unit for player in stage.players for unit in player.units if unit.name in trained]
        self.names = [unit.name for unit in self.units]
        self.parameters = [list(unit.module.parameters()) for unit in self.units]
        self.reacting = [unit.name for unit in self.units if unit.kind != "other"]
        self.players = [[unit.name for unit in p.units if unit.name in trained] for p in stage.players]

    def of(self, number: int) -> Seats:
        """The seats of one player."""
        one = copy.copy(self)
        mine = [i for i, name in enumerate(self.names) if number < len(self.players) and name in self.players[number]]
        one.units, one.names = [self.units[i] for i in mine], [self.names[i] for i in mine]
        one.parameters = [self.parameters[i] for i in mine]
        one.reacting = [name for name in self.reacting if name in one.names]
        return one


@dataclass(eq=False)
class StageRecord:
    """One stage of one batch, from the nominal pass to the forward sweep.

    Args:
        stage: The stage.
        state: The nominal state `x_t`, one tensor a slot, samples first.
        inputs: What every unit read, by the unit's name.
        leaves: The nominal state as the stage's graph starts from it;
        outputs: the next state, and
        written: what every unit wrote (its pre-activation), all in that graph, which `free` lets go.
        pulled: The value functions pulled back to `x_t`: `Q_x`, the columns `F_x^T Z_j`, and the next stage's core.
            One for all players, or one for each player number.
        h: The cotangent of `V_x` at what a unit wrote, a sample and unscaled; only where somebody asked for it.
        hz: The cotangents of the columns `Z_j` there.
    """

    stage: NetStage
    state: State
    inputs: dict[str, Tensor] = field(default_factory=dict)
    leaves: State = ()
    outputs: State = ()
    written: dict[str, Tensor] = field(default_factory=dict)
    pulled: list[Value] = field(default_factory=list)
    h: dict[str, Tensor] = field(default_factory=dict)
    hz: dict[str, tuple[Tensor, ...]] = field(default_factory=dict)

    def free(self) -> None:
        """Lets the stage's graph go; states and inputs stay."""
        self.leaves, self.outputs, self.written = (), (), {}


@dataclass(eq=False)
class Trace:
    """The nominal pass of one batch.

    Args:
        records: One for each stage.
        output: The network's output, detached.
        masks: The dropout masks, by the layer's name; None where a layer dropped nothing.
    """

    records: list[StageRecord]
    output: Tensor
    masks: dict[str, Tensor | None]

    @property
    def samples(self) -> int:
        """How many samples the batch has."""
        return len(self.output)


def matrix_form(unit: Unit, parts: Iterable[Tensor]) -> Tensor:
    """Tensors shaped like the unit's parameters as one matrix, as in `baselines.optimizers.layers`.

    Example:
        >>> from torch import nn
        >>> layer = nn.Linear(3, 2)
        >>> matrix_form(Unit(name="fc", module=layer, kind="linear", player=0), layer.parameters()).shape
        torch.Size([2, 4])
    """
    if unit.kind == "other":
        rows = [part.reshape(1, -1) for part in parts]
    elif unit.kind == "norm":
        rows = [part.reshape(-1, 1) for part in parts]
    else:
        rows = [part.reshape(part.shape[0], -1) for part in parts]
    return torch.cat(rows, dim=1)


def plain(record: StageRecord) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What the layers read and the gradients at what they wrote, by name."""
    return record.inputs, record.h


def stacked(record: StageRecord) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What the layers read, and the columns there, as r times as many samples with the same second moments."""
    inputs, h = {}, {}
    for name, columns in record.hz.items():
        r, a = len(columns), record.inputs[name]
        inputs[name] = a if r == 1 else torch.cat([a] * r)
        h[name] = columns[0] if r == 1 else torch.cat(columns) * r**0.5
    return inputs, h
