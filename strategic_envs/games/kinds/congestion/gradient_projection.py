"""Wardrop equilibria by path-based gradient projection (Jayakrishnan et al. 1994), with an exact step a pair of paths.

Each pass looks at every population in turn: of every dearer strategy, flow moves to the cheapest one until both cost
the same or nothing is left, and loads and costs follow at once. The potential falls with each move. Compiled where the
costs are sums of powers and logarithms; otherwise the same sweep in tensor operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from strategic_envs.games.kinds.congestion.costs import Costs
from strategic_envs.games.kinds.congestion.incidence import Incidence
from strategic_envs.games.kinds.congestion.line_search import step_length
from strategic_envs.games.kinds.congestion.status import History, Status, status_of

__all__ = ["CompiledSweeps", "Sweeps", "TensorSweeps", "gradient_projection"]


@runtime_checkable
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
        from strategic_envs.games.kinds.congestion import kernel, levels  # late, for numba takes half a second

        terms = costs.terms()
        assert terms is not None
        self.kernel, self.levels, self.flows, self.terms = kernel, levels, flows.copy(), terms
        self.rows = (incidence.starts, incidence.resources, incidence.rates)
        self.first = np.cumsum([0, *counts])
        self.integral = terms[0] / (terms[1] + 1)
        self.loads, self.costs = np.zeros(costs.size), np.zeros(costs.size)
        self.room = np.zeros(costs.size), np.zeros(costs.size, dtype=np.int64)
        self.apart = np.flatnonzero(levels.separate(self.rows[0], self.rows[1], self.first, costs.size))

    def status(self) -> Status:
        """Where the flows stand; the loads are summed anew, so that rounding does not gather."""
        self.kernel.fill_loads(*self.rows, self.flows, self.loads)
        arrays = (*self.rows, self.first, self.flows, *self.terms, self.loads, self.costs)
        return Status(*self.kernel.gap(*arrays, self.integral))

    def sweep(self) -> bool:
        """One pass; whether any flow moved."""
        before = self.flows.copy()
        for k in self.apart:
            arrays = (*self.rows, self.flows, *self.terms, self.loads, self.costs)
            self.levels.fill(*arrays, self.first[k], self.first[k + 1])
        arrays = (*self.rows, self.first, self.flows, *self.terms, self.loads, self.costs)
        moved = not np.array_equal(before, self.flows)
        return moved | bool(self.kernel.sweep(*arrays, *self.room))


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
        return status_of(self.costs, self.loads, flows, paths, self.counts)

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
    state, history = make(incidence, counts, costs, start), History(costs, float(start.sum()), tol)
    while not history.add(state.status()) and history.steps < max_steps:
        if not state.sweep():
            history.outcome = "stalled"
            break
    return state.flows, history.outcome, history.rows()
