"""What moves flows, and judges them: compiled where costs are sums of powers and logarithms, else tensor operations."""

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

__all__ = ["CompiledMoves", "Moves", "TensorMoves", "repeat"]


@runtime_checkable
class Moves(Protocol):
    """Flows that are kept inside, and what moves them."""

    flows: np.ndarray

    def status(self) -> Status:
        """Where the flows stand."""
        ...

    def sweep(self) -> bool:
        """One pass of gradient projection; whether any flow moved."""
        ...

    def descend(self) -> bool:
        """One step of Frank and Wolfe; whether any flow moved."""
        ...


class CompiledMoves:
    """Moves compiled by numba, for costs that have `terms`."""

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

    def descend(self) -> bool:
        """One step of Frank and Wolfe; whether any flow moved."""
        arrays = (*self.rows, self.first, self.flows, *self.terms, self.loads, self.costs)
        return bool(self.kernel.descend(*arrays, *self.room))


class TensorMoves:
    """The same moves with costs that are asked for, one vector of all resources at a time."""

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
        return bool(moved)  # NumPy's comparisons are no bool

    def descend(self) -> bool:
        """One step of Frank and Wolfe; whether any flow moved."""
        flows = torch.from_numpy(self.flows)
        target = torch.zeros_like(flows)
        paths = self.incidence.path_costs(self.costs.value(self.loads))
        split = (t.split(self.counts) for t in (target, paths, flows))
        for part, c, f in zip(*split, strict=True):
            part[int(c.argmin())] = f.sum()
        s = step_length(self.costs, self.loads, self.incidence.loads(target) - self.loads, 1.0, accuracy=1e-3)
        self.flows = ((1 - s) * flows + s * target).numpy()
        return not np.array_equal(self.flows, flows.numpy())

    def _row(self, q: int) -> Tensor:
        row = torch.zeros(self.costs.size, dtype=torch.float64)
        entries = slice(int(self.incidence.starts[q]), int(self.incidence.starts[q + 1]))
        row[torch.from_numpy(self.incidence.resources[entries])] = torch.from_numpy(self.incidence.rates[entries])
        return row


def repeat(
    incidence: Incidence,
    counts: Sequence[int],
    costs: Costs,
    start: np.ndarray,
    move: Callable[[Moves], bool],
    *,
    tol: float,
    max_steps: int,
    compiled: bool = True,
) -> tuple[np.ndarray, str, np.ndarray]:
    """Moves flows until the excess is small.

    Args:
        incidence: The strategies of all populations, one below the other.
        counts: How many of them each population has.
        costs: The cost functions.
        start: Flows to start from, `(P,)`.
        move: What a step does; whether any flow moved.
        tol: The gap to reach, as of `History`.
        max_steps: The most steps.
        compiled: Whether compiled moves may be taken, where the costs allow it.

    Returns:
        The flows, the outcome (as in `Flow`), and potential and excess before each step and at the end.
    """
    make = CompiledMoves if compiled and costs.terms() is not None else TensorMoves
    state, history = make(incidence, counts, costs, start), History(costs, float(start.sum()), tol)
    while not history.add(state.status()) and history.steps < max_steps:
        if not move(state):
            history.outcome = "stalled"
            break
    return state.flows, history.outcome, history.rows()
