"""Strategy sets: where a player's strategy lives.

A set knows its Euclidean projection, its support function `h(g) = max_{y in set} <g, y>` with a maximiser, its
diameter, how to draw a point and whether a point lies in it. All methods take tensors `(*batch, dim)` and act on the
last axis. Support functions are what makes the interpolation family of local gaps exact.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError

__all__ = ["Ball", "Box", "Product", "Simplex", "StrategySet", "SupportPoint"]


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


def _vector(value: float | Sequence[float] | Tensor, dim: int | None) -> Tensor:
    tensor = torch.as_tensor(value, dtype=torch.float64).detach().cpu()
    if tensor.ndim == 0:
        return tensor.expand(1 if dim is None else dim).clone()
    if tensor.ndim != 1 or (dim is not None and tensor.shape[0] != dim):
        raise InvalidGameError(
            f"a bound is a number or a vector of {dim or 'dim'} numbers, got shape {tuple(tensor.shape)}"
        )
    return tensor.clone()


@dataclass(frozen=True, eq=False, repr=False)
class Box(StrategySet):
    """All x with `low <= x <= high`, coordinate by coordinate; infinite bounds are allowed.

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
        lo, hi = _vector(low, dim), _vector(high, dim)
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
        return f"Box({self.low.tolist()}, {self.high.tolist()})"

    @property
    def dim(self) -> int:
        return len(self.low)

    @property
    def diameter(self) -> float:
        return float((self.high - self.low).norm())

    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return x.clamp(self.low.to(x), self.high.to(x))

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
        point = _vector(centre, dim)
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


@dataclass(frozen=True, eq=False, repr=False)
class Product(StrategySet):
    """The Cartesian product of sets, their coordinates one after another.

    Example:
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

    def split(self, x: Float[Tensor, "*batch dim"]) -> tuple[Tensor, ...]:
        """The coordinates of each part."""
        return x.split(list(self.dims), dim=-1)

    def slice(self, part: int) -> StrategySet:
        """The set of one part's coordinates when the others are held fixed: on a product, the part itself."""
        return self.parts[part]

    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return torch.cat([p.project(c) for p, c in zip(self.parts, self.split(x), strict=True)], dim=-1)

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
