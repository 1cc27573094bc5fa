"""Smooth maps from all vectors into a strategy set: how a network without bounds gives a point of the set.

Near the middle of a set they hardly change a vector, and they reach its boundary only in the limit, so that a strategy
near the boundary still has a slope back.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from strategic_envs.errors import InvalidSettingError
from strategic_envs.sets import Ball, Box, Product, Simplex, StrategySet, Torus

__all__ = ["into", "out_of"]

_EDGE = 1e-3  # how far from the boundary a start is moved, as a share of the set


def into(strategies: StrategySet, z: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """The point of a set that a vector stands for; differentiable.

    A box takes `tanh` between two bounds, `softplus` beyond one and the vector itself where there is none; a simplex
    takes the softmax, a torus the angle, a ball `c + v / sqrt(1 + |v|^2 / r^2)` with `v = z - c`.

    Raises:
        InvalidSettingError: If there is no such map for a set of this kind.

    Example:
        >>> into(Box(-1, 1), torch.tensor([0.0, 9.0])).tolist(), into(Simplex(2), torch.zeros(2)).tolist()
        ([0.0, 0.9999999403953552], [0.5, 0.5])
    """
    if isinstance(strategies, Product):
        parts = z.split(list(strategies.dims), dim=-1)
        return torch.cat([into(s, part) for s, part in zip(strategies.parts, parts, strict=True)], dim=-1)
    if isinstance(strategies, Simplex):
        return z.softmax(-1)
    if isinstance(strategies, Torus):
        return strategies.project(z)
    if isinstance(strategies, Ball):
        centre = strategies.centre(dtype=z.dtype).to(z.device)
        v = (z - centre) / strategies.radius
        return centre + strategies.radius * v / (1 + v.square().sum(-1, keepdim=True)).sqrt()
    low, high = (t.to(z) for t in _bounds(strategies))
    both, above, below = low.isfinite() & high.isfinite(), low.isfinite(), high.isfinite()
    half = torch.where(both, (high - low) / 2, 1.0).clamp(min=torch.finfo(z.dtype).tiny)
    middle, floor, ceiling = (
        torch.where(b, t, 0.0) for b, t in ((both, (low + high) / 2), (above, low), (below, high))
    )
    between = middle + half * ((z - middle) / half).tanh()
    return torch.where(
        both,
        between,
        torch.where(
            above,
            floor + functional.softplus(z - floor),
            torch.where(below, ceiling - functional.softplus(ceiling - z), z),
        ),
    )


def out_of(strategies: StrategySet, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """A vector that `into` takes to x, or to a point near it where x lies on the boundary.

    Example:
        >>> box = Box(-1, 1)
        >>> into(box, out_of(box, torch.tensor([0.25, 1.0]))).round(decimals=3).tolist()
        [0.25, 0.9990000128746033]
    """
    if isinstance(strategies, Product):
        parts = x.split(list(strategies.dims), dim=-1)
        return torch.cat([out_of(s, part) for s, part in zip(strategies.parts, parts, strict=True)], dim=-1)
    if isinstance(strategies, Simplex):
        return x.clamp(min=_EDGE / strategies.dim).log()
    if isinstance(strategies, Torus):
        return x
    if isinstance(strategies, Ball):
        centre = strategies.centre(dtype=x.dtype).to(x.device)
        u = (x - centre) / strategies.radius
        u = u / (u.norm(dim=-1, keepdim=True) / (1 - _EDGE)).clamp(min=1)
        return centre + strategies.radius * u / (1 - u.square().sum(-1, keepdim=True)).sqrt()
    low, high = (t.to(x) for t in _bounds(strategies))
    both = low.isfinite() & high.isfinite()
    half = torch.where(both, (high - low) / 2, 1.0).clamp(min=torch.finfo(x.dtype).tiny)
    middle = torch.where(both, (low + high) / 2, 0.0)
    between = middle + half * ((x - middle) / half).clamp(_EDGE - 1, 1 - _EDGE).atanh()
    up, down = (torch.where(t.isfinite(), gap, 1.0).clamp(min=_EDGE) for t, gap in ((low, x - low), (high, high - x)))
    return torch.where(
        both,
        between,
        torch.where(
            low.isfinite(),
            x + (-(-up).expm1()).log(),
            torch.where(high.isfinite(), x - (-(-down).expm1()).log(), x),
        ),
    )


def _bounds(strategies: StrategySet) -> Sequence[Tensor]:
    if not isinstance(strategies, Box):
        raise InvalidSettingError(
            f"got strategies in {strategies!r}, which no network reaches smoothly here, expected a Box, Ball, Simplex, "
            "Torus or a product of these: use strategy='coordinates' with a dynamic that projects"
        )
    return strategies.bounds()
