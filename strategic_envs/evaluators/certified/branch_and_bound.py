"""Branch and bound: the maximum over a set of up to a few dimensions, with a proof.

The set lies in a box that is cut into cells. Each cell has a proved upper bound (`cells.py`); the largest bound of all
cells is an upper bound of the maximum, and the best point met is a lower one. Cells that cannot beat it by more than
the tolerance are dropped, the others with the largest bounds are halved, many at a time. Where the function increases
in a coordinate throughout a cell, its maximum lies on that side, and the cell collapses onto the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from strategic_envs.evaluators.certified.cells import Bounds, bound, middle
from strategic_envs.evaluators.certified.objective import Objective
from strategic_envs.evaluators.certified.regions import Region

__all__ = ["Search", "branch_and_bound"]

_BATCH = 256  # cells halved at once
_NARROW = 2.0**-46  # cells are not halved below this width, relative to their place (to 1 near zero)


@dataclass(frozen=True, eq=False)
class Search:
    """What a search has proved.

    Args:
        point: The best member of the set that was met, `(d,)`.
        lower: Its value is at least this.
        upper: No member's value is larger.
        evaluations: Cells and points at which the function was enclosed.
    """

    point: np.ndarray
    lower: float
    upper: float
    evaluations: int


def branch_and_bound(
    objective: Objective, region: Region, point: np.ndarray, lower: float, tolerance: float, budget: int = 100_000
) -> Search:
    """Bounds the largest value of a function on a set.

    Args:
        objective: The function.
        region: The set.
        point: A good member of the set.
        lower: A proved lower bound of the value there.
        tolerance: Stops when the upper bound is this near to the lower one.
        budget: How many cells and points to enclose at most.

    Returns:
        Bounds that hold, whether the tolerance was reached or not.
    """
    start = objective.evaluations
    low, high = region.shrink(region.low[None], region.high[None])
    queue = _Queue(low.shape[1])
    while True:
        if len(low):
            found = bound(objective, region, low, high)
            reached = np.where(region.members(found.centre), found.lower, -np.inf)
            if reached.max() > lower:
                best = int(reached.argmax())
                point, lower = found.centre[best], float(reached[best])
            done = (low == high).all(1)  # a point has no smaller cell
            if region.solid:
                low, high = _collapsed(found, low, high)
                if np.isinf(found.highest).any():  # at a single point: no smaller cell will do better
                    queue.settled = np.inf
            queue.put(low, high, found, done | (found.upper <= lower + tolerance))
        upper = max(queue.upper(), lower)
        if upper - lower <= tolerance or queue.hopeless() or objective.evaluations - start >= budget:
            return Search(point, lower, upper, objective.evaluations - start)
        low, high = queue.halves(lower + tolerance)
        low, high = region.shrink(low, high)
        alive = (low <= high).all(1)
        low, high = low[alive], high[alive]


def _collapsed(found: Bounds, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells without the coordinates in which the function is monotone."""
    rising = (found.slopes.lo >= 0) & np.isfinite(high)
    falling = (found.slopes.hi <= 0) & np.isfinite(low) & ~rising
    return np.where(rising, high, low), np.where(falling, low, high)


class _Queue:
    """The cells that are left, and the largest bound of those that were dropped."""

    def __init__(self, d: int) -> None:
        self.low, self.high, self.weight = np.empty((0, d)), np.empty((0, d)), np.empty((0, d))
        self.bounds = np.empty(0)
        self.settled = -np.inf

    def __len__(self) -> int:
        return len(self.bounds)

    def upper(self) -> float:
        """The largest bound of all."""
        return float(max(self.settled, self.bounds.max(initial=-np.inf)))

    def hopeless(self) -> bool:
        """Whether no further cell can lower the bound."""
        return not len(self) or self.settled >= float(self.bounds.max())

    def put(self, low: np.ndarray, high: np.ndarray, found: Bounds, done: np.ndarray) -> None:
        """Adds cells, apart from those that need no further look."""
        keep = ~done
        self.settled = max(self.settled, float(found.upper[~keep].max(initial=-np.inf)))
        with np.errstate(all="ignore"):
            # Halve where the function varies most; an unbounded slope says nothing, the width decides.
            steep = np.maximum(np.abs(found.slopes.lo), np.abs(found.slopes.hi))
            steep = np.where(np.isfinite(steep).all(1, keepdims=True), steep, 1.0)
            weight = (high - low) * np.maximum(steep, 1e-3 * steep.max(1, keepdims=True))
        self.low, self.high = np.concatenate([self.low, low[keep]]), np.concatenate([self.high, high[keep]])
        self.weight = np.concatenate([self.weight, np.nan_to_num(weight[keep], nan=0.0, posinf=np.inf)])
        self.bounds = np.concatenate([self.bounds, found.upper[keep]])

    def halves(self, enough: float) -> tuple[np.ndarray, np.ndarray]:
        """Takes the cells with the largest bounds and returns their halves."""
        good = self.bounds <= enough  # since a better point was met
        self.settled = max(self.settled, float(self.bounds[good].max(initial=-np.inf)))
        self._keep(~good)
        count = min(len(self), _BATCH)
        # Among unbounded cells those far out come first: if nothing excludes them, nothing will.
        finite = np.isfinite(self.bounds).all()
        far = np.zeros(len(self)) if finite else np.minimum(np.abs(self.low), np.abs(self.high)).max(1)
        taken = np.lexsort((-far, -self.bounds))[:count]
        low, high, bounds = self.low[taken], self.high[taken], self.bounds[taken]
        axis = self.weight[taken].argmax(1)
        rows = np.arange(len(taken))
        rest = np.ones(len(self), dtype=bool)
        rest[taken] = False
        self._keep(rest)
        cut = middle(low, high)[rows, axis]
        narrow = _NARROW * np.maximum(1.0, np.abs(cut))
        splits = (cut > low[rows, axis]) & (cut < high[rows, axis]) & (np.abs(cut) < 1e15)
        splits &= high[rows, axis] - low[rows, axis] > narrow
        point = (low == high).all(1)  # collapsed since it was bounded: bound it once more, as it is
        stuck = ~splits & ~point
        self.settled = max(self.settled, float(bounds[stuck].max(initial=-np.inf)))
        left_high, right_low = high.copy(), low.copy()
        left_high[rows, axis] = right_low[rows, axis] = cut
        return (
            np.concatenate([low[splits], right_low[splits], low[point]]),
            np.concatenate([left_high[splits], high[splits], high[point]]),
        )

    def _keep(self, rows: np.ndarray) -> None:
        self.low, self.high, self.weight = self.low[rows], self.high[rows], self.weight[rows]
        self.bounds = self.bounds[rows]
