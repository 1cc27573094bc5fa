"""A small inception network: four branches read the same image and their outputs are laid side by side.

In a block, the 1 x 1 layers of all branches may move at once, and after them the 3 x 3 and the 5 x 5 layer. The
`single` and the `pooled` layer feed nothing inside the block: they may move at either time.

Szegedy et al., "Going deeper with convolutions", CVPR 2015, figure 2(b); as players: Liu, Chen and Theodorou, "Dynamic
Game Theoretic Neural Optimizer", ICML 2021, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import no_type_check

import torch
from torch import nn
from torch.nn import functional

from strategic_envs.games.networks.plain import activation_named, check_widths

__all__ = ["InceptionBlock", "InceptionNetwork", "inception"]


class InceptionBlock(nn.Module):
    """Four branches: 1 x 1; 1 x 1 then 3 x 3; 1 x 1 then 5 x 5; the largest of 3 x 3 pixels then 1 x 1.

    Args:
        before: The channels of the input.
        width: The channels of each branch; the output has four times as many.
        reduce: The channels that the 3 x 3 and the 5 x 5 layer read.
        activation: The name of the activation after every layer.
    """

    def __init__(self, before: int, width: int, reduce: int, *, activation: str = "relu") -> None:
        super().__init__()
        self.single = nn.Conv2d(before, width, 1)
        self.reduce3, self.conv3 = nn.Conv2d(before, reduce, 1), nn.Conv2d(reduce, width, 3, padding=1)
        self.reduce5, self.conv5 = nn.Conv2d(before, reduce, 1), nn.Conv2d(reduce, width, 5, padding=2)
        self.pooled = nn.Conv2d(before, width, 1)
        self.activation = activation_named(activation)

    @no_type_check  # torch.fx passes proxies for tensors
    def forward(self, z):
        """The four branches' outputs, `(B, 4 width, H, W)`."""
        f = self.activation
        one = f(self.single(z))
        three = f(self.conv3(f(self.reduce3(z))))
        five = f(self.conv5(f(self.reduce5(z))))
        pooled = f(self.pooled(functional.max_pool2d(z, 3, stride=1, padding=1)))
        return torch.cat([one, three, five, pooled], dim=1)


class InceptionNetwork(nn.Module):
    """A 3 x 3 stem, inception blocks with the image halved between them, means over parts of the image, a linear head.

    Args:
        stem: The first layer.
        blocks: The inception blocks.
        head: The last, linear layer.
        activation: The name of the activation after the stem.
        grid: The head reads the means over `grid` x `grid` parts of the image.
    """

    def __init__(
        self, stem: nn.Module, blocks: list[nn.Module], head: nn.Module, activation: str = "relu", grid: int = 1
    ) -> None:
        super().__init__()
        self.grid = grid
        self.stem, self.blocks, self.head = stem, nn.ModuleList(blocks), head
        self.activation = activation_named(activation)

    @no_type_check  # torch.fx passes proxies for tensors
    def forward(self, inputs):
        """The outputs `(B, classes)`."""
        z = self.activation(self.stem(inputs))
        for k, block in enumerate(self.blocks):
            z = block(z if k == 0 else functional.max_pool2d(z, 2))
        return self.head(torch.flatten(functional.adaptive_avg_pool2d(z, self.grid), 1))


def inception(
    channels_in: int = 1,
    widths: Sequence[int] = (4, 4),
    *,
    stem: int = 8,
    stride: int = 1,
    reduce: int | None = None,
    grid: int = 1,
    classes: int = 10,
    activation: str = "relu",
) -> InceptionNetwork:
    """A small inception network.

    Args:
        channels_in: The channels of an image.
        widths: The channels of each of the four branches of each block; the image is halved between two blocks.
        stem: The channels of the 3 x 3 stem.
        stride: The stem's stride.
        reduce: The channels that the 3 x 3 and the 5 x 5 layers read; by default as many as they give.
        grid: The head reads the means over `grid` x `grid` parts of the image: where things are.
        classes: The number of outputs.
        activation: `relu`, `tanh`, `sigmoid`, `gelu` or `identity`.

    Returns:
        A network from `(B, channels_in, H, W)` to `(B, classes)`, its layers named `stem`, `blocks.0.single`,
        `blocks.0.reduce3`, `blocks.0.conv3`, `blocks.0.reduce5`, `blocks.0.conv5`, `blocks.0.pooled`, ..., `head`.

    Raises:
        InvalidGameError: If a width is no whole number >= 1.
        UnknownNameError: If there is no such activation.

    Example:
        >>> inception()(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    check_widths("inception", channels_in=channels_in, widths=widths, stem=stem, stride=stride, classes=classes)
    check_widths("inception", reduce=1 if reduce is None else reduce, grid=grid)
    parts: list[nn.Module] = []
    before = stem
    for width in widths:
        parts.append(InceptionBlock(before, width, reduce or width, activation=activation))
        before = 4 * width
    first = nn.Conv2d(channels_in, stem, 3, stride=stride, padding=1)
    return InceptionNetwork(first, parts, nn.Linear(before * grid**2, classes), activation, grid)
