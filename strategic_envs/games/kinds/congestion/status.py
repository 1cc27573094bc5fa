"""Where a solver's flows stand, and when it is done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from strategic_envs.games.kinds.congestion.costs import Costs

__all__ = ["History", "Status", "status_of"]


class Status(NamedTuple):
    """What stands before a step: potential, excess, total cost, and the largest size of a cost in use."""

    potential: float
    excess: float
    total: float
    largest: float


def status_of(
    costs: Costs,
    loads: Float[Tensor, " E"],
    flows: Float[Tensor, " P"],
    paths: Float[Tensor, " P"],
    counts: Sequence[int],
) -> Status:
    """Where flows stand, at given loads and path costs."""
    excess, taken = 0.0, flows > 0
    for f, c in zip(flows.split(list(counts)), paths.split(list(counts)), strict=True):
        excess += float((f * (c - c.min()))[f > 0].sum())
    total, largest = float((flows * paths)[taken].sum()), float(paths[taken].abs().max())
    return Status(float(costs.integral(loads).sum()), excess, total, largest)


class History:
    """Potential and excess of every step, and whether it was the last.

    Args:
        costs: The cost functions.
        mass: The mass of all populations.
        tol: The relative gap to reach; where costs may be negative, the average excess in units of the largest cost
            in use, or of 1 if that is more.
    """

    def __init__(self, costs: Costs, mass: float, tol: float) -> None:
        self._relative, self._mass, self._tol = costs.nonnegative, mass, tol
        self._rows: list[tuple[float, float]] = []
        self.outcome = "max_steps"

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return len(self._rows) - 1

    def add(self, status: Status) -> bool:
        """Writes a step down; whether it is the last."""
        self._rows.append((status.potential, status.excess))
        scale = status.total if self._relative else self._mass * max(1.0, status.largest)
        if not math.isfinite(status.potential + status.excess):
            self.outcome = "nonfinite"
        elif status.excess <= self._tol * scale:
            self.outcome = "converged"
        return self.outcome != "max_steps"

    def rows(self) -> Float[np.ndarray, "steps 2"]:
        """Potential and excess before each step and at the end."""
        return np.asarray(self._rows)
