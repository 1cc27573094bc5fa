"""Any number of players who cooperate: preconditioned conjugate gradients on their joint curvature.

The blocks between two players are Kronecker products, `P_nm X_m = B_nm X_m A_nm'`; a player's own block is whatever the
curvature is, and its inverse, one player at a time, is the preconditioner. The joint matrix of KFAC blocks is a
Khatri-Rao product of two positive semidefinite block matrices, hence itself positive semidefinite. With another
curvature in the diagonal (a multiple of the identity, say) it can be indefinite; the iteration is cut off there, as in
truncated Newton methods (Nash, SIAM Journal on Numerical Analysis 21, 1984).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["conjugate_gradients"]

Operator = Callable[[Sequence[Tensor]], Sequence[Tensor]]


def conjugate_gradients(
    operator: Operator, precondition: Operator, right: Sequence[Tensor], iterations: int, least: float = 0.0
) -> tuple[list[Tensor], Tensor]:
    """Solves `operator(x) = right` from zero, approximately, without waiting for the device.

    From the first direction without enough curvature on, the iterate stays as it is; if that is the very first one, the
    answer is `precondition(right)`, in which every player ignores the others.

    Args:
        operator: The symmetric map, on one tensor a player.
        precondition: A symmetric positive definite map that is near to its inverse.
        right: The right-hand side, one tensor a player, of any shapes.
        iterations: How many to make; fewer if it is cut off.
        least: The curvature that a direction must have, more than this times that of the preconditioner's inverse: a
            small positive one would make a large step.

    Returns:
        The answer, one tensor a player; and whether it was cut off, a boolean tensor of shape ().

    Example:
        >>> def operator(x):
        ...     return [2 * x[0] + x[1], x[0] + 2 * x[1]]
        >>> answer, cut = conjugate_gradients(operator, lambda r: r, [torch.ones(1), torch.zeros(1)], 5)
        >>> [round(float(x), 4) for x in answer], bool(cut)
        ([0.6667, -0.3333], False)
    """
    residual, first = list(right), list(precondition(right))
    answer = [torch.zeros_like(r) for r in right]
    direction, product = first, _dot(residual, first)
    zero, one = torch.zeros_like(product), torch.ones_like(product)
    going, moved = product.isfinite(), torch.zeros_like(product, dtype=torch.bool)
    cut, own = ~going, product  # own: the direction's curvature without the others, by the recurrence of Steihaug
    for _ in range(iterations):
        image = list(operator(direction))
        curvature = _dot(direction, image)
        enough = (curvature > least * own) & (curvature > 0)
        cut = cut | (going & (product > 0) & ~enough)
        going = going & (product > 0) & enough
        moved = moved | going
        step = torch.where(going, product / torch.where(going, curvature, one), zero)
        answer = [x + step * d for x, d in zip(answer, direction, strict=True)]
        residual = [r - step * i for r, i in zip(residual, image, strict=True)]
        turned = list(precondition(residual))
        new = _dot(residual, turned)
        keep = torch.where(going, new / torch.where(going, product, one), zero)
        direction = [t + keep * d for t, d in zip(turned, direction, strict=True)]
        product, own = new, new + keep.square() * own
    return [torch.where(moved, x, f) for x, f in zip(answer, first, strict=True)], cut


def _dot(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    return torch.stack([(x * y).sum() for x, y in zip(left, right, strict=True)]).sum()
