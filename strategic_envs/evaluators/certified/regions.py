"""Strategy sets as a proof sees them: a box around the set, and linear constraints that its members obey in a cell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from strategic_envs.evaluators.certified import intervals as iv
from strategic_envs.evaluators.certified.intervals import Interval
from strategic_envs.sets import Ball, Box, Polytope, Product, Simplex, StrategySet

__all__ = ["BallRegion", "BoxRegion", "Cuts", "PolytopeRegion", "ProductRegion", "Region", "SimplexRegion", "region_of"]

_ROUNDING = 2.0**-50
_PROGRAM = 1e-6  # how far a linear program's optimum may be off
_MARGIN = 1e-12  # inside by so much, a point is a member whatever the rounding


class Cuts(NamedTuple):
    """Linear constraints `<n, y> <= b` that hold for the set's members in each of C cells.

    Args:
        normals: `(C, m, d)`.
        offsets: `(C, m)`, enclosed.
        equal: For each of the m whether it holds with equality.
    """

    normals: np.ndarray
    offsets: Interval
    equal: tuple[bool, ...]


class Region:
    """A set inside a box, by default the box itself.

    Args:
        low: The lower corner `(d,)` of a box that holds the set.
        high: Its upper corner.
    """

    solid = True  # whether every point of the box is a member: then a cell's face is as good as the cell

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low, self.high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)

    def cuts(self, low: np.ndarray, high: np.ndarray) -> Cuts | None:
        """Constraints for the cells `[low, high]`, or None where there are none but the box."""
        return None

    def members(self, points: np.ndarray) -> np.ndarray:
        """Which of the points `(C, d)` of the box are certainly members."""
        return np.full(len(points), self.solid)

    def shrink(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Smaller cells with the same members of the set; empty ones have `low > high` somewhere."""
        found = self.cuts(low, high)
        if found is None:
            return low, high
        for _ in range(2):
            low, high = _propagated(low, high, found)
        return low, high


class BoxRegion(Region):
    """A box."""


class SimplexRegion(Region):
    """Probability vectors: the unit box, and a sum of 1."""

    solid = False

    def __init__(self, dim: int) -> None:
        super().__init__(np.zeros(dim), np.ones(dim))

    def cuts(self, low: np.ndarray, high: np.ndarray) -> Cuts:
        shape = (len(low), 1)
        return Cuts(np.ones((*shape, low.shape[1])), iv.point(np.ones(shape)), (True,))


