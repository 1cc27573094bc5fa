"""Residual networks: two layers and a shortcut around them, as a perceptron and as a convolutional network.

A block is `a = f(W1 z)`, `z' = f(W2 a + S z)`; the shortcut S is a linear map of its own (a third player, which may
move together with `W1` or with `W2`) or the identity (no player: the tensor is carried).

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016; as players: Liu, Chen and Theodorou,
"Dynamic Game Theoretic Neural Optimizer", ICML 2021, figures 2 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import no_type_check

from torch import nn

from strategic_envs.errors import InvalidGameError, UnknownNameError
from strategic_envs.games.networks.plain import activation_named, check_widths

__all__ = ["NORMS", "ResidualBlock", "ResidualNetwork", "norm_named", "residual_conv", "residual_mlp"]

NORMS = ("none", "batch", "group")
_SHORTCUTS = ("projection", "identity")


class ResidualBlock(nn.Module):
    """Two layers with a shortcut around them: `f(norm(second(f(norm(first(z))))) + shortcut(z))`.

    Args:
        first: The layer W1.
        second: The layer W2.
        shortcut: The layer S; None carries the input itself.
        norms: A norm after each of the three, or None where there is none.
        activation: The name of f.
    """

    def __init__(
        self,
        first: nn.Module,
        second: nn.Module,
        shortcut: nn.Module | None = None,
        *,
        norms: tuple[nn.Module | None, nn.Module | None, nn.Module | None] = (None, None, None),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.first, self.first_norm = first, norms[0]
        self.second, self.second_norm = second, norms[1]
        self.shortcut, self.shortcut_norm = shortcut, norms[2]
        self.activation = activation_named(activation)

    @no_type_check  # torch.fx passes proxies for tensors
    def forward(self, z):
        """The block's output, `(B, ...)`."""
        a = self.first(z)
        if self.first_norm is not None:
            a = self.first_norm(a)
        main = self.second(self.activation(a))
        if self.second_norm is not None:
            main = self.second_norm(main)
        side = z if self.shortcut is None else self.shortcut(z)
        if self.shortcut_norm is not None:
            side = self.shortcut_norm(side)
        return self.activation(main + side)


class ResidualNetwork(nn.Module):
    """A stem, residual blocks, and a linear head, which reads the means over the pixels where there are pixels.

    Args:
        stem: The first layer.
        blocks: The residual blocks.
        head: The last, linear layer.
        stem_norm: A norm after the stem, if any.
        activation: The name of the activation after the stem.
        pixels: Whether the blocks give `(B, C, H, W)`.
    """

    def __init__(
        self,
        stem: nn.Module,
        blocks: Sequence[nn.Module],
        head: nn.Module,
        *,
        stem_norm: nn.Module | None = None,
        activation: str = "relu",
        pixels: bool = False,
    ) -> None:
        super().__init__()
        self.stem, self.stem_norm = stem, stem_norm
        self.blocks = nn.ModuleList(blocks)
        self.head = head
        self.activation, self.pixels = activation_named(activation), pixels

    @no_type_check  # torch.fx passes proxies for tensors
    def forward(self, inputs):
        """The outputs `(B, classes)`."""
        z = self.stem(inputs)
        if self.stem_norm is not None:
            z = self.stem_norm(z)
        z = self.activation(z)
        for block in self.blocks:
            z = block(z)
        return self.head(z.mean(dim=(2, 3)) if self.pixels else z)


def residual_mlp(
    inputs: int = 64,
    widths: Sequence[int] = (64, 48, 32),
    stem: int = 64,
    classes: int = 10,
    *,
    shortcut: str = "projection",
    activation: str = "relu",
) -> ResidualNetwork:
    """A residual perceptron: a linear stem, one block a width, a linear head.

    Args:
        inputs: The number of features of a sample.
        widths: The width of each block.
        stem: The width of the stem.
        classes: The number of outputs.
        shortcut: `projection` gives every block a linear shortcut, a player; `identity` carries the input, which needs
            the same width everywhere.
        activation: `relu`, `tanh`, `sigmoid`, `gelu` or `identity`.

    Returns:
        A network from `(B, inputs)` to `(B, classes)`, its layers named `stem`, `blocks.0.first`, `blocks.0.second`,
        `blocks.0.shortcut`, ..., `head`.

    Raises:
        InvalidGameError: If a width is no whole number >= 1, or an identity would have to change the width.
        UnknownNameError: If there is no such shortcut or activation.

    Example:
        >>> sum(p.numel() for p in residual_mlp().parameters())
        29754
    """
    check_widths("residual_mlp", inputs=inputs, widths=widths, stem=stem, classes=classes)
    blocks, before = [], stem
    for k, width in enumerate(widths):
        project = _projects("residual_mlp", shortcut, k, before, width)
        side = nn.Linear(before, width) if project else None
        blocks.append(ResidualBlock(nn.Linear(before, width), nn.Linear(width, width), side, activation=activation))
        before = width
    return ResidualNetwork(nn.Linear(inputs, stem), blocks, nn.Linear(before, classes), activation=activation)


