"""Initial weights of torch networks, drawn from a named stream."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import nn

from strategic_envs.errors import InvalidGameError
from strategic_envs.seeding import torch_stream

__all__ = ["initialise"]

Network = TypeVar("Network", bound=nn.Module)

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def initialise(module: Network, seed: int, gain: float = 0.8) -> Network:
    """Draws the weights of every layer anew: normal, of standard deviation `gain * sqrt(2 / fan in)`; biases are zero.

    Every layer has a stream of its own, named after it, so that a layer more does not change the others. Norms begin
    as the identity, their running statistics too. Numbers are drawn in float64 and rounded.

    Args:
        module: The network; it is changed in place.
        seed: The seed of the weights.
        gain: The factor of the standard deviation; 1 is the rule of He et al.

    Returns:
        The module itself.

    Raises:
        InvalidGameError: If the gain is not a finite number >= 0, or a layer is neither linear, nor a convolution, nor
            a norm; it is named, and nothing has changed.

    Source:
        He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, equation 10.

    Example:
        >>> layer = initialise(nn.Linear(200, 100), seed=0, gain=1.0)
        >>> round(layer.weight.std().item(), 2), layer.bias.abs().max().item()
        (0.1, 0.0)
    """
    if not (math.isfinite(gain) and gain >= 0):
        raise InvalidGameError(f"got gain={gain}, expected a finite number >= 0, such as 0.8")
    owners = {name: m for name, m in module.named_modules() if next(m.parameters(recurse=False), None) is not None}
    for name, layer in owners.items():
        if not isinstance(layer, _LAYERS + _NORMS):
            raise InvalidGameError(
                f"layer {name or 'itself'} ({type(layer).__name__}): got a layer whose initial weights are not known "
                "here, expected linear layers, convolutions and norms: initialise it yourself"
            )
    with torch.no_grad():
        for name, layer in owners.items():
            if isinstance(layer, _NORMS):
                layer.reset_parameters()
            elif isinstance(layer, _LAYERS):
                weight, generator = layer.weight, torch_stream(seed, "initialise", name)
                drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
                weight.copy_(drawn * (gain * math.sqrt(2 / weight[0].numel())))
                if layer.bias is not None:
                    layer.bias.zero_()
    return module
