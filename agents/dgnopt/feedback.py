"""The feedback of one stage: what the players do about where the state went, and the cap on it.

With `V_xx = Z C Z^T` a sample, `Q_thx dx = sum_j c_j (a (x) h_zj)` with `c = C <q_zj, dx>`: the columns' pre-activation
cotangents, weighted a sample, and one weight gradient for each unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from strategic_envs.agents.dgnopt.numbers import at_least_single
from strategic_envs.agents.dgnopt.records import StageRecord
from strategic_envs.agents.dgnopt.sweep import spread
from strategic_envs.agents.dgnopt.value import Value
from strategic_envs.baselines.optimizers.layers import wgrad
from strategic_envs.games.networks import State, Unit

__all__ = ["capped", "coefficients", "norm", "reaction"]


def coefficients(value: Value, moved: State, nominal: State) -> Tensor:
    """`c = C <q_zj, dx>`: how far the state went along every column, `(B, r)`.

    Args:
        value: The value function pulled back to this stage.
        moved: The state that the new parameters of earlier stages lead to.
        nominal: The state of the nominal pass.
    """
    along: list[Tensor] | None = None
    for slot, (new, old) in enumerate(zip(moved, nominal, strict=True)):
        if new is old or not new.is_floating_point():
            continue
        dx = at_least_single(new - old)
        felt = [(dx * z[slot]).sum(tuple(range(1, dx.ndim))) for z in value.columns]
        along = felt if along is None else torch._foreach_add(along, felt)
    if along is None:
        return value.core.new_zeros(value.core.shape[:2])
    return torch.einsum("brs,bs->br", value.core, torch.stack(list(along), dim=1).to(value.core.dtype))


def reaction(record: StageRecord, units: Sequence[Unit], moved: State) -> dict[str, Tensor]:
    """`Q_thx dx` of the units of one stage, in matrix form: the mean over the samples of this batch.

    Args:
        record: The stage.
        units: The units that react.
        moved: The state that the new parameters of earlier stages lead to.
    """
    by_value = [coefficients(value, moved, record.state) for value in record.pulled]
    numbers = {unit.name: p.number for p in record.stage.players for unit in p.units} if len(by_value) > 1 else {}
    found = {}
    for unit in units:
        if unit.name in record.hz:
            c = by_value[numbers.get(unit.name, 0)]
            cotangent = spread(c[:, 0], record.hz[unit.name][0])
            for j, column in enumerate(record.hz[unit.name][1:], start=1):
                cotangent = cotangent + spread(c[:, j], column)
            found[unit.name] = wgrad(unit, record.inputs[unit.name], cotangent)
    return found


def norm(matrices: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    """The joint norm of some units' matrices, a scalar on their device."""
    sizes = torch._foreach_norm([matrices[name] for name in names])
    return sizes[0] if len(sizes) == 1 else torch.linalg.vector_norm(torch.stack(sizes))


def capped(feedback: Tensor, gradient: Tensor, cap: float) -> Tensor:
    """The factor that brings a player's feedback down to `cap` times its gradient, both given by their norms.

    Example:
        >>> [float(capped(torch.tensor(size), torch.tensor(2.0), 0.5)) for size in (4.0, 1.0)]
        [0.25, 1.0]
    """
    smallest = torch.finfo(feedback.dtype).tiny
    return (cap * gradient / feedback.clamp(min=smallest)).clamp(max=1.0)
