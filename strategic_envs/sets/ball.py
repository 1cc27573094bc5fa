"""Euclidean balls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.sets.base import StrategySet, SupportPoint, vector

__all__ = ["Ball"]


@dataclass(frozen=True, eq=False, repr=False)
class Ball(StrategySet):
    """All points within `radius` of `centre_point`, in Euclidean distance.

    Example:
        >>> Ball([0.0, 0.0], radius=1.0).support(torch.tensor([3.0, 4.0])).value
        tensor(5.)
    """

    centre_point: Tensor
    radius: float

    def __init__(self, centre: float | Sequence[float] | Tensor, radius: float, dim: int | None = None) -> None:
        point = vector(centre, dim)
        if not (math.isfinite(radius) and radius > 0) or not point.isfinite().all():
            raise InvalidGameError(f"a Ball needs a finite centre and a radius > 0, got {point.tolist()} and {radius}")
        object.__setattr__(self, "centre_point", point)
        object.__setattr__(self, "radius", float(radius))

    def __repr__(self) -> str:
        return f"Ball({self.centre_point.tolist()}, radius={self.radius})"

    @property
    def dim(self) -> int:
        return len(self.centre_point)

    @property
    def diameter(self) -> float:
        return 2 * self.radius

    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        centre = self.centre_point.to(x)
        offset = x - centre
        length = offset.norm(dim=-1, keepdim=True)
        shrink = self.radius / length.clamp(min=self.radius)
        return torch.where(length <= self.radius, x, centre + offset * shrink)

    def support(self, g: Float[Tensor, "*batch dim"]) -> SupportPoint:
        centre = self.centre_point.to(g)
        length = g.norm(dim=-1, keepdim=True)
        unit = torch.where(length > 0, g / length.clamp(min=torch.finfo(g.dtype).tiny), torch.zeros_like(g))
        return SupportPoint((g * centre).sum(-1) + self.radius * length.squeeze(-1), centre + self.radius * unit)

    def sample(
        self,
        shape: Sequence[int] = (),
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> Float[Tensor, "*batch dim"]:
        device = generator.device if generator is not None else None
        normal = torch.randn((*shape, self.dim), generator=generator, dtype=dtype, device=device)
        uniform = torch.rand((*shape, 1), generator=generator, dtype=dtype, device=device)
        length = normal.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(dtype).tiny)
        return self.centre_point.to(normal) + self.radius * uniform ** (1.0 / self.dim) * normal / length

    def centre(self, *, dtype: torch.dtype = torch.float64) -> Float[Tensor, " dim"]:
        return self.centre_point.to(dtype)
