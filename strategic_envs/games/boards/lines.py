"""The lines of the board, and what is looked up for each of the 512 sets of cells."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Bool
from torch import Tensor

__all__ = ["FULL", "LINES", "cells_of", "has_line"]

LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))
FULL = 0b111_111_111  # all nine cells


@functools.cache
def has_line(device: torch.device) -> Bool[Tensor, " 512"]:
    """For each set of cells, whether it holds a line.

    Example:
        >>> int(has_line(torch.device("cpu")).sum())
        282
    """
    cells = torch.arange(512, device=device)
    lines = torch.tensor([sum(1 << c for c in line) for line in LINES], device=device)
    return (cells.unsqueeze(-1) & lines == lines).any(-1)


@functools.cache
def cells_of(device: torch.device) -> Bool[Tensor, "512 9"]:
    """For each set of cells, which cells it holds.

    Example:
        >>> cells_of(torch.device("cpu"))[0b101].nonzero().flatten().tolist()
        [0, 2]
    """
    return (torch.arange(512, device=device).unsqueeze(-1) >> torch.arange(9, device=device) & 1).bool()
