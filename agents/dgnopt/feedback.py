"""The feedback of one stage: what the players do about where the state went, and the cap on it.

With `V_xx = Z C Z^T` a sample, `Q_thx dx = sum_j c_j (a (x) h_zj)` with `c = C <q_zj, dx>`: the columns' pre-activation
cotangents, weighted a sample, and one weight gradient for each unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from strategic_envs.agents.dgnopt.numbers import at_least_single
from strategic_envs.agents.dgnopt.records import Seats, StageRecord
from strategic_envs.agents.dgnopt.sweep import spread
from strategic_envs.agents.dgnopt.value import Value
from strategic_envs.baselines.optimizers.layers import wgrad
from strategic_envs.games.networks import State

__all__ = ["capped", "coefficients", "joint", "reaction"]


def coefficients(value: Value, moved: State, nominal: State, *, plain: bool = False) -> Sequence[Tensor]:
    """`c = C <q_zj, dx>`: how far the state went along every column, a tensor `(B,)` for each of the r columns.

    Args:
        value: The value function pulled back to this stage.
        moved: The state that the new parameters of earlier stages lead to.
        nominal: The state of the nominal pass.
        plain: Whether the core C is the identity, as it is without a value recursion.
    """
    along: Sequence[Tensor] | None = None
    for slot, (new, old) in enumerate(zip(moved, nominal, strict=True)):
        if new is old or not new.is_floating_point():
            continue
        dx = at_least_single(new - old)
        felt = [(dx * z[slot]).flatten(1).sum(1) for z in value.columns]
        along = felt if along is None else torch._foreach_add(along, felt)
    if along is None:
        return [value.core.new_zeros(len(value.core)) for _ in value.columns]
    if plain:
        return along
    return torch.einsum("brs,sb->rb", value.core, torch.stack(list(along)).to(value.core.dtype)).unbind(0)


def reaction(record: StageRecord, seats: Seats, moved: State, *, plain: bool = False) -> dict[str, Tensor]:
    """`Q_thx dx` of the units of one stage that react, in matrix form: the mean over the samples of this batch.

    Args:
        record: The stage.
        seats: Who is trained in it.
        moved: The state that the new parameters of earlier stages lead to.
        plain: Whether the cores are identities.
    """
    by_value = [coefficients(value, moved, record.state, plain=plain) for value in record.pulled]
    found = {}
    for unit in seats.units:
        if unit.name in record.hz:
            number = 0 if len(by_value) == 1 else next(n for n, p in enumerate(seats.players) if unit.name in p)
            cotangent = None
            for c, column in zip(by_value[number], record.hz[unit.name], strict=True):
                term = spread(c, column)
                cotangent = term if cotangent is None else cotangent.add_(term)
            assert cotangent is not None
            a = record.inputs[unit.name]
            kind = next(unit.module.parameters()).dtype  # under autocast inputs and cotangents have others
            found[unit.name] = wgrad(unit, a.to(kind), cotangent.to(kind))
    return found


def joint(sizes: Sequence[Tensor]) -> Tensor:
    """The norm of several tensors together, by their norms."""
    return sizes[0] if len(sizes) == 1 else torch.linalg.vector_norm(torch.stack(list(sizes)))


def capped(feedback: Tensor, gradient: Tensor, cap: float) -> Tensor:
    """The factor that brings a player's feedback down to `cap` times its gradient, both given by their norms.

    Example:
        >>> [float(capped(torch.tensor(size), torch.tensor(2.0), 0.5)) for size in (4.0, 1.0)]
        [0.25, 1.0]
    """
    return (gradient * cap).div_(feedback.clamp(min=torch.finfo(feedback.dtype).tiny)).clamp_(max=1.0)
