"""Quadratic forms of single samples' weight gradients in a stage's metric.

A sample's column of the Hessian at the weights is `Z_th = h_z (x) a`, summed over the locations of a convolution. The
value recursion needs `Z_th^i' S Z_th^j` for samples i, j and columns; the coupled form of the whole batch needs the
same with `S = I`. For a linear layer with a Kronecker metric it is a product of two small matrices, entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.baselines.optimizers.layers import is_kronecker, locations, patches, wgrad
from strategic_envs.baselines.optimizers.norms import norm_parts
from strategic_envs.games.networks import Unit

__all__ = ["Factors", "Reaction", "dense_gram", "factored_gram", "own_gram", "sample_gradients"]

Solve = Callable[[dict[str, Tensor]], Mapping[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Factors:
    """A Kronecker metric with its learning rate: `S R = rate B^-1 R A^-1`.

    Args:
        inputs: `A`, the damped factor of the inputs (with the bias).
        outputs: `B`, the damped factor of the outputs.
        rate: The learning rate.
    """

    inputs: Float[Tensor, "i i"]
    outputs: Float[Tensor, "o o"]
    rate: float = 1.0


@dataclass(frozen=True, eq=False)
class Reaction:
    """What a unit brings to a stage's quadratic model.

    Args:
        unit: The layer.
        inputs: `a`, its input of the nominal pass.
        columns: `h_z`, the r columns at its output, each shaped like the output.
        gradient: `Q_th` in matrix form, weight decay included.
        decay: The curvature of the unit's own cost, `l_thth = decay I`: its weight decay, plus a damping if the model
            has one.
        factors: The Kronecker metric, where the unit's own gain has one.
    """

    unit: Unit
    inputs: Tensor
    columns: tuple[Tensor, ...]
    gradient: Tensor
    decay: float = 0.0
    factors: Factors | None = None


def sample_gradients(
    unit: Unit, inputs: Tensor, cotangent: Tensor, part: slice = slice(None)
) -> Float[Tensor, "B out i"]:
    """The weight gradient of each sample alone, in matrix form: `B` times the memory of the weights.

    Args:
        unit: The layer; a norm's batch statistics are held fixed.
        inputs: Its input.
        cotangent: The samples' cotangents at its output.
        part: Of which samples.

    Example:
        >>> from torch import nn
        >>> unit = Unit(name="w", module=nn.Linear(1, 1), kind="linear", player=0)
        >>> sample_gradients(unit, torch.tensor([[2.0], [3.0]]), torch.tensor([[1.0], [10.0]])).flatten().tolist()
        [2.0, 1.0, 30.0, 10.0]
    """
    h = cotangent[part]
    if is_kronecker(unit):
        return torch.einsum("blo,bli->boi", locations(unit, h), patches(unit, inputs[part]))
    if unit.kind != "norm":
        a = inputs[part]
        return torch.stack([wgrad(unit, a[i : i + 1], h[i : i + 1]) for i in range(len(h))])
    return torch.stack(norm_parts(unit, inputs, cotangent, dims=(1,)), dim=2)[part]


def factored_gram(
    reactions: Sequence[Reaction],
) -> tuple[Float[Tensor, "B r B r"], Float[Tensor, "B r r"]]:
    """`Z_th' S Z_th`, and the samples' blocks of `Z_th' S D S Z_th`, for linear layers with Kronecker metrics.

    D holds the units' `decay`.

    For one layer it is `rate (a A^-1 a') o (h B^-1 h')`, an entrywise product: no weight-sized object is formed.

    Example:
        >>> from torch import nn
        >>> unit = Unit(name="w", module=nn.Linear(1, 1), kind="linear", player=0)
        >>> kept = Factors(torch.eye(2), torch.eye(1))
        >>> a, h = torch.tensor([[2.0]]), torch.tensor([[3.0]])
        >>> wish = Reaction(unit, a, (h,), torch.zeros(1, 2), decay=1.0, factors=kept)
        >>> [x.item() for x in factored_gram([wish])]  # |3 (2, 1)|^2
        [45.0, 45.0]
    """
    grams, squares = [], []
    for r in reactions:
        assert r.factors is not None
        a = patches(r.unit, r.inputs)[:, 0]  # (B, i)
        h = torch.stack(r.columns, dim=1)  # (B, r, o)
        a1 = torch.linalg.solve(r.factors.inputs, a.mT).mT
        h1 = torch.linalg.solve(r.factors.outputs, h.flatten(0, 1).mT).mT.view_as(h)
        grams.append(r.factors.rate * torch.einsum("ij,irjs->irjs", a @ a1.mT, torch.einsum("iro,jso->irjs", h, h1)))
        squares.append(r.decay * r.factors.rate**2 * torch.einsum("bi,bi,bro,bso->brs", a1, a1, h1, h1))
    return torch.stack(grams).sum(0), torch.stack(squares).sum(0)


def dense_gram(reactions: Sequence[Reaction], solve: Solve) -> tuple[Float[Tensor, "B r B r"], Float[Tensor, "B r r"]]:
    """The same for any layers and any linear map, cooperative ones too, from the gradients of single samples.

    Example:
        >>> from torch import nn
        >>> unit = Unit(name="w", module=nn.Linear(1, 1), kind="linear", player=0)
        >>> wish = Reaction(unit, torch.tensor([[2.0]]), (torch.tensor([[3.0]]),), torch.zeros(1, 2), decay=1.0)
        >>> [x.item() for x in dense_gram([wish], lambda r: {"w": r["w"] / 9})]
        [5.0, 0.5555555820465088]
    """
    columns, solved, decay = _columns(reactions, solve, slice(None))
    gram = torch.einsum("irp,jsp->irjs", columns, solved)
    return gram, torch.einsum("irp,isp->irs", solved, decay * solved)


def own_gram(
    reactions: Sequence[Reaction], solve: Solve, limit: int
) -> tuple[Float[Tensor, "B r r"], Float[Tensor, "B r r"]]:
    """Only the samples' own blocks, by parts of the batch that hold at most `limit` numbers.

    Example:
        >>> from torch import nn
        >>> unit = Unit(name="w", module=nn.Linear(1, 1), kind="linear", player=0)
        >>> wish = Reaction(unit, torch.ones(3, 1), (torch.ones(3, 1),), torch.zeros(1, 2))
        >>> own_gram([wish], lambda r: r, limit=2)[0].flatten().tolist()
        [2.0, 2.0, 2.0]
    """
    batch, rank = len(reactions[0].inputs), len(reactions[0].columns)
    part = max(limit // (rank * sum(r.gradient.numel() for r in reactions)), 1)
    grams, squares = [], []
    for start in range(0, batch, part):
        columns, solved, decay = _columns(reactions, solve, slice(start, start + part))
        grams.append(torch.einsum("irp,isp->irs", columns, solved))
        squares.append(torch.einsum("irp,isp->irs", solved, decay * solved))
    return torch.cat(grams), torch.cat(squares)


def _columns(
    reactions: Sequence[Reaction], solve: Solve, part: slice
) -> tuple[Float[Tensor, "b r p"], Float[Tensor, "b r p"], Float[Tensor, " p"]]:
    """Every sample's columns at all weights of the stage, flat; what the linear map makes of them; the decays."""
    found = {
        r.unit.name: torch.stack([sample_gradients(r.unit, r.inputs, z, part) for z in r.columns], dim=1)
        for r in reactions
    }
    flat = {name: m.flatten(0, 1) for name, m in found.items()}
    solved = torch.func.vmap(lambda one: dict(solve(one)))(flat)
    return (
        torch.cat([m.flatten(2) for m in found.values()], dim=2),
        torch.cat([solved[name].view_as(m).flatten(2) for name, m in found.items()], dim=2),
        torch.cat([r.gradient.new_full((r.gradient.numel(),), r.decay) for r in reactions]),
    )
