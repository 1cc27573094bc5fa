"""The corrector: back onto the curve `V_S = 0`, sideways to the way it was left.

A predictor step along the direction leaves `V_S` of the order of the step squared, and without correction these errors
add up to the order of the step. The corrector solves `[DV_S; n^T] dy = [-V_S; 0]` on the moving coordinates, where the
normal n is the direction, or a unit vector where a bound is to be met exactly. It is Newton's method with one
derivative: the change of the field that is seen on the way updates the derivative by rank one (Broyden 1965), so a step
costs field calls alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.dynamics.ridge.frame import Here

__all__ = ["Probe", "broyden", "corrected", "polished"]

Probe = Callable[[Tensor], Here]
"""Path coordinates to the point there, with its field."""

_ITERATIONS = 10
_SMALLEST = 1e-10  # a shorter step says nothing about the derivative: its field difference is rounding
_SINGULAR = 1e-8  # relative: smaller singular values of an estimated derivative are noise


def corrected(
    probe: Probe,
    start: Float[Tensor, " N"],
    slope: Float[Tensor, "N N"],
    free: Sequence[int],
    moving: Sequence[int],
    normal: Float[Tensor, " N"],
    tolerance: float,
) -> tuple[Here, Tensor, bool]:
    """The point with `V_k = 0` for k in `free` that lies sideways of `start`.

    Args:
        probe: Gives the field.
        start: Where the predictor went.
        slope: DV near there.
        free: S.
        moving: The coordinates that may change: one more than S has.
        normal: The direction in which nothing may change.
        tolerance: What counts as `V_k = 0`.

    Returns:
        The point, the updated derivative, and whether `|V_k| <= tolerance` was reached.

    Example:
        >>> def probe(z):
        ...     return Here(z, (), torch.stack([z[0] ** 2 - z[1], z[1]]))
        >>> slope = torch.tensor([[1.0, -1.0], [0.0, 1.0]], dtype=torch.float64)
        >>> start = torch.tensor([0.6, 0.25], dtype=torch.float64)
        >>> here, _, reached = corrected(probe, start, slope, [0], [0, 1], start.new_tensor([0.0, 1.0]), 1e-12)
        >>> round(float(here.z[0]), 9), reached
        (0.5, True)
    """
    here = probe(start)
    rows, columns = list(free), list(moving)
    for _ in range(_ITERATIONS):
        error = here.v[rows]
        if not rows or bool((error.abs() <= tolerance).all()):
            return here, slope, bool(here.v.isfinite().all())
        matrix = torch.cat([slope[rows][:, columns], normal[columns].unsqueeze(0)])
        move, info = torch.linalg.solve_ex(matrix, torch.cat([-error, error.new_zeros(1)]))
        if int(info) or not bool(move.isfinite().all()) or float(move.abs().max()) > 1.0:
            break
        new = probe(here.z.index_add(0, torch.tensor(columns), move))
        slope = broyden(slope, here, new)
        here = new
    return here, slope, False


def broyden(slope: Float[Tensor, "N N"], old: Here, new: Here) -> Float[Tensor, "N N"]:
    """The derivative, changed as little as possible so that it explains the field's change from `old` to `new`.

    Example:
        >>> zero = torch.zeros(2, dtype=torch.float64)
        >>> moved = torch.tensor([0.5, 0.0], dtype=torch.float64)
        >>> broyden(torch.zeros(2, 2, dtype=torch.float64), Here(zero, (), zero), Here(moved, (), 2 * moved)).tolist()
        [[2.0, 0.0], [0.0, 0.0]]
    """
    step = new.z - old.z
    size = step.dot(step)
    if float(size) < _SMALLEST**2 or not bool(new.v.isfinite().all()):
        return slope
    return slope + (new.v - old.v - slope @ step).outer(step) / size


def polished(probe: Probe, here: Here, slope: Float[Tensor, "N N"], rows: Sequence[int]) -> Here:
    """The point after quasi-Newton steps on `V_k = 0` for the coordinates in `rows`, as long as they help.

    The steps are least-squares solutions, so equilibria that are not isolated are no trouble.

    Args:
        probe: Gives the field.
        here: The point.
        slope: DV there.
        rows: The coordinates whose field is to be zero, and which may change.
    """
    index = torch.tensor(list(rows))
    for _ in range(_ITERATIONS):
        error = here.v[index]
        solved = torch.linalg.lstsq(slope[index][:, index], -error.unsqueeze(-1), driver="gelsd", rcond=_SINGULAR)
        move = solved.solution.squeeze(-1)
        if not bool(move.isfinite().all()) or float(move.abs().max()) > 1e-2:
            break
        new = probe(here.z.index_add(0, index, move))
        inside = bool(((new.z >= 0.0) & (new.z <= 1.0)).all())
        if not inside or not float(new.v[index].abs().max()) < float(error.abs().max()):
            break
        slope, here = broyden(slope, here, new), new
    return here
