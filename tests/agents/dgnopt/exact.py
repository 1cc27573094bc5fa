"""The optimizer with exact curvature: a stage's whole Gauss-Newton block, from what the stage has recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt import DGNOpt
from strategic_envs.agents.dgnopt.linear_map import StageMap
from strategic_envs.agents.dgnopt.records import StageRecord
from strategic_envs.baselines.optimizers.curvature import Identity
from strategic_envs.baselines.optimizers.layers import parameters_matrix
from strategic_envs.games.networks import NetStage


class ExactMap(StageMap):
    """In the place of `StageMap`: S = (Q_thth)^-1 of the batch with weight decay, jointly or player by player."""

    def __init__(self, decay: float, joint: bool) -> None:
        self.decay, self.statistic, self._joint = decay, "gn", joint
        self.curvature = Identity()
        self._inverse: dict[tuple[str, ...], Tensor] = {}

    @property
    def joint(self) -> bool:
        return self._joint

    @property
    def holders(self) -> list[object]:
        return []

    def wants(self, step: int) -> bool:
        return True

    def observe(self, step: int, stage: NetStage, records: list[StageRecord], gradients: Mapping[str, Tensor]) -> None:
        (record,) = records
        columns = {}
        for name, hz in record.hz.items():
            a = record.inputs[name]
            a = torch.cat([a, torch.ones(len(a), 1, dtype=a.dtype)], 1)
            columns[name] = torch.stack([torch.einsum("bo,bi->boi", z, a).flatten(1) for z in hz], 2)  # B p r
        groups = [list(columns)] if self.joint else [[name] for name in columns]
        numbers = {player.name: player.number for player in stage.players}
        for names in groups if columns else []:
            core = record.pulled[numbers[names[0]] if len(record.pulled) > 1 else 0].core
            u = torch.cat([columns[name] for name in names], 1)
            Q = torch.einsum("bpr,brs,bqs->pq", u, core, u) / len(u)
            self._inverse[tuple(names)] = torch.linalg.inv(Q + self.decay * torch.eye(len(Q), dtype=Q.dtype))

    def refresh(self, step: int, group: Any) -> None:
        pass

    def solve(self, right: Mapping[str, Tensor], group: Any) -> dict[str, Tensor]:
        found = {}
        for names, inverse in self._inverse.items():
            if names[0] in right:
                flat = inverse @ torch.cat([right[name].flatten() for name in names])
                parts = flat.split([right[name].numel() for name in names])
                found |= {name: part.view_as(right[name]) for name, part in zip(names, parts, strict=True)}
        return found


def exact(net: nn.Module, *, info: str, decay: float, **options: Any) -> DGNOpt:
    """An optimizer with lr 1, the whole factor of the loss, no cap, and exact curvature."""
    optimizer = DGNOpt(
        net,
        info=info,
        curvature="identity",
        lr=1.0,
        weight_decay=decay,
        value_hessian="full",
        cap=float("inf"),
        **options,
    )
    optimizer._map = ExactMap(decay, joint=info == "GR")
    return optimizer


def moved_by(optimizer: Any, data: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """What one step adds to each layer's parameters, flat."""
    units = [unit for unit in optimizer.net.units if unit.player >= 0]
    old = {unit.name: parameters_matrix(unit) for unit in units}
    assert optimizer.step(data).ok
    return {unit.name: (parameters_matrix(unit) - old[unit.name]).flatten() for unit in units}


def apart(found: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> float:
    """The largest difference."""
    assert set(found) == set(right)
    return max(float((found[name] - right[name]).abs().max()) for name in right)
