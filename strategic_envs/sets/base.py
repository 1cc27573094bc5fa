"""What every strategy set can do, and how it refuses what lies outside it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError

__all__ = ["StrategySet", "SupportPoint", "vector"]


class SupportPoint(NamedTuple):
    """The support function of a set in a direction: its value `(*batch,)` and a maximiser `(*batch, dim)`."""

    value: Tensor
    argmax: Tensor


class StrategySet(ABC):
    """A closed convex set in `R^dim`."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """The dimension of the space the set lives in."""

    @property
    @abstractmethod
    def diameter(self) -> float:
        """The largest Euclidean distance of two points of the set; `inf` when it is unbounded."""

    @property
    def bounded(self) -> bool:
        """Whether the set is compact."""
        return math.isfinite(self.diameter)

    @property
    def periodic(self) -> bool:
        """Whether coordinates wrap around, so that there is no boundary and no straight way out of the set."""
        return False

    @abstractmethod
    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """The nearest point of the set."""

    @abstractmethod
    def support(self, g: Float[Tensor, "*batch dim"]) -> SupportPoint:
        """The largest inner product with `g` over the set, and where it is attained (`inf` and NaN when nowhere)."""

    @abstractmethod
    def sample(
        self,
        shape: Sequence[int] = (),
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> Float[Tensor, "*batch dim"]:
        """Points of shape `(*shape, dim)`, uniform on a bounded set; unbounded coordinates are standard normal.

        A coordinate with one finite bound lies at the absolute value of a standard normal from it.
        """

    def difference(self, x: Tensor, y: Tensor) -> Tensor:
        """The shortest displacement from x to y, `(*batch, dim)` each, which broadcast: `y - x` where nothing wraps."""
        return y - x

    def bounds(self) -> tuple[Float[Tensor, " dim"], Float[Tensor, " dim"]]:
        """The smallest box around the set: its lower and upper bounds, which may be infinite, float64."""
        axes = torch.eye(self.dim, dtype=torch.float64)
        return -self.support(-axes).value, self.support(axes).value

    def projected_gap(
        self, x: Float[Tensor, "*batch dim"], g: Float[Tensor, "*batch dim"], step: float = 1.0
    ) -> Float[Tensor, "*batch"]:
        """How far a projected step along g leads from a point x of the set, per unit of step: `|P(x + a g) - x| / a`.

        Example:
            >>> from strategic_envs.sets import Box
            >>> Box(-1, 1).projected_gap(torch.tensor([0.5]), torch.tensor([3.0]))
            tensor(0.5000)
        """
        return (self.project(x + step * g) - x).norm(dim=-1) / step

    def frank_wolfe_gap(
        self, x: Float[Tensor, "*batch dim"], g: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
        """The largest first-order gain over the set, `max_y <g, y - x>`; `|g|` where the set is unbounded.

        Example:
            >>> from strategic_envs.sets import Box
            >>> Box(-1, 1).frank_wolfe_gap(torch.tensor([0.5]), torch.tensor([3.0]))
            tensor(1.5000)
        """
        return self.support(g).value - (g * x).sum(-1) if self.bounded else g.norm(dim=-1)

    def contains(self, x: Float[Tensor, "*batch dim"], atol: float = 1e-6) -> Bool[Tensor, "*batch"]:
        """Whether each point lies in the set, up to a distance of `atol`; a point that is not finite does not."""
        near = (self.project(x) - x).norm(dim=-1) <= atol
        return near & x.isfinite().all(-1)

    def centre(self, *, dtype: torch.dtype = torch.float64) -> Float[Tensor, " dim"]:
        """A point in the middle: the projection of the origin on an unbounded set."""
        return self.project(torch.zeros(self.dim, dtype=dtype))

    def validate(self, x: object, who: str = "the strategy", atol: float = 1e-6) -> Tensor:
        """Returns `x` if it is a floating tensor of this dimension inside the set.

        Raises:
            InvalidStrategyError: If it is not; the message says what was got and what was expected.

        Example:
            >>> from strategic_envs.sets import Box
            >>> Box(0, 1).validate(torch.tensor([2.0]), "x")
            Traceback (most recent call last):
                ...
            strategic_envs.errors.InvalidStrategyError: x: got [2.0], which lies outside Box(0.0, 1.0): project it first
        """
        if not isinstance(x, Tensor) or not x.is_floating_point():
            got = f"dtype {x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise InvalidStrategyError(
                f"{who}: got {got}, expected a floating-point tensor of shape (*batch, {self.dim})"
            )
        if x.ndim < 1 or x.shape[-1] != self.dim:
            raise InvalidStrategyError(f"{who}: got shape {tuple(x.shape)}, expected (*batch, {self.dim}) for {self}")
        if not x.isfinite().all():
            raise InvalidStrategyError(f"{who}: got a value that is NaN or infinite, expected finite numbers in {self}")
        inside = self.contains(x, atol)
        if not inside.all():
            worst = x.reshape(-1, self.dim)[int((~inside).reshape(-1).nonzero()[0])]
            shown = [round(v, 6) for v in worst[:6].tolist()]
            raise InvalidStrategyError(f"{who}: got {shown}, which lies outside {self}: project it first")
        return x


def vector(value: float | Sequence[float] | Tensor, dim: int | None) -> Tensor:
    """A bound or a centre as a float64 vector; a number stands for every one of `dim` coordinates.

    Raises:
        InvalidGameError: If it is neither a number nor a vector of `dim` numbers.

    Example:
        >>> vector(1.0, 2).tolist()
        [1.0, 1.0]
    """
    tensor = torch.as_tensor(value, dtype=torch.float64).detach().cpu()
    if tensor.ndim == 0:
        return tensor.expand(1 if dim is None else dim).clone()
    if tensor.ndim != 1 or (dim is not None and tensor.shape[0] != dim):
        raise InvalidGameError(
            f"a bound is a number or a vector of {dim or 'dim'} numbers, got shape {tuple(tensor.shape)}"
        )
    return tensor.clone()
