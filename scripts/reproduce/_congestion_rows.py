"""Small congestion games with their published equilibria, and the road networks that a user's folder has."""

from __future__ import annotations

import itertools
from typing import Any

import torch

from strategic_envs.data.tntp import TntpNetwork, tntp
from strategic_envs.errors import DataError
from strategic_envs.games.atomic_congestion import four_player_routing, three_player_affine
from strategic_envs.games.congestion import braess, braess_six, pigou
from strategic_envs.games.kinds.congestion.atomic import AtomicCongestionGame
from strategic_envs.games.road_networks import road_network
from strategic_envs.games.routing import RoutedFlow, RoutingGame

__all__ = [
    "PROTOTYPE",
    "Row",
    "Solved",
    "at_least",
    "at_most",
    "judged",
    "rows_of_networks",
    "rows_of_small_games",
    "solved_network",
]

Row = dict[str, Any]

PROTOTYPE = "independent prototype of this project"
_ROADS = "Roughgarden and Tardos (2002); Roughgarden (2003)"
_COLLECTION = "TransportationNetworks (Stabler, Bar-Gera, Sall): best known flows"
_PRICES = {1: 1.333333, 2: 1.625752, 3: 1.895628, 4: 2.150502, 8: 3.080805}
_LEAST = {1: 0.750000, 2: 0.615100, 3: 0.527530, 4: 0.465008, 8: 0.324591}


def judged(
    quantity: str, ours: float, expected: float, source: str, tolerance: float, *, relative: bool = False
) -> Row:
    """A row whose verdict is whether ours is as close to the expected number as the tolerance says."""
    scale = max(abs(expected), 1e-300) if relative else 1.0
    within = abs(ours - expected) <= tolerance * scale
    return {"quantity": quantity, "ours": float(ours), "expected": float(expected), "source": source, "within": within}


def at_most(quantity: str, ours: float, bound: float, source: str) -> Row:
    """A row whose verdict is whether ours is at most the bound, which is what is expected."""
    return {
        "quantity": f"{quantity}, at most",
        "ours": float(ours),
        "expected": float(bound),
        "source": source,
        "within": bool(ours <= bound),
    }


def at_least(quantity: str, ours: float, bound: float, source: str) -> Row:
    """A row whose verdict is whether ours is at least the bound, which is what is expected."""
    within = bool(ours >= bound)
    row: Row = {"quantity": f"{quantity}, at least", "ours": float(ours), "expected": float(bound), "source": source}
    return {**row, "within": within}


def rows_of_small_games() -> list[Row]:
    """Pigou's and Braess's roads, and the atomic games whose price of anarchy is 5/2."""
    rows: list[Row] = []
    for degree, price in _PRICES.items():
        game = pigou(power=degree)
        equilibrium, optimum = game.wardrop(), game.system_optimum()
        name = f"Pigou, x^{degree}"
        rows += [
            judged(f"{name}: equilibrium load on x^{degree}", float(equilibrium.loads[1]), 1.0, _ROADS, 1e-9),
            judged(f"{name}: equilibrium cost", equilibrium.total_cost, 1.0, _ROADS, 1e-9),
            judged(
                f"{name}: optimal load on x^{degree}, (d+1)^(-1/d)",
                float(optimum.loads[1]),
                (degree + 1) ** (-1 / degree),
                _ROADS,
                1e-6,
            ),
            judged(f"{name}: optimal cost", optimum.total_cost, _LEAST[degree], _ROADS, 6e-7),
            judged(f"{name}: price of anarchy", equilibrium.total_cost / optimum.total_cost, price, _ROADS, 6e-7),
        ]
    return [*rows, *_braess(), *_atomic()]


