"""What a batch says about a layer's curvature: sums over its samples."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from strategic_envs.baselines.optimizers.layers import columns_of, conv_of, is_kronecker
from strategic_envs.baselines.optimizers.norms import norm_parts
from strategic_envs.games.networks.units import Unit

__all__ = ["input_gram", "is_diagonal", "output_gram", "sample_gradients"]

_FEW = 16


@torch.no_grad()
def input_gram(unit: Unit, a: Float[Tensor, "samples ..."]) -> Float[Tensor, "columns columns"]:
    """The sum over samples and locations of `p p^T`, `p` the patches that the layer's matrix is applied to.

    Example:
        >>> input_gram(Unit("fc", torch.nn.Linear(1, 1), "linear", 0), torch.tensor([[2.0], [3.0]]))
        tensor([[13.,  5.],
                [ 5.,  2.]])
    """
    if unit.kind == "conv":
        conv = conv_of(unit)
        if conv.weight[0].numel() < _FEW:  # a product of few rows with itself is slow: one small product a sample
            columns = columns_of(conv, a)
            gram, total, count = (columns @ columns.mT).sum(0), columns.sum((0, 2)), len(a) * columns.shape[2]
        else:
            columns = columns_of(conv, a, samples_last=True)
            gram, total, count = columns @ columns.mT, columns.sum(1), columns.shape[1]
    else:
        rows = a.reshape(-1, a.shape[-1])
        gram, total, count = rows.mT @ rows, rows.sum(0), rows.shape[0]
    if unit.module.bias is None:
        return gram
    last = torch.cat([total, total.new_full((1,), count)])
    return torch.cat([torch.cat([gram, total.unsqueeze(0)]), last.unsqueeze(1)], dim=1)


@torch.no_grad()
def output_gram(unit: Unit, h: Float[Tensor, "samples ..."]) -> Float[Tensor, "out out"]:
    """The sum over samples, and the mean over locations, of `h h^T`.

    Example:
        >>> output_gram(Unit("fc", torch.nn.Linear(1, 1), "linear", 0), torch.tensor([[2.0], [3.0]]))
        tensor([[13.]])
    """
    if unit.kind == "conv":
        rows = h.flatten(2).transpose(0, 1).reshape(h.shape[1], -1)
        return (rows @ rows.mT).mul_(h.shape[0] / rows.shape[1])
    rows = h.reshape(-1, h.shape[-1])
    return (rows.mT @ rows).mul_(h.shape[0] / rows.shape[0])


@torch.no_grad()
def sample_gradients(
    unit: Unit, a: Shaped[Tensor, "samples ..."], h: Float[Tensor, "samples ..."]
) -> Float[Tensor, "samples out columns"]:
    """Each sample's gradient in matrix form: for linear layers, convolutions and norms.

    Example:
        >>> a, h = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [10.0]])
        >>> sample_gradients(Unit("fc", torch.nn.Linear(1, 1), "linear", 0), a, h)
        tensor([[[ 1.,  1.]],
        <BLANKLINE>
                [[20., 10.]]])
    """
    if unit.kind == "norm":
        return torch.stack(norm_parts(unit, a, h, dims=(1,)), dim=2)
    if unit.kind == "conv":
        columns, rows = columns_of(conv_of(unit), a), h.flatten(2)
        groups = conv_of(unit).groups
        within = columns.unflatten(1, (groups, -1)).flatten(0, 1)
        weights = (rows.unflatten(1, (groups, -1)).flatten(0, 1) @ within.mT).unflatten(0, (-1, groups)).flatten(1, 2)
    else:
        rows = h.reshape(h.shape[0], -1, h.shape[-1]).mT
        weights = rows @ a.reshape(a.shape[0], -1, a.shape[-1])
    return weights if unit.module.bias is None else torch.cat([weights, rows.sum(2, keepdim=True)], dim=2)


def is_diagonal(unit: Unit) -> bool:
    """Whether the Kronecker curvatures keep a diagonal for the layer: norms and convolutions in several groups."""
    return unit.kind == "norm" or (unit.kind == "conv" and not is_kronecker(unit))
