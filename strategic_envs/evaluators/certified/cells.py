"""Proved upper bounds of a function on cells, from its values and its first two derivatives.

Four bounds, of which the smallest counts. With c the middle of the cell, `s = y - c`, and G and H enclosures of the
gradient and the Hessian on the whole cell:

    by values       g(cell)
    by the slopes   g(c) + max_s <G, s>                                  (mean-value theorem)
    by curvature    g(c) + max_s <g'(c), s> + 1/2 sum_k D_k s_k^2        (Taylor; D bounds H from above by a diagonal)
    by axes         the same in coordinates that turn H nearly diagonal, where the cell is concave

The excess of the last two over the true maximum is of the third order in the width near a maximum with definite
curvature, so that only a bounded number of cells survives at every width: no cluster. Outside the set a cell's points
are made unattractive by multipliers of the set's constraints (weak duality: any multiplier gives a bound).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from strategic_envs.evaluators.certified import intervals as iv
from strategic_envs.evaluators.certified.intervals import Interval
from strategic_envs.evaluators.certified.objective import Objective
from strategic_envs.evaluators.certified.regions import Cuts, Region

__all__ = ["Bounds", "bound", "middle"]


class Bounds(NamedTuple):
    """What was found on C cells.

    Args:
        upper: No member of the set in the cell has a larger value, `(C,)`.
        slopes: The gradient on the cell, `(C, d)`.
        centre: A point of each cell, `(C, d)`.
        lower: The value there is at least this, `(C,)`.
        highest: The value there is at most this, `(C,)`.
    """

    upper: np.ndarray
    slopes: Interval
    centre: np.ndarray
    lower: np.ndarray
    highest: np.ndarray


def middle(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """A finite number between the bounds: their middle, or far beyond the finite one where the other is not."""
    with np.errstate(invalid="ignore", over="ignore"):
        centre = low / 2 + high / 2
        centre = np.where(np.isneginf(low) & np.isfinite(high), high - np.maximum(1.0, 15 * np.abs(high)), centre)
        centre = np.where(np.isposinf(high) & np.isfinite(low), low + np.maximum(1.0, 15 * np.abs(low)), centre)
    return np.clip(np.where(np.isfinite(centre), centre, 0.0), low, high)


def bound(objective: Objective, region: Region, low: np.ndarray, high: np.ndarray) -> Bounds:
    """Bounds the function on the cells `[low, high]`, both `(C, d)`."""
    centre = middle(low, high)
    over, at = objective.enclose(low, high, 2), objective.enclose(centre, centre, 1)
    with np.errstate(all="ignore"):
        offsets = Interval(np.minimum(iv.subtract(iv.point(low), iv.point(centre)).lo, 0.0), _reach(high, centre))
        upper, slopes = over.value.hi, over.slopes
        cuts = region.cuts(low, high)
        penalty, tilt = (None, None) if cuts is None else _multipliers(cuts, at.slopes, offsets, centre)
        start = at.value if penalty is None else iv.add(at.value, penalty)
        tilted = slopes if tilt is None else iv.subtract(slopes, tilt)
        gradient = at.slopes if tilt is None else iv.subtract(at.slopes, tilt)
        for growth in (_by_slopes(tilted, offsets), *_by_curvature(gradient, over.bends, offsets)):
            candidate = iv.add(Interval(start.hi, start.hi), Interval(growth, growth)).hi
            upper = np.fmin(upper, candidate)
    return Bounds(upper, slopes, centre, at.value.lo, at.value.hi)


def _reach(high: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.maximum(iv.subtract(iv.point(high), iv.point(centre)).hi, 0.0)


def _sum_up(terms: np.ndarray) -> np.ndarray:
    return iv.total(Interval(terms, terms), terms.ndim - 1).hi


def _by_slopes(slopes: Interval, offsets: Interval) -> np.ndarray:
    return _sum_up(iv.multiply(slopes, offsets).hi)


def _by_curvature(gradient: Interval, bends: Interval, offsets: Interval) -> list[np.ndarray]:
    """Three bounds of `max_s <g, s> + 1/2 s'Hs` over a box of offsets."""
    d = gradient.lo.shape[1]
    eye = np.eye(d, dtype=bool)
    free = (offsets.hi - offsets.lo) > 0
    both = free[:, :, None] & free[:, None, :]
    # Along a coordinate that does not vary any curvature will do; a negative one keeps the others visible.
    lo = np.where(both, bends.lo, np.where(eye, -1.0, 0.0))
    hi = np.where(both, bends.hi, np.where(eye, -1.0, 0.0))
    g = Interval(np.where(free, gradient.lo, 0.0), np.where(free, gradient.hi, 0.0))
    diagonal = np.diagonal(hi, axis1=1, axis2=2)
    if d == 1:
        return [_sum_up(_parabola(g, diagonal, offsets))]
    mixed = np.where(eye, 0.0, np.maximum(np.abs(lo), np.abs(hi)))
    dominant = iv.add(iv.point(diagonal), iv.total(Interval(mixed, mixed), 2)).hi
    largest = np.maximum(np.abs(offsets.lo), np.abs(offsets.hi))
    product = iv.multiply(Interval(largest[:, :, None], largest[:, :, None]), iv.point(largest[:, None, :]))
    cross = iv.multiply(Interval(mixed, mixed), product).hi.reshape(len(mixed), -1)
    crossing = iv.scale(Interval(cross, cross), 0.5).hi
    apart = np.concatenate([_parabola(g, diagonal, offsets), crossing], axis=1)
    return [_sum_up(_parabola(g, dominant, offsets)), _sum_up(apart), _along_axes(g, Interval(lo, hi))]


def _parabola(g: Interval, bend: np.ndarray, offsets: Interval) -> np.ndarray:
    """Upper bounds of `max p s + 1/2 D s^2` for s in an interval, entry by entry, p in g."""
    best = np.full(bend.shape, -np.inf)
    half = iv.scale(Interval(bend, bend), 0.5)
    for p in (g.lo, g.hi):  # the maximum is convex in p, so an end of g is worst
        for s in (offsets.lo, offsets.hi):
            line = iv.multiply(Interval(p, p), Interval(s, s))
            value = iv.add(line, iv.multiply(half, iv.square(Interval(s, s)))).hi
            value = np.where(
                np.isfinite(s), value, np.where((bend < 0) | ((bend == 0) & (p * s <= 0)), -np.inf, np.inf)
            )
            best = np.maximum(best, value)
        top = -p / bend
        slack = 1e-9 * (offsets.hi - offsets.lo)
        inside = (bend < 0) & ~((top < offsets.lo - slack) | (top > offsets.hi + slack))
        peak = iv.divide(iv.square(Interval(p, p)), iv.scale(Interval(-bend, -bend), 2.0)).hi
        best = np.where(inside, np.maximum(best, peak), best)
    return np.maximum(best, 0.0)  # s = 0 is a member


def _along_axes(g: Interval, bends: Interval) -> np.ndarray:
    """`sum_k (V'g)_k^2 / (-2 D_k)` with V'HV nearly diagonal and D its upper diagonal; `inf` where not concave."""
    usable = np.isfinite(bends.lo).all((1, 2)) & np.isfinite(bends.hi).all((1, 2))
    centre = np.where(usable.reshape(-1, 1, 1), (bends.lo + bends.hi) / 2, -np.eye(bends.lo.shape[1]))
    axes = np.linalg.eigh(centre)[1]  # (C, d, d), columns
    v = iv.point(axes)
    turned = _product(_product(iv.point(axes.swapaxes(1, 2)), bends), v)
    d = axes.shape[1]
    off = np.where(np.eye(d, dtype=bool), 0.0, np.maximum(np.abs(turned.lo), np.abs(turned.hi)))
    diagonal = np.diagonal(turned.hi, axis1=1, axis2=2)
    dominant = iv.add(iv.point(diagonal), iv.total(Interval(off, off), 2)).hi
    slope = iv.total(iv.multiply(v, Interval(g.lo[:, :, None], g.hi[:, :, None])), 1)
    gain = iv.divide(iv.square(slope), iv.scale(Interval(-dominant, -dominant), 2.0)).hi
    # Columns within 1/2 of orthonormal are a basis: then every offset is a combination of them.
    basis = np.abs(axes.swapaxes(1, 2) @ axes - np.eye(d)).sum(2).max(1) < 0.4
    return np.where(usable & basis & (dominant < 0).all(1), _sum_up(gain), np.inf)


