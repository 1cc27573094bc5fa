"""Simplices: probability vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.sets.base import StrategySet, SupportPoint

__all__ = ["Simplex"]


@dataclass(frozen=True, repr=False)
class Simplex(StrategySet):
    """All probability vectors over `n` actions.

    The projection sorts once (Held, Wolfe and Crowder 1974; Duchi et al. 2008).

    Example:
        >>> Simplex(3).project(torch.tensor([1.0, 1.0, -1.0]))
        tensor([0.5000, 0.5000, 0.0000])
    """

    n: int

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or self.n < 1:
            raise InvalidGameError(f"a Simplex needs at least one action, got {self.n!r}")

    def __repr__(self) -> str:
        return f"Simplex({self.n})"

    @property
    def dim(self) -> int:
        return self.n

    @property
    def diameter(self) -> float:
        return math.sqrt(2.0) if self.n > 1 else 0.0

    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        descending = x.sort(dim=-1, descending=True).values
        counts = torch.arange(1, self.n + 1, dtype=x.dtype, device=x.device)
        excess = (descending.cumsum(-1) - 1) / counts
        last = (descending > excess).sum(-1, keepdim=True).clamp(min=1) - 1
        return (x - excess.gather(-1, last)).clamp(min=0)

    def support(self, g: Float[Tensor, "*batch dim"]) -> SupportPoint:
        best = g.max(-1)
        return SupportPoint(best.values, torch.nn.functional.one_hot(best.indices, self.n).to(g))

    def sample(
        self,
        shape: Sequence[int] = (),
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> Float[Tensor, "*batch dim"]:
        device = generator.device if generator is not None else None
        uniform = torch.rand((*shape, self.n), generator=generator, dtype=dtype, device=device)
        exponential = -torch.log1p(-uniform)  # normalised exponentials are uniform on the simplex
        exponential = exponential + (exponential.sum(-1, keepdim=True) == 0).to(dtype)
        return exponential / exponential.sum(-1, keepdim=True)

    def centre(self, *, dtype: torch.dtype = torch.float64) -> Float[Tensor, " dim"]:
        return torch.full((self.n,), 1.0 / self.n, dtype=dtype)
