"""The direction of a path."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["SMALLEST_SINGULAR_VALUE", "direction"]

SMALLEST_SINGULAR_VALUE = 1e-10
"""Below it the null space of `DV_{S, S + i}` is taken to have more than one dimension."""


def direction(slope: Float[Tensor, "N N"], free: Sequence[int], examined: int) -> Float[Tensor, " N"] | None:
    """The unit vector along which coordinate `examined` and those in `free` move, keeping `V_k = 0` for k in `free`.

    It spans the null space of the `|S| x (|S| + 1)` matrix `A = DV_{S, S + i}`. Its sign is that for which the
    determinant of `[A^T | d]` has the sign of `(-1)^|S|`. When S is empty it is the unit vector of i.

    Args:
        slope: DV in path coordinates.
        free: S, ascending, all below `examined`.
        examined: i.

    Returns:
        d, or None where A is degenerate.

    Example:
        >>> slope = torch.tensor([[0.0, -1.0], [1.0, 0.0]])  # of a bilinear game
        >>> direction(slope, [], 1).tolist(), direction(slope, [0], 1).tolist()
        ([0.0, 1.0], [-1.0, 0.0])
    """
    d = torch.zeros(len(slope), dtype=slope.dtype)
    if not free:
        d[examined] = 1.0
        return d
    moving = [*free, examined]
    matrix = slope[list(free)][:, moving]
    if not bool(matrix.isfinite().all()):
        return None
    _, sizes, vectors = torch.linalg.svd(matrix)
    if float(sizes[-1]) < SMALLEST_SINGULAR_VALUE:
        return None
    null = vectors[-1]
    sign = torch.linalg.slogdet(torch.cat([matrix, null.unsqueeze(0)])).sign
    d[moving] = null * sign * (-1) ** len(free) + 0.0
    return d
