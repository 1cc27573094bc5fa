"""The graph in which shortest paths are searched: links as edges, whatever a sparse matrix cannot say made explicit.

A sparse matrix has one entry a pair of nodes, so parallel links would be added up, and it knows no node that may not be
passed through. Here every parallel link after the first goes through a node of its own, and a closed node is split into
one that trips leave and one that they arrive at. Paths of this graph and paths of the network are then the same.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

__all__ = ["SearchGraph"]


class SearchGraph:
    """Links of a network as edges of a simple graph.

    Args:
        tails: Where each link begins, `(E,)`.
        heads: Where it ends, `(E,)`.
        size: How many nodes there are.
        closed: Which nodes may not be passed through, `(size,)`.

    Example:
        >>> tails, heads = np.array([0, 0, 1]), np.array([1, 1, 2])  # two links from 0 to 1, one from 1 to 2
        >>> graph = SearchGraph(tails, heads, 3, np.zeros(3, dtype=bool))
        >>> distances, last = graph.shortest(np.array([3.0, 2.0, 0.0]), np.array([0]))
        >>> distances.tolist(), last.tolist()
        ([[0.0, 2.0, 2.0]], [[-1, 1, 2]])
    """

    def __init__(
        self, tails: NDArray[np.int64], heads: NDArray[np.int64], size: int, closed: NDArray[np.bool_]
    ) -> None:
        self.arrival = np.arange(size)  # where trips to a node arrive
        self.arrival[closed] = size + np.arange(closed.sum())
        count = size + int(closed.sum())
        froms: list[int] = []
        tos: list[int] = []
        links: list[int] = []  # the link that an edge is, or -1
        taken: set[tuple[int, int]] = set()
        self._through: dict[int, int] = {}
        for link, (tail, head) in enumerate(zip(tails.tolist(), self.arrival[heads].tolist(), strict=True)):
            if tails[link] == heads[link]:
                continue  # from a node to itself: on no shortest path
            if (tail, head) in taken:
                froms += [tail, count]
                tos += [count, head]
                links += [link, -1]
                self._through[count] = link
                count += 1
            else:
                taken.add((tail, head))
                froms.append(tail)
                tos.append(head)
                links.append(link)
        order = np.lexsort((tos, froms))
        rows, columns, self._links = (np.asarray(x, dtype=np.int64)[order] for x in (froms, tos, links))
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
        self._real = self._links >= 0
        self._keys = rows * count + columns  # sorted: one edge a pair of nodes
        self._size = count
        self._matrix = csr_array(
            (np.zeros(len(rows)), columns.astype(np.int32), starts.astype(np.int32)), shape=(count, count)
        )
        self._link_through = np.full(count, -1)
        for node, link in self._through.items():
            self._link_through[node] = link

    def matrix(self, costs: Float[np.ndarray, " E"]) -> csr_array:
        """The graph with these costs of its links; edges of cost zero stay edges."""
        self._matrix.data[self._real] = costs[self._links[self._real]]
        return self._matrix

    def shortest(
        self, costs: Float[np.ndarray, " E"], origins: Int[np.ndarray, " O"]
    ) -> tuple[Float[np.ndarray, "O N"], Int[np.ndarray, "O N"]]:
        """Shortest paths from each origin to every node.

        Args:
            costs: Cost of each link, at least 0.
            origins: Where paths begin.

        Returns:
            Their costs, infinite where there is no path, and the last link of each, -1 where there is none.
        """
        distances, before = dijkstra(self.matrix(costs), indices=origins, return_predecessors=True)
        return distances[:, self.arrival], self.last_links(before, self.arrival)

    def last_links(self, before: Int[np.ndarray, "O M"], nodes: Int[np.ndarray, " N"]) -> Int[np.ndarray, "O N"]:
        """The links by which paths come to `nodes`, from the predecessors of all nodes of this graph; -1 for none."""
        came = before[:, nodes].astype(np.int64)
        reached = came >= 0
        found = np.searchsorted(self._keys, np.where(reached, came * self._size + nodes, 0))
        links = np.where(reached, self._links[np.minimum(found, len(self._links) - 1)], -1)
        return np.where(reached & (links < 0), self._link_through[np.maximum(came, 0)], links)
