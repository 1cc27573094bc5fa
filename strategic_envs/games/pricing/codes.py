"""Numbers and their digits: joint prices and states are coded as whole numbers."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

__all__ = ["digits", "number"]


def digits(code: Int[Tensor, "*batch"], base: int, count: int) -> Int[Tensor, "*batch count"]:
    """The digits of numbers in a base, most significant first.

    Example:
        >>> digits(torch.tensor(52), 15, 2).tolist()
        [3, 7]
    """
    powers = torch.tensor([base**j for j in reversed(range(count))], dtype=torch.int64, device=code.device)
    return code.unsqueeze(-1) // powers % base


def number(parts: Int[Tensor, "*batch count"], base: int) -> Int[Tensor, "*batch"]:
    """The numbers whose digits these are.

    Example:
        >>> int(number(torch.tensor([3, 7]), 15))
        52
    """
    count = parts.shape[-1]
    powers = torch.tensor([base**j for j in reversed(range(count))], dtype=torch.int64, device=parts.device)
    return (parts * powers).sum(-1)
