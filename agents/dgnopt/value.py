"""The value recursion: what a stage's own reaction leaves of the value function.

Backwards through a stage, the value function is first pulled back (`V_x` by one vector-Jacobian product, the columns
`Z` of `V_xx = Z C Z'` by r of them). `value="none"` stops there. With `"own"` or `"sum"` the stage's players then react
with their gains `k = S Q_th` and `K = S Q_thx`, and the value of *that* behaviour is substituted:

    V_x  = Q_x  - Q_xth k - K' (Q_th - Q_thth k)
    V_xx = Q_xx - Q_xth K - K' (Q_thx - Q_thth K)

This is policy evaluation of the quadratic model, right for any gains, so it needs no true Hessian inverse and leaves
`V_xx` positive semi-definite. At the model's optimum `Q_thth k = Q_th` it is the short form of Liu, Chen & Theodorou
(2021), equation (10). `"sum"` keeps one value and lets all players of the stage react, their cross terms included;
`"own"` keeps one value for each player index n, in which only player n reacts.

Samples stay apart: sample i keeps its own `Z^i C^i Z^i'`. `V_x` is exact for the whole batch; of `V_xx` the blocks
between samples are dropped, hence a batch of one is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.dgnopt.quadratic import Reaction, dense_gram, factored_gram, own_gram
from strategic_envs.baselines.optimizers.layers import wapply, wgrad
from strategic_envs.errors import InvalidSettingError

__all__ = ["Value", "contract", "correct", "substitute", "sweeps"]

Solve = Callable[[dict[str, Tensor]], Mapping[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Value:
    """A value function around the nominal states: gradient, and Hessian in low rank, both a sample.

    Args:
        gradient: `V_x`, one tensor `(B, ...)` a slot of the state; unscaled: the batch's value is the samples' mean.
        columns: `Z`, r states.
        core: `C`, `(B, r, r)`: sample i's Hessian is `Z^i C^i Z^i'`.
    """

    gradient: tuple[Tensor, ...]
    columns: tuple[tuple[Tensor, ...], ...]
    core: Float[Tensor, "B r r"]


def sweeps(kind: str, players: int) -> int:
    """How many value functions are carried backwards.

    Args:
        kind: `none`, `own` or `sum`.
        players: The most players that a stage has.

    Raises:
        InvalidSettingError: If there is no such recursion.

    Example:
        >>> sweeps("own", 3), sweeps("sum", 3)
        (3, 1)
    """
    if kind not in ("none", "own", "sum"):
        raise InvalidSettingError(f"value must be 'none', 'own' or 'sum', got {kind!r}")
    return max(players, 1) if kind == "own" else 1


def substitute(
    pulled: Value, reactions: Sequence[Reaction], solve: Solve, *, limit: int = 1 << 24, joint: bool = False
) -> Value:
    """The value of a stage whose players react with the gains `k = S Q_th`, `K = S Q_thx`.

    Args:
        pulled: The next stage's value pulled back: `Q_x`, the columns `F_x' Z`, and the next stage's core.
        reactions: The units that react; for `"own"` those of one player. None leave the value as it is.
        solve: The stage's linear map `S` with its learning rates, `{unit name: R} -> {unit name: S R}`, symmetric. The
            contraction maps it over samples, so it may have no data-dependent control flow unless `factors` are given.
        limit: The most numbers that gradients of single samples may take at once. Where the batch needs more,
            convolutions go through it in parts, and the terms that tie samples in the contraction are left out.
        joint: Whether `S` couples units (cooperation); the contraction then needs gradients of single samples too.

    Returns:
        The value at this stage's state.

    Source:
        Liu, Chen & Theodorou (2021), equation (10), in the form that holds for any gains.

    Example:
        >>> from torch import nn
        >>> from strategic_envs.games.networks import Unit
        >>> unit = Unit(name="w", module=nn.Linear(1, 1).double(), kind="linear", player=0)
        >>> one = torch.ones(1, 1, dtype=torch.float64)
        >>> pulled = Value((one,), ((one,),), torch.ones(1, 1, 1, dtype=torch.float64))
        >>> wish = Reaction(unit, 2 * one, (one,), torch.tensor([[2.0, 1.0]], dtype=torch.float64))
        >>> value = substitute(pulled, [wish], lambda r: {name: 0.1 * m for name, m in r.items()})
        >>> value.gradient[0].item(), round(value.core.item(), 12)  # (1 - .1 |q_th|^2)^2, q_th = (2, 1)
        (0.25, 0.25)
    """
    if not reactions:
        return pulled
    return Value(
        correct(pulled, reactions, solve),
        pulled.columns,
        contract(pulled.core, reactions, solve, limit=limit, joint=joint),
    )


def correct(pulled: Value, reactions: Sequence[Reaction], solve: Solve) -> tuple[Tensor, ...]:
    """`V_x` after the reaction, exact for the whole batch: two solves, and three passes through each layer.

    Args: as for `substitute`.

    Returns:
        `V_x`, one tensor a slot of the state.
    """
    with torch.no_grad():
        gain = solve({r.unit.name: r.gradient for r in reactions})
        moved = _react(pulled.core, reactions, gain)
        rest = {}  # Q_th - Q_thth k
        for r in reactions:
            cotangent = sum(_spread(moved[:, j], z) for j, z in enumerate(r.columns))
            assert isinstance(cotangent, Tensor)
            own = r.decay * gain[r.unit.name]
            rest[r.unit.name] = r.gradient - wgrad(r.unit, r.inputs, cotangent) - own
        moved = moved + _react(pulled.core, reactions, solve(rest))
        gradient = []
        for slot, q in enumerate(pulled.gradient):
            gradient.append(q - sum(_spread(moved[:, j], z[slot]) for j, z in enumerate(pulled.columns)))
        return tuple(gradient)


def contract(
    core: Float[Tensor, "B r r"],
    reactions: Sequence[Reaction],
    solve: Solve,
    *,
    limit: int = 1 << 24,
    joint: bool = False,
) -> Float[Tensor, "B r r"]:
    """`C` after the reaction: the blocks of single samples, a sum of squares and so positive semi-definite.

    With `P_ij = Z_th^i' S Z_th^j` sample i's block is
    `C - 2/B C P_ii C + 1/B^2 C (sum_j P_ij C_j P_ji) C + decay/B C (Z_th^i' S S Z_th^i) C`.

    Args: as for `substitute`.

    Returns:
        The new core, symmetric.
    """
    with torch.no_grad():
        batch, rank = core.shape[:2]
        factored = not joint and all(r.factors is not None and r.inputs.dim() == 2 for r in reactions)
        if factored or batch * rank * sum(r.gradient.numel() for r in reactions) <= limit:
            tied, damped = factored_gram(reactions) if factored else dense_gram(reactions, solve)
            own = torch.diagonal(tied, dim1=0, dim2=2).permute(2, 0, 1)  # (B, r, r): P_ii
            seen = torch.einsum("irjs,jst,iujt->iru", tied, core, tied)
        else:
            own, damped = own_gram(reactions, solve, limit)
            seen = own @ core @ own
        inner = seen / batch**2 - 2 / batch * own + damped / batch
        new = core + core @ inner @ core
        return (new + new.mT) / 2


def _react(core: Tensor, reactions: Sequence[Reaction], step: Mapping[str, Tensor]) -> Float[Tensor, "B r"]:
    """`C Z' F_th step`: how the weights' step moves the value's columns."""
    felt = []
    for r in reactions:
        change = wapply(r.unit, r.inputs, step[r.unit.name])
        felt.append(torch.stack([(z * change).flatten(1).sum(1) for z in r.columns], dim=1))
    return torch.einsum("brs,bs->br", core, torch.stack(felt).sum(0))


def _spread(weights: Float[Tensor, " B"], column: Tensor) -> Tensor:
    """A weight a sample times a column."""
    return weights.view(-1, *[1] * (column.dim() - 1)) * column
