"""One step of a solver on the paths in use: gradient projection and Frank-Wolfe, each with an exact line search."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import root_scalar

from strategic_envs.games.kinds.congestion import Costs, Incidence
from strategic_envs.games.kinds.congestion.moves import CompiledMoves, TensorMoves
from strategic_envs.games.routing.columns import Columns, Demand

__all__ = ["METHODS", "FrankWolfe", "GradientProjection", "PricedLinks", "Steps"]

NEWTON_STEPS = 3  # linearisations of the costs between two searches for paths
PASSES = 100  # at most so many Gauss-Seidel passes on each
LINE_SEARCH = 1e-4  # relative precision of the length of such a step
FORCING = 1e-3  # passes end when what is left to save has fallen to this share
SWEEPS, TENSOR_SWEEPS = 20, 1  # passes on the costs as they are, compiled and not
Loads = Float[np.ndarray, " E"]


@dataclass(frozen=True, eq=False)
class PricedLinks:
    """Cost functions on NumPy's arrays of loads."""

    costs: Costs

    def value(self, loads: Loads) -> Loads:
        """What each link costs."""
        return self.costs.value(torch.from_numpy(loads)).numpy()

    def potential(self, loads: Loads) -> float:
        """The Beckmann potential."""
        return float(self.costs.integral(torch.from_numpy(loads)).sum())

    def slope(self, loads: Loads, mass: float) -> Loads:
        """Derivatives; a chord where one is infinite, as that of a square root at zero."""
        slope = self.costs.derivative(torch.from_numpy(loads)).numpy()
        if np.isfinite(slope).all():
            return slope
        width = 1e-3 * mass
        return np.where(np.isfinite(slope), slope, (self.value(loads + width) - self.value(loads)) / width)

    def step(self, loads: Loads, change: Loads, precision: float, most: float = 1.0) -> float:
        """The t in [0, most] at which the potential of `loads + t change` is least, where its derivative is zero.

        It is found to a relative `precision`; 1 is taken where the derivative has almost gone there.
        """

        def derivative(t: float) -> float:
            return float(self.value(np.maximum(loads + t * change, 0.0)) @ change)

        first = derivative(0.0)
        if first >= 0.0:
            return 0.0
        low, high, there = 0.0, min(1.0, most), derivative(min(1.0, most))
        while there <= 0.0:
            if high == most or there >= precision * first:
                return high
            low, high = high, min(4.0 * high, most)
            there = derivative(high)
        found = root_scalar(derivative, bracket=(low, high), method="brentq", xtol=1e-15 * high, rtol=precision)
        return float(found.root)


@runtime_checkable
class Steps(Protocol):
    """How flows move once the shortest paths are among the columns."""

    everyone: ClassVar[bool]  # whether every pair gets its shortest path, or only those that have none so cheap
    most: ClassVar[int]  # steps, where the user does not say

    def move(self, columns: Columns) -> Columns:
        """The same paths with other flows, of no higher potential."""
        ...


@dataclass(eq=False)
class GradientProjection:
    """Flow goes from dearer paths to each pair's cheapest, in Gauss-Seidel passes (after Jayakrishnan et al. 1994).

    Costs are made linear for a series of passes, so that a step is Newton's, and a line search keeps the potential from
    rising. Where the costs are too crooked for a whole step, the next step begins with passes on the costs as they are.
    """

    everyone: ClassVar[bool] = False
    most: ClassVar[int] = 500
    links: PricedLinks
    demand: Demand
    crooked: bool = field(default=False, init=False)

    def move(self, columns: Columns) -> Columns:
        """See `Steps`."""
        if self.crooked:
            columns = self._sweep(columns)
        for _ in range(NEWTON_STEPS):
            columns, t = self._newton(columns)
            self.crooked = t < 1.0
            if self.crooked:
                break
        return columns

    def _newton(self, columns: Columns) -> tuple[Columns, float]:
        from strategic_envs.games.routing.compiled import shift  # late, because numba is slow to import

        loads = columns.loads()
        flows, cost = columns.flows.copy(), self.links.value(loads)
        slope = self.links.slope(loads, float(self.demand.mass.sum()))
        change = shift(columns.firsts, columns.starts, columns.links, flows, cost, slope, PASSES, FORCING)
        moved = flows - columns.flows
        least = moved < 0.0
        most = float((columns.flows[least] / -moved[least]).min()) if least.any() else 1.0  # until a path is empty
        t = self.links.step(loads, change, LINE_SEARCH, most)
        if t != 1.0:
            flows = columns.flows + t * moved
        return columns.carrying(self.demand.mass, flows), t

    def _sweep(self, columns: Columns) -> Columns:
        costs = self.links.costs
        rows = Incidence(columns.starts, columns.links, np.ones(len(columns.links)), columns.size)
        kind, passes = (TensorMoves, TENSOR_SWEEPS) if costs.terms() is None else (CompiledMoves, SWEEPS)
        sweeps = kind(rows, np.diff(columns.firsts).tolist(), costs, columns.flows)
        for _ in range(passes):
            sweeps.status()  # sums the loads anew
            if not sweeps.sweep():
                break
        return columns.carrying(self.demand.mass, sweeps.flows)


@dataclass(eq=False)
class FrankWolfe:
    """A share of all trips goes to the shortest paths (Frank and Wolfe 1956); slow below a relative gap of 1e-4."""

    everyone: ClassVar[bool] = True
    most: ClassVar[int] = 10_000
    links: PricedLinks
    demand: Demand

    def move(self, columns: Columns) -> Columns:
        """See `Steps`."""
        loads = columns.loads()
        towards = np.zeros_like(columns.flows)
        towards[columns.best(columns.costs(self.links.value(loads)))] = self.demand.mass
        moved = towards - columns.flows
        change = np.bincount(columns.links, np.repeat(moved, np.diff(columns.starts)), columns.size)
        return columns.carrying(self.demand.mass, columns.flows + self.links.step(loads, change, 1e-9) * moved)


METHODS: dict[str, type[GradientProjection] | type[FrankWolfe]] = {"gp": GradientProjection, "fw": FrankWolfe}
