"""How the gain of one point changes around a shift: where projections are linear, and bounds where they are not.

For the term `<g, P(y)>` of one point, `local_bound` gives value, push and slack with

    <g, P(y + e)> <= <g, P(y)> + <push, e> + slack     for all |e| <= radius.

On a polytope the projection is linear as long as the face on which it ends stays the same, which is certain while the
radius is below a margin; on a ball it is the identity inside and smooth outside. Everywhere else `push = g / 2` and
`slack = radius |g| / 2` hold, because the derivative of a projection is symmetric with eigenvalues in [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from strategic_envs.sets import Ball, Simplex, StrategySet

__all__ = ["local_bound"]

_BEND = (4 / 3) ** 0.5  # the largest second derivative of y / |y| on the unit sphere


def local_bound(strategies: StrategySet, y: Tensor, g: Tensor, radius: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value `(C, T)`, push `(C, T, d)` and slack `(C, T)` of each point's term.

    Args:
        strategies: The player's set.
        y: The shifted points `(C, T, d)`, C shifts of T points.
        g: The gradients `(T, d)`.
        radius: How far around each shift the bound must hold, `(C,)`.

    Example:
        >>> inside = torch.zeros(1, 1, 2)
        >>> local_bound(Ball(0.0, 1.0, dim=2), inside, torch.ones(1, 2), torch.tensor([0.5]))[1:]
        (tensor([[[1., 1.]]]), tensor([[0.]]))
    """
    r = radius.unsqueeze(-1)
    length = g.norm(dim=-1)
    if isinstance(strategies, Simplex):
        p, push, margin = _on_simplex(strategies, y, g)
        slack = torch.where(r < margin, 0.0, torch.inf)
    elif isinstance(strategies, Ball):
        p, push, slack = _on_ball(strategies, y, g, r)
    else:
        p, push, slack = strategies.project(y), torch.zeros_like(y), torch.full_like(y[..., 0], torch.inf)
    rough = r * length / 2
    push = torch.where((slack <= rough).unsqueeze(-1), push, g / 2)
    return (p * g).sum(-1), push, torch.minimum(slack, rough)


def _on_simplex(simplex: Simplex, y: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The support stays the same while no coordinate crosses the threshold, and each comes nearer at most by 2 r."""
    p = simplex.project(y)
    support = (p > 0).to(y)
    count = support.sum(-1, keepdim=True)
    threshold = ((y * support).sum(-1, keepdim=True) - 1) / count
    push = support * (g - (g * support).sum(-1, keepdim=True) / count)
    return p, push, (y - threshold).abs().amin(-1) / 2


def _on_ball(ball: Ball, y: Tensor, g: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    offset = y - ball.centre_point.to(y)
    length = offset.norm(dim=-1)
    unit = offset / length.clamp(min=torch.finfo(y.dtype).tiny).unsqueeze(-1)
    turned = (ball.radius / length.clamp(min=ball.radius)).unsqueeze(-1) * (g - (g * unit).sum(-1, keepdim=True) * unit)
    inside, outside = length + r <= ball.radius, length - r >= ball.radius
    bend = _BEND / 2 * ball.radius * (r / (length - r).clamp(min=ball.radius)) ** 2 * g.norm(dim=-1)
    slack = torch.where(inside, 0.0, torch.where(outside, bend, torch.inf))
    return ball.project(y), torch.where(inside.unsqueeze(-1), g, turned), slack
