"""Equilibria over all paths of a network, with paths added as they are needed.

Nobody can list the paths of a road network. The solvers keep those in use (columns), search the shortest ones at
present costs, and stop when no path at all would save anything: the gap is over every path of the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from strategic_envs.games.kinds.congestion import Costs
from strategic_envs.games.kinds.congestion.solve import check_settings
from strategic_envs.games.routing.columns import Columns, Demand
from strategic_envs.games.routing.steps import METHODS, PricedLinks

__all__ = ["Assignment", "assign"]

PATIENCE = 20  # steps without progress after which rounding is all that is left
ROUNDING = 1e-15  # a potential that falls by a smaller share is none that falls


@dataclass(frozen=True, eq=False)
class Assignment:
    """What a solver found: the columns with the smallest excess, and how it went.

    Args:
        columns: Paths and their flows.
        outcome: `converged`, `max_steps`, `stalled` or `nonfinite`, as in `Flow`.
        history: Potential and excess before each step and at the end, `(steps + 1, 2)`.
    """

    columns: Columns
    outcome: str
    history: Float[np.ndarray, "steps 2"]


def assign(
    demand: Demand,
    costs: Costs,
    *,
    method: str = "gp",
    tol: float = 1e-12,
    max_steps: int | None = None,
    start: Columns | None = None,
    name: str = "assignment",
) -> Assignment:
    """Flows of a Wardrop equilibrium over all paths.

    Args:
        demand: Trips and the graph; every pair must be connected.
        costs: Costs of the links, at least 0 and finite.
        method: `gp`, see `GradientProjection`, or `fw`, see `FrankWolfe`.
        tol: The excess to stop at, as a share of the total cost.
        max_steps: Steps at most, each with a search for shortest paths; by default 500 (`gp`) or 10,000 (`fw`).
        start: Paths and flows to begin with; by default all trips on the shortest paths of the empty network.
        name: What errors call the game.

    Raises:
        InvalidSettingError: If the tolerance or the number of steps is negative.
        UnknownNameError: If there is no such method.
    """
    check_settings(name, tol, method, max_steps)
    links = PricedLinks(costs)
    steps = METHODS[method](links, demand)
    most = steps.most if max_steps is None else max_steps
    columns = _all_or_nothing(demand, links, costs.size) if start is None else start.carrying(demand.mass, start.flows)
    best, least_excess, least_potential, progress = columns, np.inf, np.inf, 0
    history: list[tuple[float, float]] = []
    for step in range(most + 1):
        loads = columns.loads()
        cost = links.value(loads)
        if not np.isfinite(cost).all():
            return Assignment(best, "nonfinite", _rows(history))
        least, last = demand.shortest(cost)
        paid = columns.costs(cost)
        excess, total = float(columns.flows @ (paid - least[columns.owner()])), float(columns.flows @ paid)
        potential = links.potential(loads)
        history.append((potential, excess))
        if excess < least_excess or potential < least_potential - ROUNDING * abs(least_potential):
            progress = step
        if excess < least_excess:
            best, least_excess = columns, excess
        least_potential = min(potential, least_potential)
        if excess <= tol * total:
            return Assignment(best, "converged", _rows(history))
        if step - progress >= PATIENCE:
            return Assignment(best, "stalled", _rows(history))
        if step < most:
            dear = paid[columns.best(paid)] > least
            columns = steps.move(columns.with_shortest(demand, dear | steps.everyone, last))
    return Assignment(best, "max_steps", _rows(history))


def _all_or_nothing(demand: Demand, links: PricedLinks, size: int) -> Columns:
    """All trips on the shortest paths of the empty network."""
    _, last = demand.shortest(links.value(np.zeros(size)))
    everyone = np.ones(len(demand.mass), dtype=bool)
    columns = Columns.empty(len(demand.mass), size).with_shortest(demand, everyone, last)
    return columns.carrying(demand.mass, demand.mass)


def _rows(history: list[tuple[float, float]]) -> Float[np.ndarray, "steps 2"]:
    return np.asarray(history, dtype=np.float64).reshape(-1, 2)
