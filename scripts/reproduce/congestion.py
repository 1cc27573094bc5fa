"""Congestion games and their equilibria: roads, drivers, and networks whose paths are roads.

Pigou's and Braess's roads, the atomic games whose price of anarchy is 5/2, and, where a user's folder has the files,
Sioux Falls and Anaheim with Frank-Wolfe beside gradient projection. Then linear networks as congestion games of their
paths: which gaps tell a saddle from a minimum, what certificates hold, what weight decay prices. The last part is our
own construction, inspired by Vesseron, Redko and Laclau (2021) and Ren, Wu, Xu and Xu (2021); no theorem of theirs is
reproduced, and nothing here bounds a price of anarchy of a network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from strategic_envs.games.congestion import braess
from strategic_envs.games.kinds.congestion import Flow, PowerCosts
from strategic_envs.games.routing import Network, Node, RoutingGame
from strategic_envs.plots import draw_curves, new_figure, save
from strategic_envs.plots.flows import draw_flows, flow_picture
from strategic_envs.scripts.reproduce._congestion_networks import rows_of_random_networks, rows_of_saddles
from strategic_envs.scripts.reproduce._congestion_routing import rows_of_flow_networks
from strategic_envs.scripts.reproduce._congestion_rows import (
    Row,
    Solved,
    at_most,
    rows_of_networks,
    rows_of_small_games,
    solved_network,
)
from strategic_envs.seeding import numpy_stream

__all__ = ["NAME", "SUMMARY", "reproduce"]

NAME = "congestion"
SUMMARY = "Wardrop equilibria of roads and of networks' paths: published equilibria, two solvers, saddles and minima."

_SIDE = 6  # of a town whose streets are a grid, which needs no files


def reproduce(out: Path, *, seed: int = 0, quick: bool = False) -> list[dict[str, Any]]:
    """Writes `braess.png`, `grid.png`, `gaps.png` and, with its files, `SiouxFalls.png`; compares with what is known.

    In full it takes about half a minute of one core.

    Args:
        out: The folder for the pictures; it is made if it is not there.
        seed: The seed of the data of networks and of the town; published numbers do not depend on it.
        quick: Fewer networks and steps, and Frank-Wolfe to a relative gap of 1e-3 only.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within`; None where files are missing.
    """
    sioux_falls, anaheim = solved_network("SiouxFalls"), solved_network("Anaheim")
    town = _town(seed)
    flows = {"gradient projection": town.wardrop(), "Frank-Wolfe": _frank_wolfe(town, quick)}
    _draw_braess(out)
    flow_picture(town, flows["gradient projection"], out / "grid.png", title="a town at its Wardrop equilibrium")
    _draw_gaps(out, flows, sioux_falls, quick)
    if sioux_falls is not None:
        flow_picture(sioux_falls.game, sioux_falls.equilibrium, out / "SiouxFalls.png")
    return [
        *rows_of_small_games(),
        *_grid_rows(flows),
        *rows_of_networks(sioux_falls, anaheim, quick=quick),
        *rows_of_saddles(),
        *rows_of_random_networks(seed=seed, quick=quick),
        *rows_of_flow_networks(seed=seed, quick=quick),
    ]


def _town(seed: int) -> RoutingGame:
    """Streets of a grid, both ways, with drawn capacities, and trips from corner to corner."""
    random = numpy_stream(seed, "congestion", "town")
    nodes = {(i, j): f"{i},{j}" for i in range(_SIDE) for j in range(_SIDE)}
    ways = [(1, 0), (0, 1), (-1, 0), (0, -1)]
    links = [(a, b) for a in nodes for i, j in ways if (b := (a[0] + i, a[1] + j)) in nodes]
    free, capacity = random.uniform(1.0, 2.0, len(links)), random.uniform(2.0, 6.0, len(links))
    places: dict[Node, tuple[float, float]] = {name: (float(i), float(j)) for (i, j), name in nodes.items()}
    network = Network(
        [nodes[a] for a, _ in links],
        [nodes[b] for _, b in links],
        PowerCosts.bpr(free.tolist(), capacity.tolist()),
        positions=places,
    )
    corner = _SIDE - 1
    trips = {((0, 0), (corner, corner)): 8.0, ((0, corner), (corner, 0)): 8.0, ((0, 2), (corner, 3)): 4.0}
    return RoutingGame(network, {(nodes[a], nodes[b]): mass for (a, b), mass in trips.items()}, name="town")


def _frank_wolfe(game: RoutingGame, quick: bool) -> Flow:
    return game.wardrop(tol=1e-3 if quick else 1e-4, method="fw")


def _grid_rows(flows: dict[str, Flow]) -> list[Row]:
    exact, rough = flows.values()
    name = f"a town of {_SIDE} x {_SIDE} crossings"
    above = rough.potential - exact.potential
    return [
        at_most(f"{name}: relative gap, gradient projection", exact.relative_gap or 0.0, 1e-12, "what was asked for"),
        at_most(f"{name}: potential of Frank-Wolfe above it, against its certificate", above, rough.excess, "derived"),
    ]


def _draw_braess(out: Path) -> None:
    """The paradox: the shortcut costs nothing, and everybody pays more."""
    figure, panels = new_figure(1, 2, width=4.6, height=3.0)
    for axes, shortcut in zip(panels, (False, True), strict=True):
        game = braess(shortcut=shortcut)
        flow = game.wardrop()
        draw_flows(axes, game, flow, limits=(0.0, 1.0))
        title = f"{'with' if shortcut else 'without'} the shortcut: everybody pays {flow.total_cost:g}"
        axes.set_title(title, fontsize=11, loc="left")
    save(figure, out / "braess.png")


def _draw_gaps(out: Path, flows: dict[str, Flow], sioux_falls: Solved | None, quick: bool) -> None:
    """Excess against rounds, as a share of the total cost at equilibrium: gradient projection and Frank-Wolfe."""
    shown = {"a town": flows}
    if sioux_falls is not None:
        rough = _frank_wolfe(sioux_falls.game, quick)
        shown["Sioux Falls"] = {"gradient projection": sioux_falls.equilibrium, "Frank-Wolfe": rough}
    figure, panels = new_figure(1, len(shown), width=5.0, height=3.8)
    for axes, (name, found) in zip(panels, shown.items(), strict=True):
        total = found["gradient projection"].total_cost
        series = {
            method: (torch.arange(1, len(flow.history) + 1), flow.history[:, 1] / total)
            for method, flow in found.items()
        }
        draw_curves(axes, series, title=name, xlabel="rounds of shortest paths", ylabel="relative gap", floor=1e-16)
        axes.set_xscale("log")
    save(figure, out / "gaps.png")
