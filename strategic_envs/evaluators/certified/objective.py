"""A player's expected utility against the others' play, enclosed on cells of its own strategies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from strategic_envs.evaluators.certified import intervals as iv
from strategic_envs.evaluators.certified.graph import Program
from strategic_envs.evaluators.certified.intervals import Interval
from strategic_envs.evaluators.certified.jets import Jet, pairs

__all__ = ["Enclosure", "Objective", "enclosed_mean", "weights_of"]

_ENTRIES = 2**18  # cells times points enclosed in one call


class Enclosure(NamedTuple):
    """What is known of a function on C cells of d coordinates: value `(C,)`, slopes `(C, d)`, bends `(C, d, d)`."""

    value: Interval
    slopes: Interval
    bends: Interval


def weights_of(weights: np.ndarray, players: int) -> Interval:
    """Probabilities with a slack for how they were made: divided by their sum, multiplied over players, merged."""
    if len(weights) == 1:
        return iv.point(np.ones(1))
    return iv.outward(weights, weights, 2.0**-52 * (len(weights) + 8 * players))


class Objective:
    """The function `y -> sum_t w_t u_i(y, x_t)` of a player's own strategy.

    Args:
        program: The player's recorded utility.
        others: For each player the points `(T, d_i)`.
        weights: Their probabilities `(T,)`, enclosed.
    """

    def __init__(self, program: Program, others: Sequence[np.ndarray], weights: Interval) -> None:
        self.program, self.others, self.weights = program, list(others), weights
        self.dim = program.dim
        self.evaluations = 0  # cells and points at which the function was enclosed
        self._fixed: dict[int, dict[Any, Any]] = {}

    def enclose(self, low: np.ndarray, high: np.ndarray, order: int = 0) -> Enclosure:
        """Enclosures of the value, and of the first `order` derivatives, on the cells `[low, high]`, `(C, d)` each."""
        count, points = len(low), len(self.weights.lo)
        self.evaluations += count
        chunk = max(1, _ENTRIES // points)
        with np.errstate(all="ignore"):
            if order not in self._fixed:
                self._fixed[order] = self.program.fixed(self.others, order)
            parts = [self._some(low[i : i + chunk], high[i : i + chunk], order) for i in range(0, count, chunk)]
        return parts[0] if len(parts) == 1 else Enclosure(*(_joined(p) for p in zip(*parts, strict=True)))

    def _some(self, low: np.ndarray, high: np.ndarray, order: int) -> Enclosure:
        count, d = low.shape
        below, above = low[:, None, :], high[:, None, :]
        own = Interval(below, below) if low is high else Interval(below, above)
        jet = self.program.run(own, self.others, order, self._fixed[order])
        value = self._mean(jet.value, count)
        none = Interval(np.zeros(count), np.zeros(count))
        slopes = [none if s is None else self._mean(s, count) for s in jet.slopes]
        bends = _symmetric([none if b is None else self._mean(b, count) for b in jet.bends], d) if jet.bends else []
        return Enclosure(value, _stacked(slopes, (count, 0)), _stacked(bends, (count, 0)))

    def _mean(self, part: Interval, count: int) -> Interval:
        found = part
        if len(self.weights.lo) > 1:
            weights = Interval(self.weights.lo[None], self.weights.hi[None])
            found = iv.multiply(part, weights)
        found = iv.total(found, 1)
        return Interval(np.broadcast_to(found.lo, (count,)), np.broadcast_to(found.hi, (count,)))


def enclosed_mean(
    program: Program, own: np.ndarray, others: Sequence[np.ndarray], weights: Interval
) -> tuple[float, float]:
    """Bounds of a player's expected utility when it plays `own` `(T, d)` itself."""
    with np.errstate(all="ignore"):
        jet: Jet = program.run(iv.point(own[None]), others, 0)
        value = jet.value
        if len(weights.lo) > 1:
            value = iv.multiply(value, Interval(weights.lo[None], weights.hi[None]))
        found = iv.total(value, 1)
    return float(found.lo[0]), float(found.hi[0])


def _stacked(parts: Sequence[Interval], empty: tuple[int, ...]) -> Interval:
    if not parts:
        return Interval(np.zeros(empty), np.zeros(empty))
    return Interval(np.stack([p.lo for p in parts], 1), np.stack([p.hi for p in parts], 1))


def _symmetric(parts: Sequence[Interval], d: int) -> list[Interval]:
    place = {pair: n for n, pair in enumerate(pairs(d))}
    rows = [[parts[place[min(j, k), max(j, k)]] for k in range(d)] for j in range(d)]
    return [Interval(np.stack([p.lo for p in r], 1), np.stack([p.hi for p in r], 1)) for r in rows]


def _joined(parts: Sequence[Interval]) -> Interval:
    return Interval(np.concatenate([p.lo for p in parts]), np.concatenate([p.hi for p in parts]))