def residual_conv(
    channels_in: int = 1,
    widths: Sequence[int] = (8, 16, 16),
    strides: Sequence[int] = (1, 2, 2),
    stem: int = 8,
    classes: int = 10,
    *,
    shortcut: str = "projection",
    norm: str = "none",
    activation: str = "relu",
) -> ResidualNetwork:
    """A residual convolutional network: a 3 x 3 stem, blocks of two 3 x 3 layers, the mean over pixels, a linear head.

    Args:
        channels_in: The channels of an image.
        widths: The channels of each block.
        strides: The stride of each block's first layer and of its shortcut.
        stem: The channels of the stem.
        classes: The number of outputs.
        shortcut: `projection` gives every block a 1 x 1 shortcut, a player; `identity` carries the input, which needs
            the same channels and stride 1 everywhere.
        norm: `none`, `batch` or `group` (of 4 channels, or one group), after every convolution.
        activation: `relu`, `tanh`, `sigmoid`, `gelu` or `identity`.

    Returns:
        A network from `(B, channels_in, H, W)` to `(B, classes)`, named as `residual_mlp`'s; norms are `first_norm`,
        `second_norm`, `shortcut_norm` and `stem_norm`.

    Raises:
        InvalidGameError: If a width or stride is no whole number >= 1, there are not as many strides as widths, or an
            identity would have to change the shape.
        UnknownNameError: If there is no such shortcut, norm or activation.

    Example:
        >>> import torch
        >>> residual_conv()(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    check_widths("residual_conv", channels_in=channels_in, widths=widths, strides=strides, stem=stem, classes=classes)
    if len(widths) != len(strides):
        raise InvalidGameError(f"residual_conv: got {len(widths)} widths and {len(strides)} strides, expected as many")
    blocks, before = [], stem
    for k, (width, stride) in enumerate(zip(widths, strides, strict=True)):
        project = _projects("residual_conv", shortcut, k, (before, stride), (width, 1))
        blocks.append(conv_block(before, width, stride, project=project, norm=norm, activation=activation))
        before = width
    return ResidualNetwork(
        _conv(channels_in, stem, 3, 1, norm),
        blocks,
        nn.Linear(before, classes),
        stem_norm=norm_named(norm, stem),
        activation=activation,
        pixels=True,
    )


def conv_block(
    before: int, width: int, stride: int, *, project: bool, norm: str = "none", activation: str = "relu"
) -> ResidualBlock:
    """A residual block of two 3 x 3 convolutions, with a 1 x 1 shortcut if it projects."""
    return ResidualBlock(
        _conv(before, width, 3, stride, norm),
        _conv(width, width, 3, 1, norm),
        _conv(before, width, 1, stride, norm) if project else None,
        norms=(norm_named(norm, width), norm_named(norm, width), norm_named(norm, width) if project else None),
        activation=activation,
    )


def norm_named(norm: str, channels: int) -> nn.Module | None:
    """A norm of so many channels, or None for `none`.

    Raises:
        UnknownNameError: If there is no such norm.
    """
    if norm not in NORMS:
        raise UnknownNameError("norm", norm, NORMS)
    if norm == "group":
        return nn.GroupNorm(channels // 4 if channels % 4 == 0 else 1, channels)
    return nn.BatchNorm2d(channels) if norm == "batch" else None


def _conv(before: int, after: int, size: int, stride: int, norm: str) -> nn.Conv2d:
    return nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=norm == "none")  # a norm has its own


def _projects(what: str, shortcut: str, block: int, before: object, after: object) -> bool:
    if shortcut not in _SHORTCUTS:
        raise UnknownNameError("shortcut", shortcut, _SHORTCUTS)
    if shortcut == "identity" and before != after:
        raise InvalidGameError(
            f"{what}, block {block}: got shortcut='identity' from {before} to {after}, expected the same width (and "
            "stride 1), since an identity changes no shape: take shortcut='projection', or equal widths"
        )
    return shortcut == "projection"
