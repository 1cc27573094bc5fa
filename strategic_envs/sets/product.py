"""Products of sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.sets.base import StrategySet, SupportPoint

__all__ = ["Product"]


@dataclass(frozen=True, eq=False, repr=False)
class Product(StrategySet):
    """The Cartesian product of sets, their coordinates one after another.

    Example:
        >>> from strategic_envs.sets import Box, Simplex
        >>> Product([Box(0, 1), Simplex(2)]).dim
        3
    """

    parts: tuple[StrategySet, ...]

    def __init__(self, parts: Sequence[StrategySet]) -> None:
        if not parts or not all(isinstance(p, StrategySet) for p in parts):
            raise InvalidGameError(f"a Product needs at least one strategy set, got {list(parts)!r}")
        object.__setattr__(self, "parts", tuple(parts))

    def __repr__(self) -> str:
        return f"Product([{', '.join(map(repr, self.parts))}])"

    @property
    def dims(self) -> tuple[int, ...]:
        """The dimension of each part."""
        return tuple(p.dim for p in self.parts)

    @property
    def dim(self) -> int:
        return sum(self.dims)

    @property
    def diameter(self) -> float:
        return math.hypot(*(p.diameter for p in self.parts))

    @property
    def periodic(self) -> bool:
        """Whether coordinates of some part wrap around."""
        return any(p.periodic for p in self.parts)

    def split(self, x: Float[Tensor, "*batch dim"]) -> tuple[Tensor, ...]:
        """The coordinates of each part."""
        return x.split(list(self.dims), dim=-1)

    def slice(self, part: int) -> StrategySet:
        """The set of one part's coordinates when the others are held fixed: on a product, the part itself."""
        return self.parts[part]

    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return torch.cat([p.project(c) for p, c in zip(self.parts, self.split(x), strict=True)], dim=-1)

    def difference(self, x: Tensor, y: Tensor) -> Tensor:
        pairs = zip(self.parts, self.split(x), self.split(y), strict=True)
        return torch.cat([p.difference(a, b) for p, a, b in pairs], dim=-1)

    def bounds(self) -> tuple[Float[Tensor, " dim"], Float[Tensor, " dim"]]:
        low, high = zip(*(p.bounds() for p in self.parts), strict=True)
        return torch.cat(low), torch.cat(high)

    def projected_gap(
        self, x: Float[Tensor, "*batch dim"], g: Float[Tensor, "*batch dim"], step: float = 1.0
    ) -> Float[Tensor, "*batch"]:
        pairs = zip(self.parts, self.split(x), self.split(g), strict=True)
        return torch.stack([p.projected_gap(a, b, step) for p, a, b in pairs], dim=-1).norm(dim=-1)

    def frank_wolfe_gap(
        self, x: Float[Tensor, "*batch dim"], g: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
        if not self.bounded:
            return g.norm(dim=-1)
        pairs = zip(self.parts, self.split(x), self.split(g), strict=True)
        return torch.stack([p.frank_wolfe_gap(a, b) for p, a, b in pairs], dim=-1).sum(-1)

    def support(self, g: Float[Tensor, "*batch dim"]) -> SupportPoint:
        points = [p.support(c) for p, c in zip(self.parts, self.split(g), strict=True)]
        value = torch.stack([p.value for p in points]).sum(0)
        return SupportPoint(value, torch.cat([p.argmax for p in points], dim=-1))

    def sample(
        self,
        shape: Sequence[int] = (),
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> Float[Tensor, "*batch dim"]:
        return torch.cat([p.sample(shape, generator=generator, dtype=dtype) for p in self.parts], dim=-1)

    def centre(self, *, dtype: torch.dtype = torch.float64) -> Float[Tensor, " dim"]:
        return torch.cat([p.centre(dtype=dtype) for p in self.parts])
