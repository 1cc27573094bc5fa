"""Networks: nodes, and links between them whose costs grow with their flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.congestion import Costs
from strategic_envs.games.routing.graph import SearchGraph
from strategic_envs.games.routing.k_shortest import k_shortest

__all__ = ["Network", "Node"]

Node = int | str
Path = tuple[int, ...]


class Network:
    """A directed network. Links are known by their numbers `0..E-1`: several may join the same two nodes.

    Args:
        tails: The node where each link begins.
        heads: The node where it ends.
        costs: What a user of each link pays, E functions of the links' loads, at least 0 and finite.
        nodes: All nodes, numbers or names; by default those of the links, sorted.
        first_thru: The first node that may be passed through: nodes of a smaller number only begin and end trips (the
            zones of road networks). By default all may be passed.
        positions: Where to draw each node, `(N, 2)` in the order of `nodes`, or by node.
        names: A name for each link; by default such as `1->3`.

    Raises:
        InvalidGameError: If the parts do not fit together, or costs may be negative or infinite.

    Example:
        >>> from strategic_envs.games.kinds.congestion import PowerCosts
        >>> pigou = Network(["s", "s"], ["t", "t"], PowerCosts.affine([0.0, 1.0], [1.0, 0.0]))
        >>> pigou, pigou.k_shortest("s", "t", 4)
        (Network(2 nodes, 2 links), [(1,), (0,)])
    """

    def __init__(
        self,
        tails: Sequence[Node] | Tensor,
        heads: Sequence[Node] | Tensor,
        costs: Costs,
        *,
        nodes: Sequence[Node] | None = None,
        first_thru: int | None = None,
        positions: Tensor | Sequence[Sequence[float]] | Mapping[Node, Sequence[float]] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        begin, end = (x.tolist() if isinstance(x, Tensor | np.ndarray) else list(x) for x in (tails, heads))
        if not isinstance(costs, Costs):
            raise InvalidGameError(f"network: got costs of type {type(costs).__name__}, expected a Costs object")
        if not len(begin) == len(end) == costs.size or not begin:
            raise InvalidGameError(
                f"network: got {len(begin)} tails, {len(end)} heads and costs of {costs.size} links, expected as many "
                "of each, and at least one"
            )
        if not (costs.nonnegative and costs.finite):
            raise InvalidGameError(
                f"network: got {costs!r}, whose values may be negative or infinite; shortest paths need costs of at "
                "least 0 that are finite on an empty link"
            )
        self.costs = costs
        self.nodes: tuple[Node, ...] = tuple(_sorted({*begin, *end}) if nodes is None else nodes)
        self._index = {node: i for i, node in enumerate(self.nodes)}
        if len(self._index) < len(self.nodes):
            raise InvalidGameError("network: got a node twice in `nodes`, expected every node once")
        for link, ends in enumerate(zip(begin, end, strict=True)):
            for node in ends:
                if node not in self._index:
                    raise InvalidGameError(
                        f"network, link {link}: got the node {node!r}, expected one of {_few(self.nodes)}"
                    )
        self.tails: Int[Tensor, " E"] = torch.tensor([self._index[node] for node in begin])
        self.heads: Int[Tensor, " E"] = torch.tensor([self._index[node] for node in end])
        self.first_thru = first_thru
        self.positions = self._checked_positions(positions)
        self.names = tuple(names) if names is not None else tuple(f"{a}->{b}" for a, b in zip(begin, end, strict=True))
        if len(self.names) != len(begin):
            raise InvalidGameError(f"network: got {len(self.names)} names of links, expected {len(begin)}")
        self._closed = self._closed_nodes()
        self.graph = SearchGraph(self.tails.numpy(), self.heads.numpy(), len(self.nodes), self._closed)

    def __repr__(self) -> str:
        return f"Network({len(self.nodes)} nodes, {len(self.tails)} links)"

    def _closed_nodes(self) -> np.ndarray:
        if self.first_thru is None:
            return np.zeros(len(self.nodes), dtype=bool)
        if not all(isinstance(node, int) for node in self.nodes):
            raise InvalidGameError(
                f"network: got first_thru={self.first_thru} and nodes that are no numbers, expected numbered nodes"
            )
        return np.asarray([int(node) < self.first_thru for node in self.nodes])

    def _checked_positions(self, given: object) -> Float[Tensor, "N 2"] | None:
        if given is None:
            return None
        if isinstance(given, Mapping):
            missing = [node for node in self.nodes if node not in given]
            if missing:
                raise InvalidGameError(f"network: got positions without that of {_few(missing)}, expected every node's")
            given = [list(given[node]) for node in self.nodes]
        positions = torch.as_tensor(given, dtype=torch.float64)
        if positions.shape != (len(self.nodes), 2) or not bool(positions.isfinite().all()):
            raise InvalidGameError(
                f"network: got positions of shape {tuple(positions.shape)}, expected ({len(self.nodes)}, 2), finite"
            )
        return positions

    def index(self, node: Node) -> int:
        """Where a node stands in `nodes`.

        Raises:
            InvalidGameError: If there is no such node.
        """
        if isinstance(node, bool) or node not in self._index:
            raise InvalidGameError(f"network: got the node {node!r}, expected one of {_few(self.nodes)}")
        return self._index[node]

    def closed(self, index: int) -> bool:
        """Whether the node at this place of `nodes` cannot be passed through."""
        return bool(self._closed[index])

    def with_costs(self, costs: Costs) -> Network:
        """The same nodes and links with other costs."""
        other = Network.__new__(Network)
        other.__dict__.update(self.__dict__)
        if costs.size != self.costs.size or not (costs.nonnegative and costs.finite):
            raise InvalidGameError(
                f"network: got {costs!r}, expected costs of {self.costs.size} links, at least 0 and finite"
            )
        other.costs = costs
        return other

    def shortest(
        self, costs: Float[Tensor, " E"], origins: Sequence[Node] | None = None
    ) -> tuple[Float[Tensor, "O N"], Int[Tensor, "O N"]]:
        """Shortest paths from each origin to every node.

        Args:
            costs: What each link costs now, at least 0.
            origins: Where paths begin; by default at every node.

        Returns:
            What they cost, infinite where there is no path, and the last link of each, -1 where there is none.

        Example:
            >>> from strategic_envs.games.kinds.congestion import PowerCosts
            >>> line = Network([1, 2], [2, 3], PowerCosts.affine([1.0, 1.0], [0.0, 0.0]))
            >>> distances, last = line.shortest(torch.tensor([2.0, 3.0], dtype=torch.float64), [1])
            >>> distances.tolist(), last.tolist()
            ([[0.0, 2.0, 5.0]], [[-1, 0, 1]])
        """
        nodes = self.nodes if origins is None else origins
        indices = np.asarray([self.index(node) for node in nodes], dtype=np.int64)
        distances, last = self.graph.shortest(costs.detach().cpu().double().numpy(), indices)
        return torch.from_numpy(distances), torch.from_numpy(last)

    def k_shortest(
        self, origin: Node, destination: Node, k: int, costs: Float[Tensor, " E"] | None = None
    ) -> list[Path]:
        """The k cheapest paths without a node twice, as tuples of links, cheapest first; fewer where there are fewer.

        Args:
            origin: Where they begin.
            destination: Where they end.
            k: How many.
            costs: What each link costs; by default what it costs when it is empty.
        """
        empty = torch.zeros(len(self.tails), dtype=torch.float64)
        cost = (self.costs.value(empty) if costs is None else costs).numpy()
        return k_shortest(self.graph, cost, self.index(origin), self.index(destination), k)


def _sorted(nodes: set[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: (isinstance(node, str), node))


def _few(nodes: Sequence[Node]) -> str:
    return ", ".join(repr(node) for node in nodes[:6]) + (", ..." if len(nodes) > 6 else "")
