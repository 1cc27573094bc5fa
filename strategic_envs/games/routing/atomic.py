"""Atomic routing: finitely many players on a network, each of whom takes one path."""

from __future__ import annotations

from collections.abc import Sequence

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.congestion.atomic import AtomicCongestionGame
from strategic_envs.games.routing.network import Network, Node

__all__ = ["AtomicTrips", "atomic"]


class AtomicTrips(AtomicCongestionGame):
    """An atomic congestion game of trips on a network.

    Args:
        network: The network; each player on a link adds 1 to its load.
        pairs: Where each player's trip begins and ends.
        paths: For each player its paths, as tuples of links.
        name: What errors and tables call the game.

    Raises:
        InvalidGameError: As `AtomicCongestionGame`.
    """

    def __init__(
        self,
        network: Network,
        pairs: Sequence[tuple[Node, Node]],
        paths: Sequence[Sequence[tuple[int, ...]]],
        *,
        name: str = "atomic_routing",
    ) -> None:
        super().__init__(paths, network.costs, name=name)
        self.network = network
        self.pairs = tuple((origin, destination) for origin, destination in pairs)
        self.paths = self.strategies


def atomic(
    network: Network, players: Sequence[tuple[Node, Node]], paths: int = 4, *, name: str = "atomic_routing"
) -> AtomicTrips:
    """The game of players who travel on a network, each on one of the cheapest paths of its pair.

    Args:
        network: The network; each player on a link adds 1 to its load.
        players: Where each player's trip begins and ends.
        paths: How many strategies a player has: the cheapest paths on the empty network, fewer where there are fewer.
        name: What errors and tables call the game.

    Raises:
        InvalidGameError: If there is no player, a node is none, or no path leads from a trip's origin to its
            destination.

    Example:
        >>> from strategic_envs.games.kinds.congestion import PowerCosts
        >>> pigou = Network(["s", "s"], ["t", "t"], PowerCosts.affine([0.0, 1.0], [2.0, 0.0]))
        >>> game = atomic(pigou, [("s", "t")] * 2)
        >>> game.paths[0], game.pure_equilibria().tolist()
        (((1,), (0,)), [[0, 0], [0, 1], [1, 0]])
    """
    if isinstance(paths, bool) or not isinstance(paths, int) or paths < 1:
        raise InvalidGameError(f"{name}: got paths={paths!r}, expected a whole number >= 1")
    known: dict[tuple[Node, Node], list[tuple[int, ...]]] = {}
    for i, pair in enumerate(players):
        if not isinstance(pair, Sequence) or len(pair) != 2 or pair[0] == pair[1]:
            raise InvalidGameError(f"{name}, player_{i}: got {pair!r}, expected two different nodes")
        origin, destination = pair
        if (origin, destination) not in known:
            known[origin, destination] = network.k_shortest(origin, destination, paths)
        if not known[origin, destination]:
            raise InvalidGameError(
                f"{name}, player_{i}: no path leads from {origin!r} to {destination!r}: the trip cannot be made"
            )
    return AtomicTrips(network, players, [known[o, d] for o, d in players], name=name)
