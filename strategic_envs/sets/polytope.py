"""Polytopes: bounded sets given by linear inequalities."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.optimize import linprog
from scipy.spatial import Delaunay, HalfspaceIntersection
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.sets.base import StrategySet, SupportPoint
from strategic_envs.sets.least_distance import Inequalities

__all__ = ["Polytope"]

_MANY = 100_000  # an estimate of the number of vertices above which linear programs are solved in their place
_WALK = 64  # steps of the random walk that samples a polytope of many vertices, per dimension


@dataclass(frozen=True, eq=False, repr=False)
class Polytope(StrategySet):
    """All x with `normals @ x <= offsets`.

    Projections are exact: they satisfy the optimality conditions to about 1e-12. The support function goes through the
    vertices, or solves linear programs where there are very many.

    Args:
        normals: A, of shape `(m, d)`, one inequality a row.
        offsets: b, of shape `(m,)`.
        flat: Allow a set without interior, such as a slice of another one; `vertices` are its corners all the same.

    Raises:
        InvalidGameError: If the numbers are not finite or do not fit each other, a normal is zero, or the set is empty,
            unbounded, or (unless `flat`) without an interior point.

    Example:
        >>> corner = Polytope([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]], [0.0, 0.0, 1.0])
        >>> corner.project(torch.tensor([1.0, 1.0]))
        tensor([0.5000, 0.5000])
        >>> sorted(corner.vertices.tolist())
        [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """

    normals: Tensor
    offsets: Tensor

    def __init__(
        self, normals: Sequence[Sequence[float]] | Tensor, offsets: Sequence[float] | Tensor, *, flat: bool = False
    ) -> None:
        a, b = _checked(normals, offsets)
        object.__setattr__(self, "normals", a)
        object.__setattr__(self, "offsets", b)
        length = a.norm(dim=-1)
        object.__setattr__(self, "_inequalities", Inequalities(a / length.unsqueeze(-1)))
        object.__setattr__(self, "_levels", b / length)
        centre, radius = _inner_ball(self._unit, self._levels)
        size = 1.0 + float(self._levels.abs().max())
        if radius < -1e-9 * size:
            raise InvalidGameError(f"{self} is empty: no point meets all inequalities; change the offsets {b.tolist()}")
        if radius <= 1e-9 * size and not flat:
            raise InvalidGameError(
                f"{self} has no interior point: the largest ball inside has radius {max(radius, 0.0) + 0.0:.3g}; "
                "widen the offsets, or describe it with fewer coordinates"
            )
        object.__setattr__(self, "_inner", centre)
        object.__setattr__(self, "_solid", radius > 1e-9 * size)
        object.__setattr__(self, "_bounds", _bounding_box(self))

    _inequalities: Inequalities
    _levels: Tensor
    _inner: Tensor
    _solid: bool
    _bounds: tuple[Tensor, Tensor]

    @classmethod
    def simplex_corner(cls, dim: int, total: float = 1.0) -> Polytope:
        """All x with `x >= 0` and `sum(x) <= total`: shares of something that need not be used up.

        Example:
            >>> Polytope.simplex_corner(2).project(torch.tensor([-1.0, 0.5]))
            tensor([0.0000, 0.5000])
        """
        normals = torch.cat([-torch.eye(dim, dtype=torch.float64), torch.ones(1, dim, dtype=torch.float64)])
        return cls(normals, [0.0] * dim + [total])

    def __repr__(self) -> str:
        m, d = self.normals.shape
        if m * d <= 16:
            return f"Polytope({self.normals.tolist()}, {self.offsets.tolist()})"
        return f"Polytope(<{m} inequalities in {d} dimensions>)"

    @property
    def _unit(self) -> Tensor:
        return self._inequalities.normals

    @property
    def dim(self) -> int:
        return self.normals.shape[1]

    @property
    def _listed(self) -> bool:
        """Whether the vertices can be listed."""
        m, d = self.normals.shape
        return self._inequalities.few or (self._solid and math.comb(m, min(m, max(d // 2, 1))) <= _MANY)

    @functools.cached_property
    def vertices(self) -> Float[Tensor, "k dim"]:
        """The corners, float64, in lexicographic order.

        Raises:
            InvalidGameError: If there are too many to list.
        """
        if not self._listed:
            raise InvalidGameError(f"{self} has too many vertices to list: use support, which solves linear programs")
        size = 1.0 + float(self._levels.abs().max())
        if self._inequalities.few:
            corners = self._inequalities._corners @ self._levels
            corners = corners[(corners @ self._unit.T - self._levels).amax(-1) <= 1e-9 * size]
        else:
            halfspaces = torch.cat([self._unit, -self._levels.unsqueeze(-1)], dim=-1).numpy()
            corners = torch.from_numpy(HalfspaceIntersection(halfspaces, self._inner.numpy()).intersections)
        _, first = np.unique((corners / size * 1e9).round().numpy() + 0.0, axis=0, return_index=True)
        return corners[torch.from_numpy(first)]

    @property
    def diameter(self) -> float:
        """The largest distance of two vertices; where they are too many to list, the diagonal of the bounding box."""
        return self._diameter

    @functools.cached_property
    def _diameter(self) -> float:
        if self._listed and len(self.vertices) <= 4096:
            return float(torch.cdist(self.vertices, self.vertices).max())
        low, high = self.bounds()
        return float((high - low).norm())

    def bounds(self) -> tuple[Float[Tensor, " dim"], Float[Tensor, " dim"]]:
        return self._bounds

    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return self._inequalities.nearest(x, self._levels)

    def support(self, g: Float[Tensor, "*batch dim"]) -> SupportPoint:
        if self._listed:
            corners = self.vertices.to(g)
            best = (g @ corners.T).max(-1)
            return SupportPoint(best.values, corners[best.indices])
        argmax = self._inequalities.furthest(g, self._levels, 0.0)
        return SupportPoint((g * argmax).sum(-1), argmax)

    def contains(self, x: Float[Tensor, "*batch dim"], atol: float = 1e-6) -> Bool[Tensor, "*batch"]:
        """Whether each point meets every inequality up to a distance of `atol` from its plane."""
        return ((x @ self._unit.to(x).T - self._levels.to(x)).amax(-1) <= atol) & x.isfinite().all(-1)

    def sample(
        self,
        shape: Sequence[int] = (),
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> Float[Tensor, "*batch dim"]:
        """Points of shape `(*shape, dim)`, uniform; by a random walk, and nearly so, where vertices are very many.

        A flat set is sampled by random averages of its vertices, which is not uniform.
        """
        device = generator.device if generator is not None else None
        count = math.prod(shape)
        if self._listed and (self.dim <= 6 or not self._solid):
            corners, volume = self._pieces
            uniform = torch.rand((count, corners.shape[1] + 1), generator=generator, dtype=torch.float64, device=device)
            piece = torch.searchsorted(volume.to(uniform).cumsum(0) / volume.sum(), uniform[:, 0].contiguous()).clamp(
                max=len(volume) - 1
            )
            spread = -torch.log1p(-uniform[:, 1:]) + 1e-300  # normalised exponentials: uniform in a simplex
            weights = (spread / spread.sum(-1, keepdim=True)).unsqueeze(1)
            return (weights @ corners.to(uniform)[piece]).squeeze(1).reshape(*shape, self.dim).to(dtype)
        return self._walk(count, generator, device).reshape(*shape, self.dim).to(dtype)

    @functools.cached_property
    def _pieces(self) -> tuple[Tensor, Tensor]:
        """Simplices that fill the set, `(k, d + 1, d)`, and their volumes up to a factor."""
        v = self.vertices
        if not self._solid:
            return v.unsqueeze(0), torch.ones(1, dtype=torch.float64)
        if self.dim == 1:
            return v.unsqueeze(0), torch.ones(1, dtype=torch.float64)
        pieces = v[torch.from_numpy(Delaunay(v.numpy()).simplices.astype(np.int64))]
        return pieces, torch.linalg.det(pieces[:, 1:] - pieces[:, :1]).abs()

    def _walk(self, count: int, generator: torch.Generator | None, device: torch.device | None) -> Tensor:
        """Hit and run: from the middle, again and again to a uniform point of a random chord."""
        a, b = self._unit.to(device), self._levels.to(device)
        x = self._inner.to(device).expand(count, self.dim)
        for _ in range(_WALK * self.dim):
            way = torch.randn((count, self.dim), generator=generator, dtype=torch.float64, device=device)
            along, room = way @ a.T, b - x @ a.T
            steps = room / torch.where(along == 0, 1e-300, along)
            ahead = torch.where(along > 0, steps, torch.inf).amin(-1, keepdim=True)
            behind = torch.where(along < 0, steps, -torch.inf).amax(-1, keepdim=True)
            uniform = torch.rand((count, 1), generator=generator, dtype=torch.float64, device=device)
            x = x + (behind + uniform * (ahead - behind)) * way
        return x

    def centre(self, *, dtype: torch.dtype = torch.float64) -> Float[Tensor, " dim"]:
        """The mean of the vertices, or the middle of a ball inside where they are too many to list."""
        return (self.vertices.mean(0) if self._listed else self._inner).to(dtype)


def _checked(normals: Sequence[Sequence[float]] | Tensor, offsets: Sequence[float] | Tensor) -> tuple[Tensor, Tensor]:
    try:
        a = torch.as_tensor(normals, dtype=torch.float64).detach().cpu().clone()
        b = torch.as_tensor(offsets, dtype=torch.float64).detach().cpu().clone()
    except (ValueError, TypeError) as error:
        raise InvalidGameError(f"a Polytope needs a rectangular matrix and a vector of numbers: {error}") from error
    if a.ndim != 2 or 0 in a.shape or b.shape != a.shape[:1]:
        raise InvalidGameError(
            f"a Polytope needs normals (m, d) and offsets (m,), got shapes {tuple(a.shape)} and {tuple(b.shape)}"
        )
    if not (a.isfinite().all() and b.isfinite().all()):
        raise InvalidGameError("a Polytope needs finite normals and offsets, got NaN or infinity")
    zero = (a.norm(dim=-1) == 0).nonzero().flatten().tolist()
    if zero:
        raise InvalidGameError(
            f"a Polytope needs normals that are not zero, got zero in the rows {zero}: leave them out"
        )
    return a, b


def _inner_ball(unit: Tensor, levels: Tensor) -> tuple[Tensor, float]:
    """The centre and radius of a largest ball inside, of radius at most 1; a negative radius if there is none."""
    m, d = unit.shape
    cost = np.zeros(d + 1)
    cost[-1] = -1.0
    inequalities = np.hstack([unit.numpy(), np.ones((m, 1))])
    free: list[tuple[float | None, float | None]] = [(None, None)] * d
    found = linprog(cost, A_ub=inequalities, b_ub=levels.numpy(), bounds=[*free, (None, 1.0)])
    if found.x is None:  # numbers so far apart that the solver gives up
        raise InvalidGameError(f"the linear program for a point inside failed: {found.message}")
    return torch.from_numpy(np.asarray(found.x[:-1])), float(found.x[-1])


def _bounding_box(polytope: Polytope) -> tuple[Tensor, Tensor]:
    low, high = [], []
    for j in range(polytope.dim):
        for sign, ends in ((1.0, low), (-1.0, high)):
            cost = np.zeros(polytope.dim)
            cost[j] = sign
            found = linprog(cost, A_ub=polytope._unit.numpy(), b_ub=polytope._levels.numpy(), bounds=(None, None))
            if found.x is None:
                way = "down" if sign > 0 else "up"
                raise InvalidGameError(
                    f"{polytope} is unbounded: coordinate {j} goes {way} for ever; add an inequality"
                )
            ends.append(float(found.x[j]))
    return torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64)
