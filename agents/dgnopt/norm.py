"""Units that behave differently in the two forward passes and the two backward passes: BatchNorm and dropout.

BatchNorm in training mode couples the samples of a batch. The gradient needs the full derivative; the per-sample
factors of the value function must not see other samples, so for them the mean and the variance of the batch count as
constants. One forward pass serves both: a switch says which derivative the next backward pass takes. Running
statistics move in the first pass only, and a dropout mask of the first pass is used again in the second.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Switch", "batch_norm", "couples_samples", "dropout_mask"]


class Switch:
    """Which derivative of BatchNorm the backward pass takes: `constant` counts the batch statistics as constants."""

    def __init__(self) -> None:
        self.constant = False


class _BatchNorm(torch.autograd.Function):
    """BatchNorm with batch statistics and the derivative that a switch chooses."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running: tuple[Tensor | None, Tensor | None],
        momentum: float,
        eps: float,
        switch: Switch,
    ) -> Tensor:
        y, mean, inverse = torch.native_batch_norm(x, weight, bias, *running, True, momentum, eps)
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.eps, ctx.switch = eps, switch
        return y

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        (h,) = cotangents
        x, weight, mean, inverse = ctx.saved_tensors
        if ctx.switch.constant:
            slope = inverse if weight is None else inverse * weight
            return (h * slope.view(-1, *[1] * (x.ndim - 2)).to(h.dtype), *[None] * 6)
        affine = weight is not None
        dx, dweight, dbias = torch.ops.aten.native_batch_norm_backward(
            h, x, weight, None, None, mean, inverse, True, ctx.eps, [True, affine, affine]
        )
        return (dx, dweight if affine else None, dbias if affine else None, *[None] * 4)


def couples_samples(module: nn.Module) -> bool:
    """Whether the module normalises with the statistics of the batch, as it stands now.

    Example:
        >>> couples_samples(nn.BatchNorm1d(3)), couples_samples(nn.BatchNorm1d(3).eval()), couples_samples(nn.ReLU())
        (True, False, False)
    """
    if not isinstance(module, nn.modules.batchnorm._BatchNorm):
        return False
    return module.training or module.running_mean is None


def batch_norm(
    module: nn.Module, x: Float[Tensor, "B C *rest"], switch: Switch, *, update: bool
) -> Float[Tensor, "B C *rest"]:
    """The module's output from batch statistics; its running statistics move only where `update` is true.

    Args:
        module: A BatchNorm that `couples_samples`.
        x: Its input.
        switch: Decides the derivative when the backward pass runs.
        update: Whether this pass moves the running statistics.

    Example:
        >>> bn, x = nn.BatchNorm1d(2), torch.tensor([[0.0, 1.0], [2.0, 5.0]])
        >>> same = torch.equal(batch_norm(bn, x, Switch(), update=False), nn.BatchNorm1d(2)(x))
        >>> same, float(bn.running_mean[0])
        (True, 0.0)
    """
    assert isinstance(module, nn.modules.batchnorm._BatchNorm)
    running, momentum = (None, None), 0.0
    if update and module.training and module.running_mean is not None:
        running = (module.running_mean, module.running_var)
        tracked = module.num_batches_tracked
        if tracked is not None:
            tracked.add_(1)
        momentum = 1.0 / float(tracked) if module.momentum is None and tracked is not None else module.momentum or 0.0
    return _BatchNorm.apply(x, module.weight, module.bias, running, momentum, module.eps, switch)


def dropout_mask(module: nn.Module, x: Float[Tensor, "B *rest"], generator: torch.Generator) -> Tensor | None:
    """What a dropout layer multiplies its input with, drawn from `generator`; None where it does nothing.

    Args:
        module: `nn.Dropout`, or one that drops whole channels (`Dropout1d`, `2d`, `3d`).
        x: Its input.
        generator: On the input's device.

    Example:
        >>> mask = dropout_mask(nn.Dropout(0.5), torch.ones(2, 3), torch.Generator().manual_seed(0))
        >>> mask.shape, sorted(set(mask.flatten().tolist()))
        (torch.Size([2, 3]), [0.0, 2.0])
    """
    p = float(getattr(module, "p", 0.0))
    if not module.training or p == 0.0:
        return None
    channels = isinstance(module, nn.Dropout1d | nn.Dropout2d | nn.Dropout3d)
    shape = (*x.shape[:2], *[1] * (x.ndim - 2)) if channels else x.shape
    kept = torch.rand(shape, generator=generator, device=x.device) >= p
    return kept.to(x.dtype) / (1 - p) if p < 1 else torch.zeros_like(x)
