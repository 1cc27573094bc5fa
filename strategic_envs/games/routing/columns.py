"""Columns: the paths of a network that carry flow, out of far too many to list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from strategic_envs.games.routing.graph import SearchGraph

__all__ = ["Columns", "Demand"]


@dataclass(frozen=True, eq=False)
class Demand:
    """Trips between pairs of nodes, and the graph they travel on.

    Args:
        graph: Where shortest paths are searched.
        tails: Where each link begins, `(E,)`.
        origin: Where each pair's trips begin, `(K,)`.
        destination: Where they end, `(K,)`.
        mass: How many there are, `(K,)`.
    """

    graph: SearchGraph
    tails: Int[np.ndarray, " E"]
    origin: Int[np.ndarray, " K"]
    destination: Int[np.ndarray, " K"]
    mass: Float[np.ndarray, " K"]
    origins: Int[np.ndarray, " O"] = field(init=False)  # each node where trips begin, once
    row: Int[np.ndarray, " K"] = field(init=False)  # where each pair's origin stands among them

    def __post_init__(self) -> None:
        origins, row = np.unique(self.origin, return_inverse=True)
        object.__setattr__(self, "origins", origins)
        object.__setattr__(self, "row", row)

    def shortest(self, cost: Float[np.ndarray, " E"]) -> tuple[Float[np.ndarray, " K"], Int[np.ndarray, "O N"]]:
        """What each pair's cheapest path costs, infinite where there is none, and the trees of last links."""
        distances, last = self.graph.shortest(cost, self.origins)
        return distances[self.row, self.destination], last


@dataclass(frozen=True, eq=False)
class Columns:
    """Paths in use and their flows; column r of pair k is in `firsts[k]:firsts[k + 1]`.

    Args:
        firsts: Where each pair's columns begin, `(K + 1,)`.
        starts: Where each column's links begin, `(P + 1,)`.
        links: The links of all columns, one after another, each from its origin on.
        flows: What each column carries, `(P,)`.
        size: E, the number of links.
    """

    firsts: Int[np.ndarray, " K_1"]
    starts: Int[np.ndarray, " P_1"]
    links: Int[np.ndarray, " L"]
    flows: Float[np.ndarray, " P"]
    size: int

    @classmethod
    def empty(cls, pairs: int, size: int) -> Columns:
        """No column at all."""
        none = np.zeros(0, dtype=np.int64)
        return cls(np.zeros(pairs + 1, dtype=np.int64), np.zeros(1, dtype=np.int64), none, np.zeros(0), size)

    @classmethod
    def of_paths(cls, paths: Sequence[Sequence[tuple[int, ...]]], flows: Float[np.ndarray, " P"], size: int) -> Columns:
        """From lists of paths, one list a pair."""
        flat = [path for mine in paths for path in mine]
        firsts = np.cumsum([0, *(len(mine) for mine in paths)])
        starts = np.cumsum([0, *(len(path) for path in flat)])
        links = np.fromiter((link for path in flat for link in path), dtype=np.int64, count=int(starts[-1]))
        return cls(firsts, starts, links, np.asarray(flows, dtype=np.float64), size)

    def loads(self) -> Float[np.ndarray, " E"]:
        """What every link carries."""
        return np.bincount(self.links, np.repeat(self.flows, np.diff(self.starts)), self.size)

    def costs(self, cost: Float[np.ndarray, " E"]) -> Float[np.ndarray, " P"]:
        """What every column costs."""
        from strategic_envs.games.routing.compiled import path_costs  # late, because numba is slow to import

        return path_costs(self.starts, self.links, cost)

    def owner(self) -> Int[np.ndarray, " P"]:
        """The pair of each column."""
        return np.repeat(np.arange(len(self.firsts) - 1), np.diff(self.firsts))

    def best(self, costs: Float[np.ndarray, " P"]) -> Int[np.ndarray, " K"]:
        """The cheapest column of each pair, -1 where it has none."""
        from strategic_envs.games.routing.compiled import cheapest

        return cheapest(self.firsts, costs)

    def with_shortest(self, demand: Demand, wanted: Bool[np.ndarray, " K"], last: Int[np.ndarray, "O N"]) -> Columns:
        """Columns without flow left out, and at each wanted pair the path of the trees added, with none."""
        from strategic_envs.games.routing.compiled import refresh

        firsts, starts, links, flows = refresh(
            self.firsts,
            self.starts,
            self.links,
            self.flows,
            wanted,
            last,
            demand.row,
            demand.origin,
            demand.destination,
            demand.tails,
        )
        return Columns(firsts, starts, links, flows, self.size)

    def carrying(self, mass: Float[np.ndarray, " K"], flows: Float[np.ndarray, " P"]) -> Columns:
        """The same paths with these flows, made to add up to each pair's mass: its largest takes up the rounding."""
        owner = self.owner()
        flows = np.maximum(flows, 0.0)
        largest = np.lexsort((flows, owner))[self.firsts[1:] - 1]
        rest = flows.copy()
        rest[largest] = 0.0
        flows = flows.copy()
        flows[largest] = mass - np.bincount(owner, rest, len(mass))
        return replace(self, flows=flows)

    def paths(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """The links of every path, a pair at a time."""
        links, starts = self.links.tolist(), self.starts.tolist()
        flat = [tuple(links[a:b]) for a, b in pairwise(starts)]
        firsts = self.firsts.tolist()
        return tuple(tuple(flat[a:b]) for a, b in pairwise(firsts))
