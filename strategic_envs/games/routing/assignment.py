"""Equilibria over all paths of a network: gradient projection and Frank-Wolfe, with paths added as they are needed.

Nobody can list the paths of a road network. Both methods keep those in use (columns), search the shortest ones at
present costs, and stop when no path at all would save anything: the gap is over every path of the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import root_scalar

from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.kinds.congestion import Costs
from strategic_envs.games.routing.columns import Columns, Demand

__all__ = ["Assignment", "assign"]

NEWTON_STEPS = 3  # linearisations of the costs between two searches for paths
PASSES = 100  # at most so many Gauss-Seidel passes on each
FORCING = 1e-3  # passes end when what is left to save has fallen to this share
PATIENCE = 20  # steps without a smaller excess after which rounding is all that is left
Loads = Float[np.ndarray, " E"]
Mover = Callable[["_Costs", Columns, Demand, np.ndarray, np.ndarray], Columns]


@dataclass(frozen=True, eq=False)
class Assignment:
    """What a solver found: the columns with the smallest excess, and how it went.

    Args:
        columns: Paths and their flows.
        outcome: `converged`, `max_steps`, `stalled` or `nonfinite`.
        iterations: How many searches for shortest paths followed the first.
        history: Potential and excess at each of them and at the first, `(iterations + 1, 2)`.
    """

    columns: Columns
    outcome: str
    iterations: int
    history: Float[np.ndarray, "steps 2"]


@dataclass(frozen=True, eq=False)
class _Costs:
    """Cost functions on NumPy's arrays."""

    costs: Costs

    def value(self, loads: Loads) -> Loads:
        return self.costs.value(torch.from_numpy(loads)).numpy()

    def potential(self, loads: Loads) -> float:
        return float(self.costs.integral(torch.from_numpy(loads)).sum())

    def slope(self, loads: Loads, mass: float) -> Loads:
        """Derivatives; a chord where one is infinite, as that of a square root at zero."""
        slope = self.costs.derivative(torch.from_numpy(loads)).numpy()
        if np.isfinite(slope).all():
            return slope
        width = 1e-3 * mass
        return np.where(np.isfinite(slope), slope, (self.value(loads + width) - self.value(loads)) / width)

    def step(self, loads: Loads, change: Loads, precision: float) -> float:
        """The t in [0, 1] at which the potential of `loads + t change` is least: where its derivative is zero."""

        def derivative(t: float) -> float:
            return float(self.value(np.maximum(loads + t * change, 0.0)) @ change)

        if derivative(1.0) <= 0.0:
            return 1.0
        if derivative(0.0) >= 0.0:
            return 0.0
        return float(root_scalar(derivative, bracket=(0.0, 1.0), method="brentq", xtol=precision).root)


def assign(
    demand: Demand,
    costs: Costs,
    *,
    method: str = "gp",
    tol: float = 1e-12,
    max_steps: int | None = None,
    start: Columns | None = None,
) -> Assignment:
    """Flows of a Wardrop equilibrium over all paths.

    Args:
        demand: Trips and the graph; every pair must be connected.
        costs: Costs of the links, at least 0 and finite.
        method: `gp`: gradient projection on the paths in use (after Jayakrishnan et al. 1994), on costs that are
            linearised anew for every step, so that steps are Newton's. `fw`: Frank and Wolfe's all-or-nothing steps.
            Both have an exact line search, so the potential never rises.
        tol: The excess to stop at, as a share of the total cost.
        max_steps: Searches for shortest paths after the first; by default 500 (`gp`) or 10,000 (`fw`).
        start: Paths and flows to begin with; by default all trips on the shortest paths of the empty network.

    Raises:
        InvalidSettingError: If there is no such method, or a setting is negative.
    """
    movers: dict[str, tuple[Mover, int]] = {"gp": (_newton, 500), "fw": (_all_or_nothing, 10_000)}
    if method not in movers:
        raise InvalidSettingError(f"got the method {method!r}, expected 'gp' (gradient projection) or 'fw'")
    if not tol >= 0.0 or (max_steps is not None and max_steps < 0):
        raise InvalidSettingError(f"got tol={tol} and max_steps={max_steps}, expected both at least 0")
    move, steps = movers[method]
    steps = steps if max_steps is None else max_steps
    priced = _Costs(costs)
    columns = _initial(demand, priced, costs.size) if start is None else start.carrying(demand.mass, start.flows)
    best, least_excess, best_step = columns, np.inf, 0
    history: list[tuple[float, float]] = []
    outcome = "max_steps"
    for step in range(steps + 1):
        loads = columns.loads()
        cost = priced.value(loads)
        if not np.isfinite(cost).all():
            outcome = "nonfinite"
            break
        least, last = demand.shortest(cost)
        paid = columns.costs(cost)
        excess, total = float(columns.flows @ (paid - least[columns.owner()])), float(columns.flows @ paid)
        history.append((priced.potential(loads), excess))
        if excess < least_excess:
            best, least_excess, best_step = columns, excess, step
        if excess <= tol * total:
            outcome = "converged"
            break
        if method == "gp" and step - best_step >= PATIENCE:
            outcome = "stalled"
            break
        if step < steps:
            cheaper = paid[columns.best(paid)] > least
            columns, _ = columns.with_shortest(demand, cheaper | (method == "fw"), last)
            columns = move(priced, columns, demand, loads, cost)
    return Assignment(best, outcome, len(history) - 1, np.asarray(history).reshape(-1, 2))


def _initial(demand: Demand, costs: _Costs, size: int) -> Columns:
    """All trips on the shortest paths of the empty network."""
    everyone = np.ones(len(demand.mass), dtype=bool)
    _, last = demand.shortest(costs.value(np.zeros(size)))
    columns, _ = Columns.empty(len(demand.mass), size).with_shortest(demand, everyone, last)
    return columns.carrying(demand.mass, demand.mass)


def _newton(costs: _Costs, columns: Columns, demand: Demand, loads: Loads, cost: Loads) -> Columns:
    """Flow between the paths in use: the costs made linear, projected by Gauss-Seidel passes, then a line search."""
    from strategic_envs.games.routing.compiled import shift  # late, because numba is slow to import

    mass = float(demand.mass.sum())
    for _ in range(NEWTON_STEPS):
        flows, slope = columns.flows.copy(), costs.slope(loads, mass)
        change, found, _ = shift(
            columns.firsts, columns.starts, columns.links, flows, cost.copy(), slope, PASSES, FORCING
        )
        t = costs.step(loads, change, 1e-3) if found > 0.0 else 0.0
        if t == 0.0:
            break
        columns = columns.carrying(demand.mass, flows if t == 1.0 else columns.flows + t * (flows - columns.flows))
        loads = columns.loads()
        cost = costs.value(loads)
    return columns


def _all_or_nothing(costs: _Costs, columns: Columns, demand: Demand, loads: Loads, cost: Loads) -> Columns:
    """A share of everybody moves to the shortest paths."""
    towards = np.zeros_like(columns.flows)
    towards[columns.best(columns.costs(cost))] = demand.mass
    moved = towards - columns.flows
    change = np.bincount(columns.links, np.repeat(moved, np.diff(columns.starts)), columns.size)
    return columns.carrying(demand.mass, columns.flows + costs.step(loads, change, 1e-12) * moved)
