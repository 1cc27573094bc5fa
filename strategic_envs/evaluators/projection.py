"""The projection family on every set: the best fixed shift, exactly or between proved bounds.

On boxes the gain of the best shift is exact (`strategic_envs.evaluators.shifts`). On a simplex, a ball or a polytope
`phi(v) = E <g, P(x + v) - x>` is piecewise smooth and not concave: a search gives the lower bound, and branch and bound
over the shifts the upper one. It rests on the derivative J of a projection being symmetric with `0 <= J <= 1`: from y
to y + e, with `|e| <= r`, the term of one point gains at most `<push, e> + slack` with

    push = g / 2,  slack = r |g| / 2   always,
    push = J g,    slack = 0           where the projection is linear around y, or its curvature where that is known.

In up to three dimensions the bounds usually meet; in more they are what the budget gave.
"""

from __future__ import annotations

import torch
from torch import Tensor

from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.branch import best_shift
from strategic_envs.evaluators.numeric import maximise
from strategic_envs.evaluators.shifts import Bounds, box_shift_gain
from strategic_envs.sets import Ball, Box, Product, Simplex, StrategySet

__all__ = ["NORMS", "check_shift", "projection_gain"]

NORMS = ("sup", "euclidean")
_WORK = 2**22  # points projected for one search


def check_shift(delta: float | None, norm: str) -> float:
    """A radius above zero and a known norm, or an error.

    Raises:
        InvalidSettingError: If they are not.
    """
    if delta is None or not 0 < delta < float("inf"):
        raise InvalidSettingError(
            f"the projection family: got delta={delta!r}, expected how far a deviation may move: a finite number > 0"
        )
    if norm not in NORMS:
        raise InvalidSettingError(f"the projection family: got norm={norm!r}, expected one of {', '.join(NORMS)}")
    return float(delta)


def projection_gain(
    strategies: StrategySet, x: Tensor, g: Tensor, weights: Tensor, delta: float, norm: str = "sup"
) -> Bounds:
    """Bounds of `max_v E <g, P(x + v) - x>` over shifts v of norm at most `delta`; equal where it is exact.

    Args:
        strategies: One player's set.
        x: The points it played, `(T, d)`, inside the set.
        g: Its own-utility gradients there, `(T, d)`.
        weights: How much each point counts, `(T,)`.
        delta: The largest shift.
        norm: Of shifts: `sup` (the largest coordinate) or `euclidean`.

    Example:
        >>> x, g = torch.tensor([[0.5, 0.5]]).double(), torch.tensor([[1.0, 0.0]]).double()
        >>> bounds = projection_gain(Simplex(2), x, g, torch.ones(1).double(), delta=0.1, norm="euclidean")
        >>> round(bounds.lower, 6), round(bounds.upper, 6)
        (0.070711, 0.070711)
    """
    check_shift(delta, norm)
    if isinstance(strategies, Box):
        return box_shift_gain(strategies, x, g, weights, delta, norm)
    if strategies.periodic and not isinstance(strategies, Product):  # every shift stays in the set
        free = delta * float((weights @ g).norm(p=1 if norm == "sup" else 2))
        return Bounds(free, free)
    if isinstance(strategies, Product):
        return _product_gain(strategies, x, g, weights, delta, norm)
    seen = weights > 0
    x, g, weights = x[seen], g[seen], weights[seen]
    flat = isinstance(strategies, Simplex)  # only what keeps the sum counts there
    g = g - g.mean(-1, keepdim=True) if flat else g

    def gain(v: Tensor) -> Tensor:
        rows = max(1, _WORK // (len(x) * x.shape[-1]))
        parts = [((strategies.project(x + u.unsqueeze(1)) - x) * g).sum(-1) @ weights for u in v.split(rows)]
        return torch.cat(parts)

    shifts = Box(-delta, delta, dim=strategies.dim) if norm == "sup" else Ball(0.0, delta, dim=strategies.dim)
    _, lower = maximise(gain, shifts, torch.zeros_like(x[:1]), budget=max(16, min(256, _WORK // len(x))))
    return best_shift(strategies, x, g, weights, delta, norm, max(lower, 0.0))


def _product_gain(product: Product, x: Tensor, g: Tensor, weights: Tensor, delta: float, norm: str) -> Bounds:
    """In the sup norm the parts fall apart; in the Euclidean one they share the budget."""
    parts = list(zip(product.parts, product.split(x), product.split(g), strict=True))

    def total(radius: float) -> tuple[list[Bounds], Bounds]:
        found = [projection_gain(s, a, b, weights, radius, norm) for s, a, b in parts]
        return found, Bounds(sum(f.lower for f in found), sum(f.upper for f in found))

    alone, outside = total(delta)
    if norm == "sup" or len(parts) == 1:
        return outside
    _, inside = total(delta / len(parts) ** 0.5)
    return Bounds(max(inside.lower, *(f.lower for f in alone)), outside.upper)