def _braess() -> list[Row]:
    rows, source = [], "Braess (1968)"
    for shortcut, paid, price in ((False, 1.5, 1.0), (True, 2.0, 4 / 3)):
        game = braess(shortcut=shortcut)
        equilibrium, optimum = game.wardrop(), game.system_optimum()
        name = f"Braess {'with' if shortcut else 'without'} the shortcut"
        rows += [
            judged(f"{name}: equilibrium cost", equilibrium.total_cost, paid, source, 1e-9),
            judged(f"{name}: optimal cost", optimum.total_cost, 1.5, source, 1e-9),
            judged(f"{name}: price of anarchy", equilibrium.total_cost / optimum.total_cost, price, source, 1e-9),
        ]
    game = braess_six()
    equilibrium, optimum = game.wardrop(), game.system_optimum()
    links = {"equilibrium": (equilibrium, (4, 2, 2, 2, 4)), "optimum": (optimum, (3, 3, 3, 0, 3))}
    rows += [
        judged(f"Braess, six trips, {what}: flow on link {e + 1}", float(flow.loads[e]), load, source, 1e-6)
        for what, (flow, loads) in links.items()
        for e, load in enumerate(loads)
    ]
    rows += [
        judged("Braess, six trips: equilibrium, total cost", equilibrium.total_cost, 552, source, 1e-9, relative=True),
        judged("Braess, six trips: equilibrium, cost of a path", equilibrium.total_cost / 6, 92, source, 1e-8),
        judged("Braess, six trips: optimum, total cost", optimum.total_cost, 498, source, 1e-9, relative=True),
        judged("Braess, six trips: optimum, mean cost", optimum.total_cost / 6, 83, source, 1e-8),
        judged(
            "Braess, six trips: price of anarchy", equilibrium.total_cost / optimum.total_cost, 92 / 83, source, 1e-9
        ),
    ]
    return rows


def _atomic() -> list[Row]:
    rows = []
    cases = (
        (three_player_affine(), (6, 15), "Christodoulou and Koutsoupias (2005)"),
        (four_player_routing(), (4, 10), "Awerbuch, Azar and Epstein (2005)"),
    )
    for game, totals, source in cases:
        name = f"atomic, {game.name}"
        costs = sorted(float(game.total_cost(actions)) for actions in game.pure_equilibria().tolist())
        rows += [
            judged(f"{name}: cheapest pure equilibrium, total cost", costs[0], totals[0], source, 1e-12),
            judged(f"{name}: dearest pure equilibrium, total cost", costs[-1], totals[1], source, 1e-12),
            judged(f"{name}: optimum, total cost", game.optimum()[1], totals[0], source, 1e-12),
            judged(f"{name}: price of anarchy", game.price_of_anarchy(), 2.5, source, 1e-12),
            at_most(f"{name}: error of Rosenthal's potential over all moves", _potential_error(game), 1e-12, "derived"),
        ]
    return rows


def _potential_error(game: AtomicCongestionGame) -> float:
    """The largest difference between a mover's change of cost and the potential's, over all unilateral moves."""
    worst = 0.0
    for actions in itertools.product(*(range(k) for k in game.n_actions)):
        here, paid = float(game.rosenthal_potential(actions)), game.payoffs_of(_tensors(actions))
        for i, other in itertools.product(range(game.n_players), range(max(game.n_actions))):
            if other < game.n_actions[i]:
                moved = (*actions[:i], other, *actions[i + 1 :])
                change = float(paid[i] - game.payoffs_of(_tensors(moved))[i])  # of the cost: payoffs are minus costs
                worst = max(worst, abs(float(game.rosenthal_potential(moved)) - here - change))
    return worst


def _tensors(actions: tuple[int, ...]) -> list[torch.Tensor]:
    return [torch.tensor(a) for a in actions]


class Solved:
    """A road network with what its solvers found.

    Args:
        table: The files.
        game: The game.
        equilibrium: By gradient projection, with its gap curve.
        optimum: The system optimum.
        seconds: What the equilibrium took of the processor, in seconds; what is compiled was compiled before.
    """

    def __init__(self, table: TntpNetwork) -> None:
        from time import process_time

        self.table = table
        self.game: RoutingGame = road_network(table.name, paths=1)
        self.game.wardrop(tol=1e-2)
        began = process_time()
        self.equilibrium: RoutedFlow = self.game.wardrop()
        self.seconds = process_time() - began
        self.optimum: RoutedFlow = self.game.system_optimum()


def solved_network(name: str) -> Solved | None:
    """A network of the folder that `STRATEGIC_ENVS_DATA` names; None if its files are not there."""
    try:
        table = tntp(name)
    except DataError:
        return None
    return Solved(table)


