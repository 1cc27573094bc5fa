"""Tori: coordinates that wrap around, such as angles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.sets.base import StrategySet, SupportPoint

__all__ = ["Torus"]


@dataclass(frozen=True, repr=False)
class Torus(StrategySet):
    """Coordinates that repeat with a period: x and `x + period` are one point.

    Every finite number names a point, `project` returns its name in `[-period/2, period/2)`. A torus has no boundary:
    the gaps of a gradient g are `|g|`, and no linear function lives on it, so it has no support function. The utility
    of a player must have the period as well.

    Args:
        dim: How many coordinates.
        period: After what they repeat, larger than 0.

    Raises:
        InvalidGameError: If there is no coordinate, or the period is not positive and finite.

    Example:
        >>> circle = Torus(1)
        >>> circle.project(torch.tensor([4.0]))  # 4 - 2 pi
        tensor([-2.2832])
        >>> circle.difference(torch.tensor([3.0]), torch.tensor([-3.0]))  # the short way round
        tensor([0.2832])
    """

    coordinates: int
    period: float

    def __init__(self, dim: int = 1, period: float = 2 * math.pi) -> None:
        if not isinstance(dim, int) or dim < 1:
            raise InvalidGameError(f"a Torus needs a whole number dim >= 1, got {dim!r}")
        if not 0 < period < math.inf:
            raise InvalidGameError(f"a Torus needs a finite period > 0, got {period}")
        object.__setattr__(self, "coordinates", dim)
        object.__setattr__(self, "period", float(period))

    def __repr__(self) -> str:
        return f"Torus({self.dim}, period={self.period})"

    @property
    def dim(self) -> int:
        return self.coordinates

    @property
    def periodic(self) -> bool:
        """True: coordinates wrap around."""
        return True

    @property
    def diameter(self) -> float:
        """The largest length of a shortest displacement."""
        return self.period / 2 * math.sqrt(self.dim)

    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        half = self.period / 2
        wrapped = torch.remainder(x + half, self.period) - half
        wrapped = torch.where(wrapped >= half, wrapped - self.period, wrapped)  # rounding can reach the upper end
        return torch.where((x >= -half) & (x < half), x, wrapped)

    def difference(self, x: Tensor, y: Tensor) -> Tensor:
        return self.project(y - x)

    def bounds(self) -> tuple[Float[Tensor, " dim"], Float[Tensor, " dim"]]:
        half = torch.full((self.dim,), self.period / 2, dtype=torch.float64)
        return -half, half

    def projected_gap(
        self, x: Float[Tensor, "*batch dim"], g: Float[Tensor, "*batch dim"], step: float = 1.0
    ) -> Float[Tensor, "*batch"]:
        return g.norm(dim=-1).expand(torch.broadcast_shapes(x.shape[:-1], g.shape[:-1]))

    def frank_wolfe_gap(
        self, x: Float[Tensor, "*batch dim"], g: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
        return self.projected_gap(x, g)

    def support(self, g: Float[Tensor, "*batch dim"]) -> SupportPoint:
        """Refuses: a linear function does not wrap around.

        Raises:
            InvalidGameError: Always; use `frank_wolfe_gap` for gaps and `bounds` for the cell `[-period/2, period/2]`.
        """
        raise InvalidGameError(
            f"{self} has no support function, because a linear function does not wrap around: "
            "use frank_wolfe_gap for gaps, and bounds() for the cell of its coordinates"
        )

    def sample(
        self,
        shape: Sequence[int] = (),
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> Float[Tensor, "*batch dim"]:
        device = generator.device if generator is not None else None
        uniform = torch.rand((*shape, self.dim), generator=generator, dtype=dtype, device=device)
        return self.project((uniform - 0.5) * self.period)

    def contains(self, x: Float[Tensor, "*batch dim"], atol: float = 1e-6) -> Bool[Tensor, "*batch"]:
        """Whether each point is finite: any finite number names a point."""
        return x.isfinite().all(-1)
