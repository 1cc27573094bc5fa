"""Routing games: travellers on a network, whose strategies are all its paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidSettingError, InvalidStrategyError
from strategic_envs.games.kinds.congestion import CongestionGame, Costs, Flow
from strategic_envs.games.kinds.known import Known
from strategic_envs.games.routing.assignment import Assignment, assign
from strategic_envs.games.routing.columns import Columns, Demand
from strategic_envs.games.routing.network import Network, Node
from strategic_envs.profile import Profile

__all__ = ["RoutedFlow", "RoutingGame"]

Path = tuple[int, ...]
Pair = tuple[Node, Node]
USED = 1e-8  # the share of a pair's trips above which a path counts as used


@dataclass(frozen=True, eq=False, repr=False)
class RoutedFlow(Flow):
    """A flow on paths that a solver chose. The gaps are over all paths of the network, not only over these.

    Args:
        paths: For each pair its paths, each a tuple of links; `flows` and `path_costs` are in this order.
    """

    paths: tuple[tuple[Path, ...], ...]


class RoutingGame(CongestionGame):
    """A congestion game on a network: a population is a pair of nodes with trips between them.

    As a `Game` (dynamics, environments, best responses) a population's strategies are the few paths that it was given.
    `wardrop`, `system_optimum`, `excess` and `least_costs` are over *all* paths of the network.

    Args:
        network: The network.
        demands: Trips by pair `(from, to)`, each above 0, or a matrix over the first nodes of `network.nodes`, whose
            zeros are left out.
        paths: How many paths each population may choose from, the cheapest of the empty network; or `"generate"` for
            those that the Wardrop equilibrium uses; or the paths themselves, for each population a list of paths.
        name: What errors and tables call the game.
        known: The analytic facts, if there are any.

    Raises:
        InvalidGameError: If a pair is not connected, begins where it ends, names an unknown node or has no trips; or a
            path does not lead from the one node to the other.

    Example:
        >>> from strategic_envs.games.kinds.congestion import PowerCosts
        >>> roads = Network("ssvwv", "vwttw", PowerCosts.affine([1, 0, 0, 1, 0], [0, 1, 1, 0, 0]))  # Braess
        >>> game = RoutingGame(roads, {("s", "t"): 1.0})
        >>> game.paths[0], game.wardrop().total_cost, game.system_optimum().total_cost
        (((0, 4, 3), (0, 2), (1, 3)), 2.0, 1.5)
    """

    def __init__(
        self,
        network: Network,
        demands: Mapping[tuple[Any, Any], float] | Tensor | Sequence[Sequence[float]],
        *,
        paths: int | str | Sequence[Sequence[Sequence[int]]] = 4,
        name: str = "routing",
        known: Known | None = None,
    ) -> None:
        if not isinstance(network, Network):
            raise InvalidGameError(f"{name}: got a network of type {type(network).__name__}, expected a Network")
        self.network = network
        self.demands = _checked_demands(demands, network, name)
        self.pairs: tuple[Pair, ...] = tuple(self.demands)
        ends = np.asarray([[network.index(node) for node in pair] for pair in self.pairs], dtype=np.int64)
        mass = np.asarray(list(self.demands.values()), dtype=np.float64)
        self._demand = Demand(network.graph, network.tails.numpy(), ends[:, 0], ends[:, 1], mass)
        empty = network.costs.value(torch.zeros(network.costs.size, dtype=torch.float64)).numpy()
        least, _ = self._demand.shortest(empty)
        if not np.isfinite(least).all():
            o, d = self.pairs[int(np.argmax(~np.isfinite(least)))]
            raise InvalidGameError(
                f"{name}: got trips from {o!r} to {d!r}, between which there is no path, expected connected pairs: "
                "mind that nodes below first_thru cannot be passed through"
            )
        self.paths: tuple[tuple[Path, ...], ...] = self._chosen(paths, name)
        super().__init__(
            torch.from_numpy(mass), [list(mine) for mine in self.paths], costs=network.costs, name=name, known=known
        )

    def _chosen(self, paths: int | str | Sequence[Sequence[Sequence[int]]], name: str) -> tuple[tuple[Path, ...], ...]:
        if paths == "generate":
            return assign(self._demand, self.network.costs).columns.paths()
        if isinstance(paths, int) and not isinstance(paths, bool) and paths >= 1:
            return tuple(tuple(self.network.k_shortest(o, d, paths)) for o, d in self.pairs)
        if isinstance(paths, int | str):
            raise InvalidSettingError(f"{name}: got paths={paths!r}, expected a number of at least 1 or 'generate'")
        if len(paths) != len(self.pairs):
            raise InvalidGameError(f"{name}: got paths of {len(paths)} pairs, expected {len(self.pairs)}")
        given = tuple(tuple(tuple(path) for path in mine) for mine in paths)
        for pair, mine in zip(self.pairs, given, strict=True):
            for path in mine:
                self._check_path(pair, path, name)
        return given

    def _check_path(self, pair: Pair, path: Path, name: str) -> None:
        size = len(self.network.tails)
        node = start = self.network.index(pair[0])
        end = self.network.index(pair[1])
        for link in path:
            if not 0 <= link < size or int(self.network.tails[link]) != node:
                raise InvalidGameError(f"{name}, {pair}: got the path {path}, expected links that follow each other")
            if node != start and self.network.closed(node):
                raise InvalidGameError(f"{name}, {pair}: got the path {path} through a node below first_thru")
            node = int(self.network.heads[link])
        if node != end:
            raise InvalidGameError(f"{name}, {pair}: got the path {path}, which ends elsewhere")

    def least_costs(self, costs: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch n"]:
        """What each pair's cheapest path of the whole network costs where the links cost this."""
        rows = costs.detach().cpu().double().reshape(-1, costs.shape[-1]).numpy()
        found = np.stack([self._demand.shortest(row)[0] for row in rows])
        return torch.from_numpy(found).to(costs).reshape(*costs.shape[:-1], self.n_players)

    def wardrop(
        self,
        tol: float = 1e-12,
        method: str = "gp",
        max_steps: int | None = None,
        start: Flow | Sequence[Tensor] | None = None,
    ) -> RoutedFlow:
        """A Wardrop equilibrium over all paths of the network.

        Args:
            tol: The relative gap to stop at.
            method: `gp` (gradient projection with column generation) or `fw` (Frank-Wolfe, for gaps above 1e-4).
            max_steps: Searches for shortest paths after the first; by default 500 (`gp`) or 10,000 (`fw`).
            start: A flow of an earlier call, or a profile of this game, to begin with.

        Returns:
            The flow with the smallest excess that was met; `outcome` says whether it is as small as was asked.
        """
        return self._routed(self._assign(self.network.costs, tol, method, max_steps, start), self.network.costs)

    def system_optimum(
        self,
        tol: float = 1e-12,
        method: str = "gp",
        max_steps: int | None = None,
        start: Flow | Sequence[Tensor] | None = None,
    ) -> RoutedFlow:
        """Flows of the least total cost: a Wardrop equilibrium under marginal costs, of which the gaps speak."""
        marginal = self.network.costs.marginal()
        return self._routed(self._assign(marginal, tol, method, max_steps, start), marginal)

    def marginal(self) -> RoutingGame:
        """The same game under marginal costs: its Wardrop equilibria are this game's system optima."""
        network = self.network.with_costs(self.network.costs.marginal())
        return RoutingGame(network, self.demands, paths=self.paths, name=f"{self.name}, marginal costs")

    def with_paths(self, flow: RoutedFlow) -> RoutingGame:
        """The same game whose populations choose among the paths of a flow, such as an equilibrium's."""
        return RoutingGame(self.network, self.demands, paths=flow.paths, name=self.name, known=self._known)

    def profile_of(self, flow: Flow) -> Profile:
        """The shares of a solver's flows.

        Raises:
            InvalidStrategyError: If the flow uses a path that is no strategy of this game; `with_paths` makes it one.
        """
        if not isinstance(flow, RoutedFlow):
            return super().profile_of(flow)
        shares = []
        for pair, mine, used, flows in zip(self.pairs, self.paths, flow.paths, flow.flows, strict=True):
            place = {path: i for i, path in enumerate(mine)}
            share = torch.zeros(len(mine), dtype=torch.float64)
            for path, f in zip(used, flows.tolist(), strict=True):
                if path in place:
                    share[place[path]] += f
                elif f > 0:
                    raise InvalidStrategyError(
                        f"{self.name}, {pair}: got flow {f:g} on the path {path}, which is none of this population's "
                        f"{len(mine)} strategies: take game.with_paths(flow)"
                    )
            shares.append(share / share.sum())
        return Profile(shares)

    def _assign(
        self, costs: Costs, tol: float, method: str, max_steps: int | None, start: Flow | Sequence[Tensor] | None
    ) -> Assignment:
        columns = None
        if start is not None:
            paths = start.paths if isinstance(start, RoutedFlow) else self.paths
            parts = start.flows if isinstance(start, Flow) else self.split(self.flows(self.validate(start)))
            if [len(f) for f in parts] != [len(mine) for mine in paths]:
                raise InvalidStrategyError(f"{self.name}: got a start that does not fit the paths of this game")
            columns = Columns.of_paths(paths, torch.cat(list(parts)).numpy(), costs.size)
        return assign(self._demand, costs, method=method, tol=tol, max_steps=max_steps, start=columns, name=self.name)

    def _routed(self, found: Assignment, objective: Costs) -> RoutedFlow:
        """The solver's answer with what is known of it; gaps and potential are of the costs that were minimised."""
        columns, mass = found.columns, self._demand.mass
        loads = columns.loads()
        on_loads = torch.from_numpy(loads)
        price = objective.value(on_loads).numpy()
        paid, owner = columns.costs(price), columns.owner()
        above = paid - self._demand.shortest(price)[0][owner]
        excess, total = float(columns.flows @ above), float(columns.flows @ paid)
        often = columns.flows > USED * mass[owner]
        cost = self.costs.value(on_loads)
        counts = np.diff(columns.firsts).tolist()
        path_costs = torch.from_numpy(columns.costs(cost.numpy()))
        return RoutedFlow(
            flows=torch.from_numpy(columns.flows).split(counts),
            loads=on_loads,
            costs=cost,
            path_costs=path_costs.split(counts),
            total_cost=float(on_loads @ cost),
            excess=excess,
            relative_gap=excess / total if total > 0 else 0.0,
            average_excess=excess / float(mass.sum()),
            used_gap=float(above[often].max()) if often.any() else 0.0,
            potential=float(objective.integral(on_loads).sum()),
            outcome=found.outcome,
            iterations=len(found.history) - 1,
            history=torch.from_numpy(found.history),
            paths=columns.paths(),
        )


