"""Small networks written by hand for one sample, as stages of the dense reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tests.agents.dgnopt.dense import Stage


def affine(theta: Tensor, x: Tensor) -> Tensor:
    """(W b)(x 1)', theta in rows of one output each."""
    matrix = theta.view(-1, len(x) + 1)
    return matrix[:, :-1] @ x + matrix[:, -1]


def chain(names: Sequence[str], f: Callable[[Tensor], Tensor]) -> list[Stage]:
    """A perceptron: one layer a stage."""
    inner = [Stage(lambda x, th: f(affine(th[0], x)), [name]) for name in names[:-1]]
    return [*inner, Stage(lambda x, th: affine(th[0], x), [names[-1]])]


def residual(widths: Sequence[int], f: Callable[[Tensor], Tensor], alignment: str) -> list[Stage]:
    """Stem, residual blocks with projections, head; the state holds a block's parallel tensors one after the other."""
    stages = [Stage(lambda x, th: f(affine(th[0], x)), ["stem"])]
    for k, width in enumerate(widths):
        names = [f"blocks.{k}.{part}" for part in ("first", "second", "shortcut")]
        if alignment == "late":
            stages.append(Stage(lambda z, th: torch.cat([f(affine(th[0], z)), z]), names[:1]))
            stages.append(
                Stage(lambda x, th, w=width: f(affine(th[0], x[:w]) + affine(th[1], x[w:])), [names[1], names[2]])
            )
        else:
            stages.append(Stage(lambda z, th: torch.cat([f(affine(th[0], z)), affine(th[1], z)]), [names[0], names[2]]))
            stages.append(Stage(lambda x, th, w=width: f(affine(th[0], x[:w]) + x[w:]), names[1:2]))
    return [*stages, Stage(lambda x, th: affine(th[0], x), ["head"])]


def convolutions(shape: tuple[int, int, int], channels: Sequence[int], f: Callable[[Tensor], Tensor]) -> list[Stage]:
    """3x3 convolutions with stride 2, then a linear head on all pixels: layers 0, 2, 4, ... of an nn.Sequential."""
    stages, size = [], shape
    for k, out in enumerate(channels):

        def step(x: Tensor, th: Sequence[Tensor], size: tuple[int, int, int] = size, out: int = out) -> Tensor:
            matrix = th[0].view(out, -1)
            weight, bias = matrix[:, :-1].reshape(out, size[0], 3, 3), matrix[:, -1]
            return f(nn.functional.conv2d(x.view(1, *size), weight, bias, stride=2, padding=1)).flatten()

        stages.append(Stage(step, [str(2 * k)]))
        size = (out, (size[1] + 1) // 2, (size[2] + 1) // 2)
    return [*stages, Stage(lambda x, th: affine(th[0], x), [str(2 * len(channels) + 1)])]


def parameters(module: nn.Module) -> dict[str, Tensor]:
    """Each layer's weight and bias as one flat vector, rows of one output each."""
    found = {}
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            assert layer.bias is not None
            rows = torch.cat([layer.weight.detach().flatten(1), layer.bias.detach()[:, None]], 1)
            found[name] = rows.flatten().clone()
    return found
