"""What norms do with their input: centre and scale it, then multiply by gamma and add beta."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812  the usual name
from jaxtyping import Float
from torch import Tensor, nn

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.networks.units import Unit

__all__ = ["channel_shape", "norm_parts", "norm_rows", "normalised", "refused"]


@torch.no_grad()
def normalised(unit: Unit, a: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """What a norm multiplies by gamma: its input, centred and scaled. Running statistics are read, never moved.

    Raises:
        InvalidGameError: For a layer that is no norm.

    Example:
        >>> normalised(Unit("n", nn.LayerNorm(2), "norm", 0), torch.tensor([[1.0, 3.0]])).round(decimals=3)
        tensor([[-1.,  1.]])
    """
    m = unit.module
    if isinstance(m, nn.modules.batchnorm._BatchNorm):
        batch = m.training or m.running_mean is None
        mean, variance = (None, None) if batch else (m.running_mean, m.running_var)
        return F.batch_norm(a, mean, variance, None, None, batch, 0.0, m.eps)
    if isinstance(m, nn.modules.instancenorm._InstanceNorm):
        sample = m.training or m.running_mean is None
        mean, variance = (None, None) if sample else (m.running_mean, m.running_var)
        return F.instance_norm(a, mean, variance, None, None, sample, 0.0, m.eps)
    if isinstance(m, nn.LayerNorm):
        return F.layer_norm(a, m.normalized_shape, None, None, m.eps)
    if isinstance(m, nn.GroupNorm):
        return F.group_norm(a, m.num_groups, None, None, m.eps)
    if isinstance(m, nn.RMSNorm):
        return F.rms_norm(a, m.normalized_shape, None, m.eps)
    raise refused(unit, "is no norm that is known: batch, instance, layer, group or root mean square")


def norm_rows(unit: Unit, value: Float[Tensor, "samples ..."]) -> Float[Tensor, "samples L channels"]:
    """A norm's input or output, one row a location, one column a channel (an entry of gamma)."""
    if isinstance(unit.module, nn.LayerNorm | nn.RMSNorm):
        return value.reshape(value.shape[0], -1, math.prod(unit.module.normalized_shape))
    return value.flatten(2).mT if value.dim() > 2 else value.unsqueeze(1)


def norm_parts(unit: Unit, a: Tensor, h: Tensor, dims: tuple[int, ...]) -> list[Tensor]:
    """The derivatives by gamma and beta, as far as there are any, summed over samples (0), locations (1) or both."""
    rows, parts = norm_rows(unit, h), []
    if unit.module.weight is not None:
        parts.append((rows * norm_rows(unit, normalised(unit, a))).sum(dims))
    if getattr(unit.module, "bias", None) is not None:
        parts.append(rows.sum(dims))
    return parts


def channel_shape(unit: Unit, dims: int) -> tuple[int, ...]:
    """The shape in which gamma meets an input of so many dimensions."""
    if isinstance(unit.module, nn.LayerNorm | nn.RMSNorm):
        return tuple(unit.module.normalized_shape)
    return (next(unit.module.parameters()).numel(), *[1] * (dims - 2))


def refused(unit: Unit, why: str) -> InvalidGameError:
    """The error that names the layer."""
    return InvalidGameError(f"layer {unit.name!r} ({type(unit.module).__name__}, kind {unit.kind!r}) {why}")