def _checked_demands(demands: object, network: Network, name: str) -> dict[Pair, float]:
    """Trips by pair."""
    if not isinstance(demands, Mapping):
        demands = _pairs_of_matrix(demands, network, name)
    found: dict[Pair, float] = {}
    for pair, trips in demands.items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise InvalidGameError(f"{name}: got demand for {pair!r}, expected a pair (from, to)")
        for node in pair:
            network.index(node)
        mass = float(trips)
        if not 0.0 < mass < float("inf"):
            raise InvalidGameError(f"{name}: got {mass:g} trips from {pair[0]!r} to {pair[1]!r}, expected above 0")
        if pair[0] == pair[1]:
            raise InvalidGameError(f"{name}: got {mass:g} trips from {pair[0]!r} to itself, expected two nodes")
        found[pair] = mass
    if not found:
        raise InvalidGameError(f"{name}: got no demand, expected trips between at least one pair of nodes")
    return found


def _pairs_of_matrix(matrix: object, network: Network, name: str) -> dict[Pair, float]:
    table = torch.as_tensor(matrix, dtype=torch.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) > len(network.nodes):
        raise InvalidGameError(
            f"{name}: got demands of shape {tuple(table.shape)}, expected a square matrix over the first of "
            f"{len(network.nodes)} nodes"
        )
    rows, columns = torch.nonzero(table, as_tuple=True)
    ends = zip(rows.tolist(), columns.tolist(), table[rows, columns].tolist(), strict=True)
    return {(network.nodes[o], network.nodes[d]): trips for o, d, trips in ends}
