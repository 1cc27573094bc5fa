"""Road networks from a user's folder of tntp files, as routing games. The files are not part of this package."""

from __future__ import annotations

from pathlib import Path

import torch

from strategic_envs.data.tntp import TntpNetwork, tntp
from strategic_envs.games.kinds.congestion import PowerCosts
from strategic_envs.games.kinds.known import Known
from strategic_envs.games.routing import Network, RoutingGame

__all__ = ["GAMES", "READS_FILES", "anaheim", "network_of", "road_network", "sioux_falls"]

_COLLECTION = "TransportationNetworks (Stabler, Bar-Gera, Sall), network {name}: best known user equilibrium"


def network_of(table: TntpNetwork, *, toll_factor: float = 0.0, distance_factor: float = 0.0) -> Network:
    """The network of a tntp table: travel times of the Bureau of Public Roads, and what tolls and distance add.

    Args:
        table: What `strategic_envs.data.tntp.tntp` read.
        toll_factor: Time that a unit of toll is worth.
        distance_factor: Time that a unit of length is worth.
    """
    still = (table.b == 0) | (table.free_flow_time == 0)  # such links may have capacity 0
    costs = PowerCosts.bpr(
        table.free_flow_time,
        torch.where(still, torch.ones_like(table.capacity), table.capacity),
        torch.where(still, torch.zeros_like(table.b), table.b),
        table.power,
        toll_factor * table.toll + distance_factor * table.length,
    )
    first = table.first_thru if table.first_thru > 1 else None
    return Network(table.tails, table.heads, costs, nodes=range(1, table.nodes + 1), first_thru=first)


def road_network(
    name: str | Path = "SiouxFalls",
    data_dir: str | Path | None = None,
    *,
    paths: int | str = 4,
    toll_factor: float = 0.0,
    distance_factor: float = 0.0,
) -> RoutingGame:
    """A road network: travellers between zones, one population a pair of zones. Trips inside a zone are left out.

    Args:
        name: What the files are called before `_net.tntp`, or the path of that file.
        data_dir: The folder with the files, or one with a folder `tntp` that has them; by default what
            `STRATEGIC_ENVS_DATA` names.
        paths: Paths a population, see `RoutingGame`.
        toll_factor: Time that a unit of toll is worth.
        distance_factor: Time that a unit of length is worth.

    Raises:
        DataError: If the files are missing or malformed.
    """
    table = tntp(name, data_dir)
    network = network_of(table, toll_factor=toll_factor, distance_factor=distance_factor)
    known = Known()
    if table.volumes is not None:
        potential = float(network.costs.integral(table.volumes).sum())
        total = float(table.volumes @ network.costs.value(table.volumes))
        known = Known(values={"potential": potential, "total_cost": total}, source=_COLLECTION.format(name=table.name))
    return RoutingGame(network, table.trips, paths=paths, name=table.name, known=known)


def sioux_falls(data_dir: str | Path | None = None, paths: int | str = 4) -> RoutingGame:
    """Sioux Falls (LeBlanc, Morlok and Pierskalla 1975): 24 nodes, 76 links, 528 pairs of zones. See `road_network`."""
    return road_network("SiouxFalls", data_dir, paths=paths)


def anaheim(data_dir: str | Path | None = None, paths: int | str = "generate") -> RoutingGame:
    """Anaheim: 416 nodes, 914 links, 38 zones that cannot be passed through, 1406 pairs of them. See `road_network`."""
    return road_network("Anaheim", data_dir, paths=paths)


GAMES = {"anaheim": anaheim, "road_network": road_network, "sioux_falls": sioux_falls}
READS_FILES = frozenset(GAMES)
