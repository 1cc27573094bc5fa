"""Wardrop equilibria by path-based gradient projection (Jayakrishnan et al. 1994), with an exact step a pair of paths.

Each pass looks at every population in turn: of every dearer strategy, flow moves to the cheapest one until both cost
the same or nothing is left, and loads and costs follow at once. The potential falls with each move. Compiled where the
costs are sums of powers and logarithms; otherwise the same sweep in tensor operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from strategic_envs.games.kinds.congestion.costs import Costs
from strategic_envs.games.kinds.congestion.incidence import Incidence

__all__ = ["Sweeps", "gradient_projection", "step_length"]


class Status(NamedTuple):
    """What stands before a pass: potential, excess, total cost, and the largest size of a cost in use."""

    potential: float
    excess: float
    total: float
    largest: float

    def small(self, costs: Costs, mass: float, tol: float) -> bool:
        """Whether the excess is small: relative to the total cost, or by mass where costs may be negative."""
        if costs.nonnegative:
            return self.excess <= tol * self.total
        return self.excess <= tol * mass * max(1.0, self.largest)


class Sweeps(Protocol):
    """Passes over flows that are kept inside."""

    flows: np.ndarray

    def status(self) -> Status:
        """Where the flows stand."""
        ...

    def sweep(self) -> bool:
        """One pass; whether any flow moved."""
        ...


class CompiledSweeps:
    """Sweeps compiled by numba, for costs that have `terms`."""

    def __init__(self, incidence: Incidence, counts: Sequence[int], costs: Costs, flows: np.ndarray) -> None:
        from strategic_envs.games.kinds.congestion import kernel  # numba takes half a second

        terms = costs.terms()
        assert terms is not None
        self.kernel, self.flows, self.terms = kernel, flows.copy(), terms
        self.rows = (incidence.starts, incidence.resources, incidence.rates)
        self.first = np.cumsum([0, *counts])
        self.integral = terms[0] / (terms[1] + 1)
        self.loads, self.costs = np.zeros(costs.size), np.zeros(costs.size)
        self.room = np.zeros(costs.size), np.zeros(costs.size, dtype=np.int64)

    def status(self) -> Status:
        """Where the flows stand; the loads are summed anew, so that rounding does not gather."""
        self.kernel.fill_loads(*self.rows, self.flows, self.loads)
        arrays = (*self.rows, self.first, self.flows, *self.terms, self.loads, self.costs)
        return Status(*self.kernel.gap(*arrays, self.integral))

    def sweep(self) -> bool:
        """One pass; whether any flow moved."""
        arrays = (*self.rows, self.first, self.flows, *self.terms, self.loads, self.costs)
        return bool(self.kernel.sweep(*arrays, *self.room))


class TensorSweeps:
    """The same sweeps with costs that are asked for, one vector of all resources at a time."""

    def __init__(self, incidence: Incidence, counts: Sequence[int], costs: Costs, flows: np.ndarray) -> None:
        self.incidence, self.counts, self.costs, self.flows = incidence, list(counts), costs, flows.copy()
        self.loads = incidence.loads(torch.from_numpy(self.flows))

    def status(self) -> Status:
        """Where the flows stand; the loads are summed anew."""
        flows = torch.from_numpy(self.flows)
        self.loads = self.incidence.loads(flows)
        paths = self.incidence.path_costs(self.costs.value(self.loads))
        parts = list(zip(flows.split(self.counts), paths.split(self.counts), strict=True))
        excess = sum(float((f * (c - c.min()))[f > 0].sum()) for f, c in parts)
        taken = flows > 0
        total, largest = float((flows * paths)[taken].sum()), float(paths[taken].abs().max())
        return Status(float(self.costs.integral(self.loads).sum()), excess, total, largest)

    def sweep(self) -> bool:
        """One pass; whether any flow moved."""
        moved, first = False, 0
        for count in self.counts:
            paths = self.incidence.path_costs(self.costs.value(self.loads))[first : first + count]
            best = first + int(paths.argmin())
            for q in range(first, first + count):
                if q != best and self.flows[q] > 0:
                    direction = self._row(best) - self._row(q)
                    s = step_length(self.costs, self.loads, direction, float(self.flows[q]))
                    moved = moved or self.flows[q] - s != self.flows[q] or self.flows[best] + s != self.flows[best]
                    self.flows[best] += s
                    self.flows[q] -= s
                    self.loads = (self.loads + s * direction).clamp(min=0)
            first += count
        return moved

    def _row(self, q: int) -> Tensor:
        row = torch.zeros(self.costs.size, dtype=torch.float64)
        entries = slice(int(self.incidence.starts[q]), int(self.incidence.starts[q + 1]))
        row[torch.from_numpy(self.incidence.resources[entries])] = torch.from_numpy(self.incidence.rates[entries])
        return row


def step_length(costs: Costs, loads: Tensor, direction: Tensor, most: float) -> float:
    """A step s in [0, most] along which the potential falls, nearly to its least value on `loads + s direction`.

    Newton's method on the potential's slope, within a bracket that is halved where Newton would leave it or gains too
    little; it stops a little before the minimum, so the potential cannot grow. The compiled kernel does the same.

    Args:
        costs: The cost functions.
        loads: Where the line starts, `(E,)`.
        direction: `(E,)`.
        most: The longest step.

    Example:
        >>> from strategic_envs.games.kinds.congestion.costs import PowerCosts
        >>> costs = PowerCosts.affine([0.0, 1.0], [0.5, 0.0])
        >>> step_length(costs, torch.tensor([1.0, 0.0]).double(), torch.tensor([-1.0, 1.0]).double(), 1.0)
        0.5
    """
    on = direction != 0

    def along(s: float) -> tuple[float, float]:
        x = (loads + s * direction).clamp(min=0)
        d = direction[on]
        return float((d * costs.value(x)[on]).sum()), float((d * d * costs.derivative(x)[on]).sum())

    g, h = along(0.0)
    if not g < 0:
        return 0.0
    first = -g if g > -np.inf else 1.0
    low, high, s, closed = 0.0, most, 0.0, False  # closed: the slope at `high` is known to be above 0
    for _ in range(200):
        new = s - g / h if 0 < h < np.inf and g > -np.inf else -1.0
        if not low < new < high:
            new = 0.5 * (low + high) if closed else high
        if new == low or (closed and new == high):  # no number is left between them
            break
        last, s = abs(g), new
        g, h = along(s)
        if -0.1 * first <= g <= 1e-6 * first or (s == most and g <= 0):
            return s
        if g < 0:
            low = s
        else:
            high, closed = s, True
        if abs(g) > 0.5 * last:
            h = 0.0  # the bracket is halved next
    return low


def gradient_projection(
    incidence: Incidence,
    counts: Sequence[int],
    costs: Costs,
    start: np.ndarray,
    *,
    tol: float,
    max_steps: int,
    sweeps: Callable[[Incidence, Sequence[int], Costs, np.ndarray], Sweeps] | None = None,
) -> tuple[np.ndarray, str, np.ndarray]:
    """Sweeps until the excess is small.

    Args:
        incidence: The strategies of all populations, one below the other.
        counts: How many of them each population has.
        costs: The cost functions.
        start: Flows to start from, `(P,)`.
        tol: The relative gap to reach; where costs may be negative, the average excess in units of the largest cost
            in use, or of 1 if that is more.
        max_steps: The most passes.
        sweeps: What does a pass; compiled where the costs allow it.

    Returns:
        The flows, the outcome (as in `Flow`), and potential and excess before each pass and at the end.
    """
    make = sweeps or (TensorSweeps if costs.terms() is None else CompiledSweeps)
    state, mass = make(incidence, counts, costs, start), float(start.sum())
    history: list[tuple[float, float]] = []
    outcome = "max_steps"
    for step in range(max_steps + 1):
        status = state.status()
        history.append((status.potential, status.excess))
        if not np.isfinite(status.potential + status.excess):
            outcome = "nonfinite"
        elif status.small(costs, mass, tol):
            outcome = "converged"
        elif step < max_steps and not state.sweep():
            outcome = "stalled"
        if outcome != "max_steps":
            break
    return state.flows, outcome, np.asarray(history)
