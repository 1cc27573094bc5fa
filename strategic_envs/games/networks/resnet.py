"""ResNet18 for images of 32 x 32 pixels."""

from __future__ import annotations

from torch import nn

from strategic_envs.games.networks.plain import check_widths
from strategic_envs.games.networks.residual import ResidualNetwork, conv_block, norm_named

__all__ = ["resnet18"]


def resnet18(classes: int = 10, width: int = 64, channels_in: int = 3, *, norm: str = "batch") -> ResidualNetwork:
    """ResNet18 as it is used on CIFAR: a 3 x 3 stem without pooling, eight blocks, the mean over pixels, a linear head.

    Only the three blocks that halve the image have a shortcut with weights; the others carry their input.

    Args:
        classes: The number of outputs.
        width: The channels of the first two blocks; they double with every second block.
        channels_in: The channels of an image.
        norm: `batch`, `group` or `none`, after every convolution.

    Returns:
        A network from `(B, channels_in, H, W)` to `(B, classes)`, named as `residual_conv`'s.

    Raises:
        InvalidGameError: If a width is no whole number >= 1.
        UnknownNameError: If there is no such norm.

    Source:
        He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, table 1.

    Example:
        >>> sum(p.numel() for p in resnet18().parameters())
        11173962
    """
    check_widths("resnet18", classes=classes, width=width, channels_in=channels_in)
    blocks, before = [], width
    for k in range(8):
        after, stride = width * 2 ** (k // 2), 2 if k in (2, 4, 6) else 1
        blocks.append(conv_block(before, after, stride, project=stride == 2, norm=norm))
        before = after
    stem = nn.Conv2d(channels_in, width, 3, padding=1, bias=norm == "none")
    return ResidualNetwork(stem, blocks, nn.Linear(before, classes), stem_norm=norm_named(norm, width), pixels=True)
