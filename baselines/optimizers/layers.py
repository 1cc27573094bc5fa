"""The matrix form of a layer's parameters, and what a layer does with it.

A unit is a layer with parameters. Its parameters are one matrix: for a linear layer or a convolution `out` rows and
`in * k * k` columns, and one more column for the bias (its input is then a constant 1); for a norm one row a channel,
with the columns gamma and beta; for any other layer a single row. In this form a change of the parameters, a gradient
and a preconditioned gradient are the same kind of object, and optimizers need not know layers apart.

Everything here works without autograd on detached tensors: `a` is what the layer reads, `h` is the derivative of each
sample's own loss by what the layer writes, not divided by the number of samples.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812  the usual name
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from strategic_envs.baselines.optimizers.norms import channel_shape, norm_parts, normalised, refused
from strategic_envs.games.networks.units import Unit

__all__ = [
    "add_matrix_",
    "gradient_matrix",
    "is_kronecker",
    "locations",
    "normalised",
    "parameters_matrix",
    "patches",
    "wapply",
    "wgrad",
]


def is_kronecker(unit: Unit) -> bool:
    """Whether the layer is one matrix applied to patches of its input: linear, and convolution in one group.

    Example:
        >>> [is_kronecker(Unit("a", m, k, 0)) for m, k in [(nn.Linear(2, 1), "linear"), (nn.LayerNorm(2), "norm")]]
        [True, False]
    """
    return unit.kind == "linear" or (unit.kind == "conv" and conv_of(unit).groups == 1)


def parameters_matrix(unit: Unit) -> Float[Tensor, "out columns"]:
    """A copy of the layer's parameters in matrix form, detached.

    Example:
        >>> layer = nn.Conv2d(3, 8, 5)
        >>> parameters_matrix(Unit("conv", layer, "conv", 0)).shape
        torch.Size([8, 76])
    """
    return _matrix(unit, [p.detach() for p in _parameters(unit)])


def gradient_matrix(unit: Unit) -> Float[Tensor, "out columns"] | None:
    """The parameters' `.grad` in matrix form, zero where a parameter has none; None if none has one.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> layer(torch.ones(4, 2)).mean().backward()
        >>> gradient_matrix(Unit("fc", layer, "linear", 0))
        tensor([[1., 1., 1.]])
    """
    parameters = _parameters(unit)
    if all(p.grad is None for p in parameters):
        return None
    return _matrix(unit, [torch.zeros_like(p) if p.grad is None else p.grad.detach() for p in parameters])


@torch.no_grad()
def add_matrix_(unit: Unit, delta: Float[Tensor, "out columns"], alpha: float = 1.0) -> None:
    """Adds `alpha * delta`, in matrix form, to the layer's parameters in place, but to none that is frozen.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> before = layer.bias.clone()
        >>> add_matrix_(Unit("fc", layer, "linear", 0), torch.ones(1, 3), alpha=0.5)
        >>> bool((layer.bias - before).isclose(torch.tensor(0.5)))
        True
    """
    parameters = _parameters(unit)
    sizes = [p.numel() if unit.kind == "other" else p[0].numel() for p in parameters]
    if unit.kind == "norm":
        sizes = [1] * len(parameters)
    for parameter, part in zip(parameters, delta.split(sizes, dim=1), strict=True):
        if parameter.requires_grad:
            parameter.add_(part.reshape(parameter.shape), alpha=alpha)


@torch.no_grad()
def wgrad(
    unit: Unit, a: Shaped[Tensor, "samples ..."], h: Float[Tensor, "samples ..."]
) -> Float[Tensor, "out columns"]:
    """The mean over samples of the derivative of each sample's loss by the layer's parameters, in matrix form.

    Args:
        unit: The layer.
        a: What it reads, samples first.
        h: The derivative of each sample's own loss by what it writes (not divided by the number of samples).

    Example:
        >>> a, h = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0], [0.0]])
        >>> wgrad(Unit("fc", nn.Linear(2, 1), "linear", 0), a, h)
        tensor([[0.5000, 1.0000, 0.5000]])
    """
    samples, biased = h.shape[0], getattr(unit.module, "bias", None) is not None
    if unit.kind == "linear":
        rows = h.reshape(-1, h.shape[-1])
        parts = [rows.mT @ a.reshape(-1, a.shape[-1])]
        if biased:
            parts.append(rows.sum(0))
    elif unit.kind == "conv":
        conv = conv_of(unit)
        inputs, padding = _padded(conv, a)
        plain = [0] * len(padding)
        bias_sizes = [conv.out_channels] if biased else None
        by_weight = (False, True, biased)
        _, weight, bias = torch.ops.aten.convolution_backward(
            h,
            inputs,
            conv.weight,
            bias_sizes,
            conv.stride,
            padding,
            conv.dilation,
            False,
            plain,
            conv.groups,
            by_weight,
        )
        parts = [weight, bias] if biased else [weight]
    elif unit.kind == "norm":
        parts = norm_parts(unit, a, h, dims=(0, 1))
    else:
        with torch.enable_grad():
            parts = list(torch.autograd.grad(unit.module(a.detach()), _parameters(unit), h, materialize_grads=True))
    return _matrix(unit, parts).div_(samples)


def wapply(unit: Unit, a: Shaped[Tensor, "samples ..."], matrix: Float[Tensor, "out columns"]) -> Tensor:
    """What the layer writes more when `matrix` is added to its parameters; linear in `matrix`.

    For a linear layer, a convolution or a norm this is the layer itself with those parameters; for any other layer the
    derivative in that direction.

    Example:
        >>> layer = Unit("fc", nn.Linear(2, 1), "linear", 0)
        >>> wapply(layer, torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0, 10.0]]))
        tensor([[13.]])
    """
    if unit.kind == "linear":
        columns = a.shape[-1]
        bias = matrix[:, columns] if matrix.shape[1] > columns else None
        return F.linear(a, matrix[:, :columns], bias)
    if unit.kind == "conv":
        conv = conv_of(unit)
        columns = conv.weight[0].numel()
        bias = matrix[:, columns].contiguous() if matrix.shape[1] > columns else None
        return conv._conv_forward(a, matrix[:, :columns].reshape(conv.weight.shape), bias)
    if unit.kind == "norm":
        scale = matrix.mT.unflatten(1, channel_shape(unit, a.dim()))
        change = 0.0
        if unit.module.weight is not None:
            change = normalised(unit, a) * scale[0]
        if getattr(unit.module, "bias", None) is not None:
            change = change + scale[-1]
        return change + torch.zeros_like(a)
    return _derivative(unit, a, matrix)


@torch.no_grad()
def patches(unit: Unit, a: Float[Tensor, "samples ..."]) -> Float[Tensor, "samples L columns"]:
    """What the layer's matrix is applied to, at each of `L` output locations: with a final 1 if it has a bias.

    For a linear layer the locations are the dimensions between the first and the last, usually none (`L = 1`).

    Raises:
        InvalidGameError: For a layer that is no single matrix: a norm, a convolution in several groups.

    Example:
        >>> patches(Unit("conv", nn.Conv2d(3, 8, 5, stride=2), "conv", 0), torch.ones(4, 3, 9, 9)).shape
        torch.Size([4, 9, 76])
    """
    _need_kronecker(unit)
    rows = columns_of(conv_of(unit), a).mT if unit.kind == "conv" else a.reshape(a.shape[0], -1, a.shape[-1])
    if unit.module.bias is None:
        return rows
    return torch.cat([rows, rows.new_ones(*rows.shape[:2], 1)], dim=2)


def locations(unit: Unit, h: Float[Tensor, "samples ..."]) -> Float[Tensor, "samples L out"]:
    """The derivative by what the layer writes, one row a location, beside the rows of `patches`.

    Raises:
        InvalidGameError: For a layer that is no single matrix: a norm, a convolution in several groups.

    Example:
        >>> locations(Unit("conv", nn.Conv2d(3, 8, 5), "conv", 0), torch.ones(4, 8, 5, 5)).shape
        torch.Size([4, 25, 8])
    """
    _need_kronecker(unit)
    return h.flatten(2).mT if unit.kind == "conv" else h.reshape(h.shape[0], -1, h.shape[-1])


def columns_of(
    conv: nn.modules.conv._ConvNd, a: Float[Tensor, "samples ..."], *, samples_last: bool = False
) -> Float[Tensor, "*samples rows columns"]:
    """The patches of a convolution as columns, `im2col` in one, two or three dimensions: `(samples, in * k * k, L)`.

    With `samples_last` they are one matrix `(in * k * k, samples * L)`.
    """
    x, padding = _padded(conv, a)
    if any(padding):
        x = F.pad(x, [p for pad in reversed(padding) for p in (pad, pad)])
    kernel, stride, dilation = conv.kernel_size, conv.stride, conv.dilation
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    outs = [(n - span) // s + 1 for n, span, s in zip(x.shape[2:], spans, stride, strict=True)]
    by_sample, by_channel, *steps = x.stride()
    within = [step * d for step, d in zip(steps, dilation, strict=True)]
    across = [step * s for step, s in zip(steps, stride, strict=True)]
    (samples, channels), k, L = x.shape[:2], math.prod(kernel), math.prod(outs)
    if samples_last:
        view = x.as_strided((channels, *kernel, samples, *outs), (by_channel, *within, by_sample, *across))
        return view.reshape(channels * k, samples * L)
    view = x.as_strided((samples, channels, *kernel, *outs), (by_sample, by_channel, *within, *across))
    return view.reshape(samples, channels * k, L)


def _derivative(unit: Unit, a: Tensor, matrix: Tensor) -> Tensor:
    """The derivative of what a layer writes by its parameters, along `matrix`: by differentiating backwards twice."""
    parameters = _parameters(unit)
    with torch.enable_grad():
        out = unit.module(a.detach())
        weights = torch.zeros_like(out, requires_grad=True)
        gradients = torch.autograd.grad(out, parameters, weights, create_graph=True)
        parts = matrix[0].split([p.numel() for p in parameters])
        along = sum(((g * part.view_as(g)).sum() for g, part in zip(gradients, parts, strict=True)), out.new_zeros(()))
        return torch.autograd.grad(along, weights)[0]


def _parameters(unit: Unit) -> list[nn.Parameter]:
    if unit.kind == "other":
        return list(unit.module.parameters())
    return [p for name in ("weight", "bias") if (p := getattr(unit.module, name, None)) is not None]


def _matrix(unit: Unit, parts: list[Tensor]) -> Tensor:
    if unit.kind == "other":
        rows = [part.reshape(1, -1) for part in parts]
    elif unit.kind == "norm":
        rows = [part.reshape(-1, 1) for part in parts]
    else:
        rows = [part.reshape(part.shape[0], -1) for part in parts]
    return torch.cat(rows, dim=1)  # also with one part: a copy of its own


def _padded(conv: nn.modules.conv._ConvNd, a: Tensor) -> tuple[Tensor, list[int]]:
    """The input, and the zeros that remain to be put around it: none if the padding is uneven or no zeros."""
    both_ends = conv._reversed_padding_repeated_twice  # of the last dimension first, as F.pad wants it
    if conv.padding_mode != "zeros":
        return F.pad(a, both_ends, mode=conv.padding_mode), [0] * len(conv.kernel_size)
    ends = list(zip(both_ends[::2], both_ends[1::2], strict=True))[::-1]
    if any(before != after for before, after in ends):
        return F.pad(a, both_ends), [0] * len(ends)
    return a, [before for before, _ in ends]


def conv_of(unit: Unit) -> nn.modules.conv._ConvNd:
    """The convolution that the unit is.

    Raises:
        InvalidGameError: If it is none, or a transposed one.
    """
    if isinstance(unit.module, nn.modules.conv._ConvNd) and not unit.module.transposed:
        return unit.module
    raise refused(unit, "is no ordinary convolution: take it as kind 'other', with plain gradient steps")


def _need_kronecker(unit: Unit) -> None:
    if not is_kronecker(unit):
        raise refused(
            unit, "is no single matrix applied to patches, as linear layers and convolutions in one group are"
        )