def rows_of_networks(sioux_falls: Solved | None, anaheim: Solved | None, *, quick: bool) -> list[Row]:
    """The published equilibria of Sioux Falls and Anaheim, and how Frank-Wolfe compares with gradient projection.

    Args:
        sioux_falls: What was found there; None if there are no files.
        anaheim: Likewise.
        quick: Frank-Wolfe to a relative gap of 1e-3 only.
    """
    return [*_sioux_falls(sioux_falls, quick), *_anaheim(anaheim)]


def _missing(name: str, expected: float) -> list[Row]:
    quantity = f"{name}: not run, there are no files {name}_*.tntp in STRATEGIC_ENVS_DATA; Beckmann objective"
    return [{"quantity": quantity, "ours": "", "expected": expected, "source": _COLLECTION, "within": None}]


def _sioux_falls(found: Solved | None, quick: bool) -> list[Row]:
    name, objective = "SiouxFalls", 42.31335287107440e5
    if found is None:
        return _missing(name, objective)
    flow, table = found.equilibrium, found.table
    price = flow.total_cost / found.optimum.total_cost
    rows = [
        judged(f"{name}: Beckmann objective", flow.potential, objective, _COLLECTION, 1e-9, relative=True),
        judged(f"{name}: total time, equilibrium", flow.total_cost, 7480225.345, PROTOTYPE, 1e-3),
        judged(f"{name}: total time, optimum", found.optimum.total_cost, 7194256.053, PROTOTYPE, 1e-3),
        judged(f"{name}: price of anarchy", price, 1.039750, PROTOTYPE, 6e-7),
    ]
    links = {(1, 2): 4494.657646, (1, 3): 8119.079948, (2, 1): 4519.079948, (4, 11): 5200.0}
    ends = list(zip(table.tails.tolist(), table.heads.tolist(), strict=True))
    rows += [
        judged(f"{name}: flow {o}->{d}", float(flow.loads[ends.index((o, d))]), load, _COLLECTION, 1e-4)
        for (o, d), load in links.items()
    ]
    rows += _against_published(found, 1e-4)
    rows += [
        at_most(f"{name}: relative gap, gradient projection", flow.relative_gap or 0.0, 1e-12, "what was asked for"),
        at_most(f"{name}: rounds of gradient projection (of shortest paths)", flow.iterations, 57, PROTOTYPE),
        at_most(f"{name}: seconds of gradient projection", found.seconds, 3.0, "what was asked for"),
    ]
    return rows + _frank_wolfe(found, quick)


def _frank_wolfe(found: Solved, quick: bool) -> list[Row]:
    """Iterations of Frank-Wolfe to a relative gap, and how far its flows are from the published ones then."""
    name, expected = "SiouxFalls", {1e-2: 26, 1e-3: 122, 1e-4: 1041}
    rows: list[Row] = []
    flow = None
    for gap, iterations in list(expected.items())[: 2 if quick else 3]:
        flow = found.game.wardrop(tol=gap, method="fw")
        quantity = f"{name}: iterations of Frank-Wolfe to a relative gap of {gap:g}"
        rows.append(judged(quantity, flow.iterations, iterations, PROTOTYPE, 0.25, relative=True))
    if not quick and flow is not None:
        off = float((flow.loads - found.equilibrium.loads).abs().max())
        rows += [
            judged(
                f"{name}: objective of Frank-Wolfe there", flow.potential, 42.317931e5, PROTOTYPE, 1e-4, relative=True
            ),
            judged(
                f"{name}: largest error of a link's flow of Frank-Wolfe there", off, 16.0, PROTOTYPE, 0.5, relative=True
            ),
        ]
    return rows


def _anaheim(found: Solved | None) -> list[Row]:
    name, objective = "Anaheim", 1286032.171096
    if found is None:
        return _missing(name, objective)
    flow = found.equilibrium
    return [
        judged(f"{name}: Beckmann objective", flow.potential, objective, _COLLECTION, 1e-9, relative=True),
        *_against_published(found, 1e-4),
        at_most(f"{name}: relative gap, gradient projection", flow.relative_gap or 0.0, 1e-12, "what was asked for"),
        at_most(f"{name}: seconds of gradient projection", found.seconds, 3.0, "what was asked for"),
    ]


def _against_published(found: Solved, tolerance: float) -> list[Row]:
    if found.table.volumes is None:
        return []
    off = float((found.equilibrium.loads - found.table.volumes).abs().max())
    return [at_most(f"{found.table.name}: largest difference of a link's flow", off, tolerance, _COLLECTION)]
