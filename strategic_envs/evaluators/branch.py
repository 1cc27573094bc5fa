"""Branch and bound over the shifts of the projection family: a proved upper bound of the best gain.

A cell is a box of shifts. With the local bounds of each point's term (`strategic_envs.evaluators.faces`) the gain over
the cell is at most `phi(centre) + max <a, e> + slack`, the maximum over what the cell shares with the allowed shifts.
The shift that attains it is tried as well, so that the bounds meet exactly where the gain is linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from strategic_envs.evaluators.faces import local_bound
from strategic_envs.evaluators.shifts import Bounds
from strategic_envs.sets import Simplex, StrategySet

__all__ = ["best_shift"]

_BUDGET = 2**24  # numbers that pass through a projection
_ROUNDS = 150
_CELLS = 64  # split at once
_RELATIVE = 1e-9  # of the largest gain there can be: how close the bounds should come
_BISECTIONS = 60


@dataclass(frozen=True)
class _Cells:
    """Boxes of shifts: centres and half widths `(C, d)`, and the upper bound on each `(C,)`."""

    centre: Tensor
    half: Tensor
    upper: Tensor

    def __getitem__(self, rows: Tensor) -> _Cells:
        return _Cells(self.centre[rows], self.half[rows], self.upper[rows])


def best_shift(
    strategies: StrategySet, x: Tensor, g: Tensor, weights: Tensor, delta: float, norm: str, lower: float
) -> Bounds:
    """Bounds of the best gain.

    Args:
        strategies: The player's set.
        x: The points `(T, d)`.
        g: The gradients `(T, d)`; on a simplex, less their mean.
        weights: Their weights `(T,)`.
        delta: The largest shift.
        norm: `sup` or `euclidean`.
        lower: A gain that is reached.

    Example:
        >>> x, g = torch.zeros(1, 2).double(), torch.tensor([[3.0, 4.0]]).double()
        >>> from strategic_envs.sets import Ball
        >>> best_shift(Ball(0.0, 1.0, dim=2), x, g, torch.ones(1).double(), 0.1, "euclidean", 0.0).upper
        0.5
    """
    scale = delta * float(weights @ g.norm(dim=-1))
    close = _RELATIVE * scale
    basis, centre, half = _roots(strategies, x, delta, norm)

    def bounded(centre: Tensor, half: Tensor) -> tuple[_Cells, float]:
        """The bounds of cells, and the best gain met on the way."""
        radius = half.norm(dim=-1)
        term, push, slack = local_bound(strategies, x + (centre @ basis.mT).unsqueeze(1), g, radius)
        value = (term - (x * g).sum(-1)) @ weights
        a = torch.einsum("t,ctd->cd", weights, push) @ basis
        best = _furthest(a, centre - half, centre + half, delta, norm)
        upper = value + ((best - centre) * a).sum(-1) + slack @ weights
        reached = ((strategies.project(x + (best @ basis.mT).unsqueeze(1)) - x) * g).sum(-1) @ weights
        return _Cells(centre, half, upper + 1e-15 * scale), float(reached.max())

    cells, reached = bounded(centre, half)
    lower, spent = max(lower, reached), 0
    for _ in range(_ROUNDS):
        cells = cells[cells.upper > lower + close]
        if not len(cells.upper) or spent > _BUDGET:
            break
        chosen = cells.upper.topk(min(_CELLS, len(cells.upper))).indices
        centre, half = _halved(cells[chosen], delta, norm)
        rest = torch.ones(len(cells.upper), dtype=torch.bool).index_fill_(0, chosen.cpu(), False).to(chosen.device)
        cells = cells[rest]
        if len(centre):
            rows = max(1, 2**20 // x.numel())
            for c, h in zip(centre.split(rows), half.split(rows), strict=True):
                new, reached = bounded(c, h)
                lower = max(lower, reached)
                cells = _Cells(*(torch.cat(pair) for pair in zip(_fields(cells), _fields(new), strict=True)))
        spent += 2 * len(centre) * x.numel()
    left = float(cells.upper.max()) if len(cells.upper) else lower
    return Bounds(lower, max(lower, min(max(left, lower + close), scale * _longest(strategies, norm))))


def _fields(cells: _Cells) -> tuple[Tensor, Tensor, Tensor]:
    return cells.centre, cells.half, cells.upper


def _longest(strategies: StrategySet, norm: str) -> float:
    """The Euclidean length of the longest shift, in units of delta."""
    return strategies.dim**0.5 if norm == "sup" else 1.0


def _roots(strategies: StrategySet, x: Tensor, delta: float, norm: str) -> tuple[Tensor, Tensor, Tensor]:
    """Orthonormal directions of shifts `(d, m)`, and cells in these that hold all shifts.

    On a simplex a shift of all coordinates alike does nothing. In the Euclidean norm it is left out; in the sup norm
    some coordinate may be taken to be -delta, which leaves one cell a coordinate, flat in it.
    """
    d = strategies.dim
    unit = torch.eye(d, dtype=x.dtype, device=x.device)
    if not isinstance(strategies, Simplex) or d == 1:
        return unit, torch.zeros_like(x[:1]), torch.full_like(x[:1], delta)
    if norm == "sup":
        return unit, -delta * unit, delta * (1 - unit)
    basis = torch.linalg.qr(unit - 1 / d).Q[:, : d - 1]
    centre = x.new_zeros(1, d - 1)
    return basis, centre, centre + delta


def _halved(cells: _Cells, delta: float, norm: str) -> tuple[Tensor, Tensor]:
    """Each cell cut in two across its longest side, without what lies beyond the allowed shifts."""
    axis = torch.nn.functional.one_hot(cells.half.argmax(-1), cells.half.shape[-1]).to(cells.half)
    half = cells.half * (1 - axis / 2)
    step = cells.half * axis / 2
    centre, half = torch.cat([cells.centre - step, cells.centre + step]), torch.cat([half, half])
    if norm == "euclidean":
        nearest = (centre.abs() - half).clamp(min=0).norm(dim=-1)
        centre, half = centre[nearest <= delta], half[nearest <= delta]
    return centre, half


def _furthest(a: Tensor, low: Tensor, high: Tensor, delta: float, norm: str) -> Tensor:
    """The shift in each box, and of norm at most delta, that goes furthest along a; `(C, d)`."""
    corner = torch.where(a > 0, high, torch.where(a < 0, low, torch.zeros_like(a).clamp(low, high)))
    if norm == "sup":
        return corner
    # The best point is clip(mu a) with the largest mu that stays in the ball.
    unit = delta / a.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(a.dtype).tiny)
    least, most = torch.full_like(unit, -40.0), torch.full_like(unit, 40.0)
    for _ in range(_BISECTIONS):
        middle = (least + most) / 2
        inside = (unit * middle.exp() * a).clamp(low, high).norm(dim=-1, keepdim=True) <= delta
        least, most = torch.where(inside, middle, least), torch.where(inside, most, middle)
    on_sphere = (unit * least.exp() * a).clamp(low, high)
    return torch.where(corner.norm(dim=-1, keepdim=True) <= delta, corner, on_sphere)
