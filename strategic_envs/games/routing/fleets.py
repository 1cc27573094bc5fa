"""The trips of a routing game shared out: among several populations of a pair, or among atomic players."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.congestion import CongestionGame, Flow, Incidence
from strategic_envs.games.kinds.congestion.atomic import AtomicCongestionGame
from strategic_envs.games.routing.game import RoutedFlow
from strategic_envs.profile import Profile

__all__ = ["AtomicRoutingGame", "SharedGame", "populations_of", "shared_out"]


def populations_of(game: CongestionGame) -> tuple[Incidence, ...]:
    """The strategies of each population, as rows of the game's matrix of rates.

    Example:
        >>> from strategic_envs.games.kinds.congestion import PowerCosts
        >>> two = CongestionGame([1.0, 2.0], [[[0], [1]], [[1]]], costs=PowerCosts.affine([1.0, 1.0], [0.0, 0.0]))
        >>> [part.resources.tolist() for part in populations_of(two)]
        [[0, 1], [1]]
    """
    rows, found, first = game.incidence, [], 0
    for count in game.dims:
        starts = rows.starts[first : first + count + 1]
        used = slice(int(starts[0]), int(starts[-1]))
        found.append(Incidence(starts - starts[0], rows.resources[used], rows.rates[used], rows.size))
        first += count
    return tuple(found)


class SharedGame(CongestionGame):
    """A congestion game whose every population is divided into equal ones, which choose for themselves.

    Equilibria have the same loads and costs as those of the game itself. What differs is who chooses together: an agent
    that minimises the mean cost of its own population counts the delay which its members cause each other, and so finds
    the system optimum when it is alone; the more populations share the trips, the nearer such agents come to the
    Wardrop equilibrium (Haurie and Marcotte, Networks 15:295-308, 1985).

    Args:
        base: The game that is divided.
        number: Into how many populations each of its populations is divided.

    Raises:
        InvalidGameError: If the number is none.

    Example:
        >>> from strategic_envs.games.kinds.congestion import PowerCosts
        >>> pigou = CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts.affine([0.0, 1.0], [1.0, 0.0]), name="pigou")
        >>> game = SharedGame(pigou, 2)
        >>> x = game.profile([0.0, 1.0], [1.0, 0.0])
        >>> game.masses.tolist(), game.loads(x).tolist(), float(game.excess(x))
        ([0.5, 0.5], [0.5, 0.5], 0.25)
    """

    def __init__(self, base: CongestionGame, number: int) -> None:
        _check_number(base.name, number)
        self.base, self.number = base, number
        parts = [part for part in populations_of(base) for _ in range(number)]
        masses = base.masses.repeat_interleave(number) / number
        super().__init__(masses, parts, costs=base.costs, name=base.name, known=None)

    @property
    def network(self) -> Any:
        """The network of the game that is divided; None if it has none."""
        return getattr(self.base, "network", None)

    @property
    def pairs(self) -> tuple[Any, ...]:
        """Where the trips of each population begin and end, on a network."""
        return tuple(pair for pair in getattr(self.base, "pairs", ()) for _ in range(self.number))

    @property
    def paths(self) -> tuple[Any, ...]:
        """The paths of each population, on a network."""
        return tuple(mine for mine in getattr(self.base, "paths", ()) for _ in range(self.number))

    def least_costs(self, costs: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch n"]:
        return self.base.least_costs(costs).repeat_interleave(self.number, -1)

    def wardrop(self, *args: Any, **options: Any) -> Flow:
        """A Wardrop equilibrium: that of the game which is divided, each population with its equal share."""
        return self._divided(self.base.wardrop(*args, **options))

    def system_optimum(self, *args: Any, **options: Any) -> Flow:
        """The flow of least total cost, divided in the same way."""
        return self._divided(self.base.system_optimum(*args, **options))

    def price_of_anarchy(self, *args: Any, **options: Any) -> float:
        return self.base.price_of_anarchy(*args, **options)

    def marginal(self) -> SharedGame:
        return SharedGame(self.base.marginal(), self.number)

    def profile_of(self, flow: Flow) -> Profile:
        parts = [self.base.profile_of(_part(flow, j, self.number)) for j in range(self.number)]
        return Profile(parts[j][k] for k in range(self.base.n_players) for j in range(self.number))

    def _divided(self, flow: Flow) -> Flow:
        def each(parts: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(part for part in parts for _ in range(self.number))

        more = {"paths": each(flow.paths)} if isinstance(flow, RoutedFlow) else {}
        flows = tuple(part / self.number for part in each(flow.flows))
        return replace(flow, flows=flows, path_costs=each(flow.path_costs), **more)


def _part(flow: Flow, j: int, number: int) -> Flow:
    """What the j-th population of each divided one does."""
    more = {"paths": flow.paths[j::number]} if isinstance(flow, RoutedFlow) else {}
    return replace(flow, flows=flow.flows[j::number], path_costs=flow.path_costs[j::number], **more)


class AtomicRoutingGame(AtomicCongestionGame):
    """The same trips made by finitely many players, each of whom takes one path and carries an equal share of the mass.

    Payoffs are minus the cost of a unit of mass, so they are in the units of the game it is made of. Each population
    gets its share of the players, rounded by largest remainders; one that gets none is left out.

    Args:
        base: The game whose strategies and costs these are; rates must be 1 and costs at least 0.
        number: How many players there are in all.

    Raises:
        InvalidGameError: If the number is none, or the game has other rates or costs.

    Example:
        >>> from strategic_envs.games.kinds.congestion import PowerCosts
        >>> pigou = CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts.affine([0.0, 1.0], [1.0, 0.0]), name="pigou")
        >>> game = AtomicRoutingGame(pigou, 4)
        >>> game.mass, game.payoffs_of([torch.tensor(1)] * 3 + [torch.tensor(0)]).tolist()
        (0.25, [-0.75, -0.75, -0.75, -1.0])
    """

    def __init__(self, base: CongestionGame, number: int) -> None:
        _check_number(base.name, number)
        if not bool((base.incidence.rates == 1).all()):
            raise InvalidGameError(
                f"{base.name}: got strategies that use resources at other rates than 1, expected lists of links, which "
                "a player takes or not: play it with populations"
            )
        self.base = base
        self.mass = float(base.masses.sum()) / number
        counts = shared_out(base.masses, number)
        own = [_lists(part) for part in populations_of(base)]
        users = self.mass * torch.arange(1, number + 1, dtype=torch.float64)
        table = base.costs.value(users.unsqueeze(-1).expand(number, base.costs.size)).mT
        self.pairs: tuple[Any, ...] = _repeated(getattr(base, "pairs", (None,) * len(own)), counts)
        self.paths: tuple[Any, ...] = _repeated(own, counts)
        super().__init__(self.paths, table, name=base.name)

    @property
    def network(self) -> Any:
        """The network that the players travel on; None if there is none."""
        return getattr(self.base, "network", None)


def _lists(part: Incidence) -> tuple[tuple[int, ...], ...]:
    rows, starts = part.resources.tolist(), part.starts.tolist()
    return tuple(tuple(rows[a:b]) for a, b in itertools.pairwise(starts))


def _repeated(parts: Sequence[Any], counts: Sequence[int]) -> tuple[Any, ...]:
    return tuple(part for part, count in zip(parts, counts, strict=True) for _ in range(count))


def shared_out(masses: Float[Tensor, " n"], number: int) -> tuple[int, ...]:
    """How many of `number` equal players each mass gets: its share, rounded by largest remainders.

    Example:
        >>> shared_out(torch.tensor([1.0, 2.0, 4.0]), 5)
        (1, 1, 3)
    """
    share = number * masses / masses.sum()
    whole = share.floor()
    rest = number - int(whole.sum())
    order = (share - whole).argsort(descending=True, stable=True)[:rest]
    whole[order] += 1
    return tuple(int(n) for n in whole)


def _check_number(name: str, number: object) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise InvalidGameError(f"{name}: got number={number!r}, expected a whole number >= 1")
