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

__all__ = ["Displaced", "capped", "coefficients", "displacements", "joint", "reaction"]

Displaced = dict[int, tuple[Tensor, Tensor]]
"""By the identity of a slot: the slot itself, which keeps the identity taken, and how far it moved."""


def displacements(moved: State, nominal: State, last: Displaced) -> Displaced:
    """`dx` for every slot of a state that moved, by the slot's identity.

    Args:
        moved: The state that the new parameters of earlier stages lead to.
        nominal: The state of the nominal pass.
        last: What this gave for the stage before: a slot that is carried on has moved as far as it had there.
    """
    found: Displaced = {}
    for new, old in zip(moved, nominal, strict=True):
        if new is not old and new.is_floating_point():
            known = last.get(id(new))
            found[id(new)] = (new, at_least_single(new - old)) if known is None else known
    return found


def coefficients(value: Value, moved: State, dx: Displaced, *, plain: bool = False) -> Sequence[Tensor]:
    """`c = C <q_zj, dx>`: how far the state went along every column, a tensor `(B,)` for each of the r columns.

    Args:
        value: The value function pulled back to this stage.
        moved: The state that the new parameters of earlier stages lead to.
        dx: Where its slots moved; see `displacements`.
        plain: Whether the core C is the identity, as it is without a value recursion.
    """
    along: Sequence[Tensor] | None = None
    for slot, new in enumerate(moved):
        if id(new) not in dx:
            continue
        felt = [_inner(dx[id(new)][1], z[slot]) for z in value.columns]
        along = felt if along is None else torch._foreach_add(along, felt)
    if along is None:
        return [value.core.new_zeros(len(value.core)) for _ in value.columns]
    if plain:
        return along
    return torch.einsum("brs,sb->rb", value.core, torch.stack(list(along)).to(value.core.dtype)).unbind(0)


def _inner(x: Tensor, y: Tensor) -> Tensor:
    """The inner product of every sample, `(B,)`, without a copy of images that both lie channels last in memory."""
    if x.ndim == 4 and all(t.is_contiguous(memory_format=torch.channels_last) for t in (x, y)):
        x, y = x.permute(0, 2, 3, 1), y.permute(0, 2, 3, 1)
    return torch.linalg.vecdot(x.flatten(1), y.flatten(1).to(x.dtype))


def reaction(
    record: StageRecord, seats: Seats, moved: State, dx: Displaced, *, plain: bool = False
) -> dict[str, Tensor]:
    """`Q_thx dx` of the units of one stage that react, in matrix form: the mean over the samples of this batch.

    Args:
        record: The stage.
        seats: Who is trained in it.
        moved: The state that the new parameters of earlier stages lead to.
        dx: Where its slots moved; see `displacements`.
        plain: Whether the cores are identities.
    """
    by_value = [coefficients(value, moved, dx, plain=plain) for value in record.pulled]
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
