"""The k cheapest simple paths between two nodes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.sparse.csgraph import yen

from strategic_envs.games.routing.graph import SearchGraph

__all__ = ["k_shortest"]


def k_shortest(
    graph: SearchGraph, costs: Float[np.ndarray, " E"], origin: int, destination: int, k: int
) -> list[tuple[int, ...]]:
    """Paths as tuples of links, cheapest first (Yen 1971), ties by their links; fewer where there are no more than k.

    Args:
        graph: The graph.
        costs: Cost of each link, at least 0.
        origin: The node where paths begin.
        destination: The node where they end.
        k: How many.

    Example:
        >>> graph = SearchGraph(np.array([0, 0, 1]), np.array([1, 1, 2]), 3, np.zeros(3, dtype=bool))
        >>> k_shortest(graph, np.array([3.0, 2.0, 0.0]), 0, 2, 5)
        [(1, 2), (0, 2)]
    """
    end = int(graph.arrival[destination])
    distances, before = yen(graph.matrix(costs), origin, end, k, return_predecessors=True)
    found = []
    for row, distance in enumerate(distances.tolist()):
        links, node = [], end
        while node != origin:
            link = int(graph.last_links(before[row : row + 1], np.asarray([node]))[0, 0])
            if link >= 0 and (not links or links[-1] != link):  # a link through a node of its own is two edges
                links.append(link)
            node = int(before[row, node])
        found.append((distance, tuple(reversed(links))))
    return [path for _, path in sorted(found)]
