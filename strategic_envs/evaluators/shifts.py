"""What a player could gain by one fixed shift of all its play: the projection family on boxes.

A shift v turns each point x of the play into `P(x + v)`, the projection back on the set. To first order it gains
`phi(v) = E <g, P(x + v) - x>`, with g the own-utility gradients. On a box this falls apart into coordinates, and each
`phi_j` is piecewise linear with a kink wherever a point reaches its bound: sorting the points once gives every kink,
every value and so the exact maximum in O(T log T). See `strategic_envs.evaluators.projection` for all other sets.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.sets import Box

__all__ = ["Bounds", "box_shift_gain", "box_shift_gains"]

_HALVINGS = 60


class Bounds(NamedTuple):
    """A number that is known to lie between two others; equal ones say that it is known exactly."""

    lower: float
    upper: float


class _Pieces(NamedTuple):
    """`phi_j(v)` on one side of zero, for every coordinate: kinks `(T + 1, d)` in |v|, values there, slopes after."""

    kinks: Tensor
    values: Tensor
    slopes: Tensor


def box_shift_gains(
    box: Box, x: Float[Tensor, "T dim"], g: Float[Tensor, "T dim"], weights: Float[Tensor, " T"], delta: float
) -> Float[Tensor, " dim"]:
    """The largest gain of a shift by at most `delta`, coordinate by coordinate: exact.

    Args:
        box: The player's set; bounds may be infinite.
        x: The points that were played, inside the box.
        g: The own-utility gradients there.
        weights: How much each point counts.
        delta: The largest shift of a coordinate.

    Example:
        >>> ends = torch.tensor([[-1.0], [1.0]])  # both pulled outwards: no shift helps
        >>> box_shift_gains(Box(-1, 1), ends, ends, torch.tensor([0.5, 0.5]), delta=0.1)
        tensor([0.])
        >>> box_shift_gains(Box(-1, 1), ends, torch.tensor([[1.0], [0.0]]), torch.tensor([0.5, 0.5]), delta=0.1)
        tensor([0.0500])
    """
    best = [side.values.amax(0) for side in _both_sides(box, x, g, weights, delta)]
    return torch.maximum(*best)


def box_shift_gain(box: Box, x: Tensor, g: Tensor, weights: Tensor, delta: float, norm: str) -> Bounds:
    """The largest gain of a shift whose norm is at most `delta`.

    Exact in the sup norm, in one dimension and on the whole space. In the Euclidean norm the coordinates share a budget
    `sum v_j^2 <= delta^2`: the Lagrange dual gives the upper bound, the best shift found on the way the lower one.
    They differ only as far as the `phi_j` are not concave.

    Args:
        box: The player's set.
        x: The points `(T, d)`.
        g: The gradients `(T, d)`.
        weights: Their weights `(T,)`.
        delta: The largest shift.
        norm: `sup` or `euclidean`.
    """
    if bool((box.low.isneginf() & box.high.isposinf()).all()):
        exact = delta * float((weights @ g).norm(p=float("inf") if box.dim == 1 else 1 if norm == "sup" else 2))
        return Bounds(exact, exact)
    outside = float(box_shift_gains(box, x, g, weights, delta).sum())
    if norm == "sup" or box.dim == 1:
        return Bounds(outside, outside)
    inside = float(box_shift_gains(box, x, g, weights, delta / box.dim**0.5).sum())
    lower, upper = _shared_budget(_both_sides(box, x, g, weights, delta), delta)
    return Bounds(max(inside, lower), max(min(outside, upper), inside, lower))


def _both_sides(box: Box, x: Tensor, g: Tensor, weights: Tensor, delta: float) -> tuple[_Pieces, _Pieces]:
    low, high, pull = box.low.to(x), box.high.to(x), weights.unsqueeze(-1) * g
    return _side((high - x).clamp(0, delta), pull, delta), _side((x - low).clamp(0, delta), -pull, delta)


def _side(room: Tensor, pull: Tensor, delta: float) -> _Pieces:
    """Points with `room` to the bound move by `min(v, room)` and gain `pull` times that."""
    room, order = room.sort(dim=0)
    pull = pull.gather(0, order)
    arrived, moving = (pull * room).cumsum(0), pull.sum(0) - pull.cumsum(0)
    zero = torch.zeros_like(room[:1])
    return _Pieces(
        torch.cat([zero, room]),
        torch.cat([zero, arrived + room * moving]),
        torch.cat([pull.sum(0, keepdim=True), moving]),
    )


def _shared_budget(sides: tuple[_Pieces, _Pieces], delta: float) -> Bounds:
    """Bounds of `max sum_j phi_j(v_j)` over `sum v_j^2 <= delta^2`, by bisection on the price of the budget."""
    ends = [torch.cat([s.kinks[1:], torch.full_like(s.kinks[:1], delta)]) for s in sides]
    budget = delta * delta

    def at(price: float) -> tuple[Tensor, Tensor, Tensor]:
        """For each coordinate the best `phi - price v^2`, and there phi and v^2."""
        found = []
        for side, end in zip(sides, ends, strict=True):
            peak = side.slopes / (2 * price) if price else torch.where(side.slopes > 0, torch.inf, 0.0)
            v = torch.minimum(torch.maximum(peak, side.kinks), end)
            value = side.values + side.slopes * (v - side.kinks)
            net, index = (value - price * v * v).max(0, keepdim=True)
            found.append((net[0], value.gather(0, index)[0], v.gather(0, index)[0] ** 2))
        first = found[0][0] >= found[1][0]
        net, value, square = (torch.where(first, a, b) for a, b in zip(*found, strict=True))
        return net, value, square

    net, value, square = at(0.0)
    upper = float(net.sum())
    if float(square.sum()) <= budget:
        return Bounds(upper, upper)
    low, high = 0.0, sum(float(s.slopes.abs().amax(0).sum()) for s in sides) / delta
    lower, spent = 0.0, torch.zeros_like(square)
    for _ in range(_HALVINGS):
        price = (low + high) / 2
        net, value, square = at(price)
        upper = min(upper, float(net.sum()) + price * budget)
        if float(square.sum()) <= budget:
            lower, high, spent = max(lower, float(value.sum())), price, square
        else:
            low = price
    kept = _best_within(sides, spent.sqrt())
    grown = _best_within(sides, (budget - spent.sum() + spent).clamp(min=0).sqrt())  # one takes all that is left
    alone = _best_within(sides, torch.full_like(spent, delta))
    return Bounds(max(lower, float((kept.sum() - kept + grown).max()), float(alone.max())), upper)


def _best_within(sides: tuple[_Pieces, _Pieces], limit: Tensor) -> Tensor:
    """The largest `phi_j(v)` over `|v| <= limit_j`, `(d,)`."""
    best = torch.zeros_like(limit)
    for side in sides:
        reached = side.kinks <= limit
        last = (reached.sum(0, keepdim=True) - 1).clamp(min=0)
        kink, value, slope = (t.gather(0, last)[0] for t in side)
        at_limit = value + slope * (limit - kink)
        best = torch.maximum(best, torch.maximum(at_limit, torch.where(reached, side.values, 0.0).amax(0)))
    return best