class PolytopeRegion(Region):
    """All `x` with `A x <= b` inside a box."""

    solid = False

    def __init__(self, normals: np.ndarray, offsets: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        super().__init__(low, high)
        self.normals, self.offsets = normals, offsets

    def cuts(self, low: np.ndarray, high: np.ndarray) -> Cuts:
        normals = np.broadcast_to(self.normals, (len(low), *self.normals.shape))
        offsets = iv.point(np.broadcast_to(self.offsets, normals.shape[:2]))
        return Cuts(normals, offsets, (False,) * normals.shape[1])

    def members(self, points: np.ndarray) -> np.ndarray:
        margin = _MARGIN * (1 + np.abs(self.normals).sum(1) * np.abs(points).max(initial=0.0) + np.abs(self.offsets))
        return (points @ self.normals.T <= self.offsets - margin).all(1)


class BallRegion(Region):
    """A ball: near a cell, the half-space that touches it in the direction of the cell."""

    solid = False

    def __init__(self, centre: np.ndarray, radius: float) -> None:
        edge = iv.outward(centre - radius, centre + radius, _ROUNDING, _ROUNDING * radius)
        super().__init__(edge.lo, edge.hi)
        self.centre, self.radius = centre, radius

    def cuts(self, low: np.ndarray, high: np.ndarray) -> Cuts:
        direction = (low + high) / 2 - self.centre
        length = np.linalg.norm(direction, axis=1, keepdims=True)
        start = np.zeros_like(direction)
        start[:, 0] = 1.0
        normal = np.where(length > 0, direction / np.where(length > 0, length, 1.0), start)
        n = iv.point(normal)
        size = np.sqrt(iv.total(iv.square(n), 1).hi) * (1 + _ROUNDING)  # <n, y - centre> <= |n| radius
        reach = iv.multiply(iv.point(size), iv.point(self.radius))
        offset = iv.add(iv.total(iv.multiply(n, iv.point(self.centre)), 1), reach)
        return Cuts(normal[:, None], Interval(offset.lo[:, None], offset.hi[:, None]), (False,))

    def members(self, points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points - self.centre, axis=1) <= self.radius * (1 - _MARGIN)


class ProductRegion(Region):
    """Regions side by side."""

    def __init__(self, parts: list[Region]) -> None:
        super().__init__(np.concatenate([p.low for p in parts]), np.concatenate([p.high for p in parts]))
        self.parts = parts
        self.solid = all(p.solid for p in parts)

    def cuts(self, low: np.ndarray, high: np.ndarray) -> Cuts | None:
        normals, offsets, equal, start = [], [], (), 0
        for part in self.parts:
            stop = start + len(part.low)
            found = part.cuts(low[:, start:stop], high[:, start:stop])
            if found is not None:
                wide = np.zeros((*found.normals.shape[:2], low.shape[1]))
                wide[:, :, start:stop] = found.normals
                normals.append(wide)
                offsets.append(found.offsets)
                equal += found.equal
            start = stop
        if not normals:
            return None
        joined = Interval(np.concatenate([o.lo for o in offsets], 1), np.concatenate([o.hi for o in offsets], 1))
        return Cuts(np.concatenate(normals, 1), joined, equal)

    def members(self, points: np.ndarray) -> np.ndarray:
        found, start = np.ones(len(points), dtype=bool), 0
        for part in self.parts:
            stop = start + len(part.low)
            found &= part.members(points[:, start:stop])
            start = stop
        return found


def _propagated(low: np.ndarray, high: np.ndarray, cuts: Cuts) -> tuple[np.ndarray, np.ndarray]:
    """Each coordinate bounded by what a constraint leaves to it when the others are at their best."""
    with np.errstate(all="ignore"):
        for i, equal in enumerate(cuts.equal):
            for sign in (1.0, -1.0) if equal else (1.0,):
                n = sign * cuts.normals[:, i]
                b = sign * (cuts.offsets.hi[:, i] if sign > 0 else cuts.offsets.lo[:, i])
                terms = iv.multiply(iv.point(n), Interval(low, high))
                for k in range(low.shape[1]):
                    others = iv.total(Interval(np.delete(terms.lo, k, 1), np.delete(terms.lo, k, 1)), 1).lo
                    room = iv.subtract(iv.point(b), Interval(others, others)).hi
                    edge = iv.divide(Interval(room, room), iv.point(n[:, k]))
                    high = high.copy()
                    low = low.copy()
                    high[:, k] = np.where(n[:, k] > 0, np.fmin(high[:, k], edge.hi), high[:, k])
                    low[:, k] = np.where(n[:, k] < 0, np.fmax(low[:, k], edge.lo), low[:, k])
                    low[:, k] = np.where((n[:, k] == 0) & (room < 0), np.inf, low[:, k])
    return low, high


def region_of(strategies: StrategySet) -> Region:
    """A strategy set as a region; an unknown set becomes the box around it, which still bounds from above.

    Example:
        >>> region_of(Simplex(3)).high.tolist()
        [1.0, 1.0, 1.0]
    """
    if isinstance(strategies, Box):
        return BoxRegion(strategies.low.numpy(), strategies.high.numpy())
    if isinstance(strategies, Simplex):
        return SimplexRegion(strategies.n)
    if isinstance(strategies, Ball):
        return BallRegion(strategies.centre_point.numpy(), strategies.radius)
    if isinstance(strategies, Product):
        return ProductRegion([region_of(part) for part in strategies.parts])
    low, high = (bound.numpy() for bound in strategies.bounds())
    if strategies.periodic:  # the cell of its coordinates: every point of the torus has one there
        return BoxRegion(low, high)
    if isinstance(strategies, Polytope):  # the box comes from linear programs; the cuts narrow it again
        box = iv.outward(low, high, _PROGRAM, _PROGRAM)
        return PolytopeRegion(strategies.normals.numpy(), strategies.offsets.numpy(), box.lo, box.hi)
    box = iv.outward(low, high, _ROUNDING, _MARGIN)
    region = BoxRegion(box.lo, box.hi)
    region.solid = False
    return region
