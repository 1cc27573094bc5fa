"""Boxes: bounds on each coordinate, which may be infinite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.sets.base import StrategySet, SupportPoint, vector

__all__ = ["Box"]

_SHOWN = 16  # coordinates whose bounds are written out


@dataclass(frozen=True, eq=False, repr=False)
class Box(StrategySet):
    """All x with `low <= x <= high`, coordinate by coordinate; infinite bounds are allowed.

    Equal bounds hold a coordinate fixed: such a box has no interior, and is a set like any other.

    Args:
        low: Lower bound, a number or one a coordinate.
        high: Upper bound.
        dim: The dimension, when both bounds are numbers.

    Raises:
        InvalidGameError: If a bound is NaN, or a lower bound exceeds its upper bound.

    Example:
        >>> Box(-1, 1, dim=2).project(torch.tensor([3.0, 0.5]))
        tensor([1.0000, 0.5000])
    """

    low: Tensor
    high: Tensor

    def __init__(
        self, low: float | Sequence[float] | Tensor, high: float | Sequence[float] | Tensor, dim: int | None = None
    ) -> None:
        if dim is not None and dim < 1:
            raise InvalidGameError(f"a Box needs dim >= 1, got {dim}")
        lo, hi = vector(low, dim), vector(high, dim)
        lo, hi = torch.broadcast_tensors(lo, hi) if 1 in (len(lo), len(hi)) else (lo, hi)
        if lo.shape != hi.shape:
            raise InvalidGameError(f"a Box needs bounds of one length, got {len(lo)} lower and {len(hi)} upper bounds")
        if lo.isnan().any() or hi.isnan().any() or (lo > hi).any() or lo.isposinf().any() or hi.isneginf().any():
            raise InvalidGameError(f"a Box needs low <= high in every coordinate, got {lo.tolist()} and {hi.tolist()}")
        object.__setattr__(self, "low", lo.clone())
        object.__setattr__(self, "high", hi.clone())

    def __repr__(self) -> str:
        same = len(self.low) == 1 or bool((self.low == self.low[0]).all() and (self.high == self.high[0]).all())
        if same:
            tail = f", dim={self.dim}" if self.dim > 1 else ""
            return f"Box({self.low[0].item()}, {self.high[0].item()}{tail})"
        if self.dim > _SHOWN:
            return f"Box(low from {self.low.min()} to {self.low.max()}, high to {self.high.max()}, dim={self.dim})"
        return f"Box({self.low.tolist()}, {self.high.tolist()})"

    @property
    def dim(self) -> int:
        return len(self.low)

    @property
    def diameter(self) -> float:
        return float((self.high - self.low).norm())

    def bounds(self) -> tuple[Float[Tensor, " dim"], Float[Tensor, " dim"]]:
        return self.low, self.high

    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return x.clamp(self.low.to(x), self.high.to(x))

    def contains(self, x: Float[Tensor, "*batch dim"], atol: float = 1e-6) -> Bool[Tensor, "*batch"]:
        """Whether no coordinate is further than `atol` outside: rounding does not add up over many coordinates."""
        near = (self.project(x) - x).abs().amax(-1) <= atol
        return near & x.isfinite().all(-1)

    def support(self, g: Float[Tensor, "*batch dim"]) -> SupportPoint:
        low, high = self.low.to(g), self.high.to(g)
        argmax = torch.where(g > 0, high, torch.where(g < 0, low, self.centre().to(g)))
        terms = torch.where(g == 0, torch.zeros_like(g), g * argmax)
        return SupportPoint(terms.sum(-1), torch.where(argmax.isfinite(), argmax, torch.nan))

    def sample(
        self,
        shape: Sequence[int] = (),
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> Float[Tensor, "*batch dim"]:
        device = generator.device if generator is not None else None
        low, high = self.low.to(device, dtype), self.high.to(device, dtype)
        size = (*shape, self.dim)
        uniform = torch.rand(size, generator=generator, dtype=dtype, device=device)
        if bool((low.isfinite() & high.isfinite()).all()):
            return low + uniform * (high - low)
        normal = torch.randn(size, generator=generator, dtype=dtype, device=device)
        normal = torch.where(
            low.isfinite(), low + normal.abs(), torch.where(high.isfinite(), high - normal.abs(), normal)
        )
        return torch.where((high - low).isfinite(), low + uniform * (high - low), normal)

    def centre(self, *, dtype: torch.dtype = torch.float64) -> Float[Tensor, " dim"]:
        middle = (self.low + self.high) / 2
        return torch.where(middle.isfinite(), middle, torch.zeros_like(middle).clamp(self.low, self.high)).to(dtype)