def _product(a: Interval, b: Interval) -> Interval:
    first = Interval(a.lo[:, :, :, None], a.hi[:, :, :, None])
    second = Interval(b.lo[:, None, :, :], b.hi[:, None, :, :])
    return iv.total(iv.multiply(first, second), 2)


def _multipliers(cuts: Cuts, gradient: Interval, offsets: Interval, centre: np.ndarray) -> tuple[Interval, Interval]:
    """`sum_i l_i (b_i - <n_i, c>)` and `sum_i l_i n_i` for multipliers that make the linear bound small.

    The multipliers are found by coordinate descent on the bound by slopes, whose kinks are where a coordinate's slope
    vanishes; that they are rounded does not matter.
    """
    p = np.nan_to_num((gradient.lo + gradient.hi) / 2, nan=0.0, posinf=0.0, neginf=0.0)
    normals = cuts.normals
    room = iv.subtract(cuts.offsets, iv.total(iv.multiply(iv.point(normals), iv.point(centre[:, None, :])), 2))
    low, high = np.maximum(offsets.lo, -1e300), np.minimum(offsets.hi, 1e300)
    multipliers = np.zeros(normals.shape[:2])
    for _ in range(2 if normals.shape[1] > 1 else 1):
        for i in range(normals.shape[1]):
            n = normals[:, i]
            rest = p - (multipliers[:, :, None] * normals).sum(1) + multipliers[:, i, None] * n
            kinks = np.concatenate([np.zeros((len(n), 1)), np.where(n != 0, rest / np.where(n == 0, 1.0, n), 0.0)], 1)
            kinks = kinks if cuts.equal[i] else np.maximum(kinks, 0.0)
            slope = rest[:, None, :] - kinks[:, :, None] * n[:, None, :]
            value = np.maximum(slope * low[:, None, :], slope * high[:, None, :]).sum(2) + kinks * room.hi[:, i, None]
            best = np.nan_to_num(value, nan=np.inf).argmin(1)
            multipliers[:, i] = np.take_along_axis(kinks, best[:, None], 1)[:, 0]
    multipliers = np.nan_to_num(multipliers, nan=0.0, posinf=0.0, neginf=0.0)
    penalty = iv.total(iv.multiply(iv.point(multipliers), room), 1)
    return penalty, iv.total(iv.multiply(iv.point(multipliers[:, :, None]), iv.point(normals)), 1)
