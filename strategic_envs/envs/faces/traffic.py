"""What a play of a congestion game makes of its links, and how large any of it can become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.congestion.atomic import AtomicCongestionGame
from strategic_envs.games.routing.fleets import AtomicRoutingGame, populations_of

__all__ = ["Bounds", "Traffic", "bounds_of", "traffic"]

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Traffic:
    """What a play makes of the links.

    Args:
        loads: The load of each link, `(E,)`.
        costs: What each link costs at that load, `(E,)`.
        path_costs: For each player, what each of its paths costs it: at these loads for a member of a population, given
            the others' choices for an atomic player, `(P_k,)`.
        regrets: For each player, its (mean) cost minus that of the cheapest path, of the whole network if there is one
            (of an atomic player: of its own paths), `(n,)`.
        excess: What all could save, each alone: the regrets weighed by the populations' or players' masses.
        total_cost: What all pay together.
    """

    loads: Numbers
    costs: Numbers
    path_costs: tuple[Numbers, ...]
    regrets: Numbers
    excess: float
    total_cost: float


@dataclass(frozen=True, eq=False)
class Bounds:
    """The largest and smallest numbers that `Traffic` can hold, in its form."""

    loads: Numbers
    costs: Numbers
    path_costs: tuple[Numbers, ...]
    least_costs: Numbers
    least_path_costs: tuple[Numbers, ...]


def traffic(game: CongestionGame | AtomicCongestionGame, points: Sequence[Tensor]) -> Traffic:
    """The traffic of one profile: shares of populations, or choices of atomic players as one-hot vectors, float64.

    Example:
        >>> from strategic_envs.games.catalogue import game
        >>> pigou = game("pigou")
        >>> seen = traffic(pigou, pigou.profile([0.5, 0.5]))
        >>> seen.loads.tolist(), seen.path_costs[0].tolist(), seen.excess, seen.total_cost
        ([0.5, 0.5], [1.0, 0.5], 0.25, 0.75)
    """
    with torch.no_grad():
        if isinstance(game, CongestionGame):
            load = game.loads(points)
            cost = game.costs.value(load)
            paths = game.split(game.incidence.path_costs(cost))
            mass, regret = game.masses, -game.utilities(points) - game.least_costs(cost)
            total = float(game.total_cost(points))
        else:
            load, cost = _of_players(game, [t.argmax(-1) for t in points])
            paths = tuple(-v for v in game.field(points))
            paid = torch.stack([t @ c for t, c in zip(points, paths, strict=True)])
            mass = torch.full_like(paid, game.mass if isinstance(game, AtomicRoutingGame) else 1.0)
            regret, total = paid - torch.stack([c.min() for c in paths]), float(mass @ paid)
        regret = regret.clamp(min=0)  # below by rounding only
        return Traffic(
            _array(load), _array(cost), tuple(map(_array, paths)), _array(regret), float(mass @ regret), total
        )


def _of_players(game: AtomicCongestionGame, actions: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Loads, in units of mass where players have one, and costs; a link that nobody uses costs what it does empty."""
    users = game.loads(actions)
    if isinstance(game, AtomicRoutingGame):
        return game.mass * users, game.base.costs.value(game.mass * users)
    return users, game.costs.gather(1, (users.long() - 1).clamp(min=0).unsqueeze(1)).squeeze(1)


def bounds_of(game: CongestionGame | AtomicCongestionGame) -> Bounds:
    """How large and how small the numbers of any traffic of a game can be.

    Example:
        >>> from strategic_envs.games.catalogue import game
        >>> most = bounds_of(game("pigou"))
        >>> most.loads.tolist(), most.costs.tolist(), most.least_path_costs[0].tolist()
        ([1.0, 1.0], [1.0, 1.0], [1.0, 0.0])
    """
    if isinstance(game, CongestionGame):
        parts = populations_of(game)
        loads = torch.stack([m * part.most() for m, part in zip(game.masses, parts, strict=True)]).sum(0)
        least, most = game.costs.value(torch.zeros_like(loads)), game.costs.value(loads)
        return Bounds(
            _array(loads),
            _array(most),
            tuple(_array(c) for c in game.split(game.incidence.path_costs(most))),
            _array(least),
            tuple(_array(c) for c in game.split(game.incidence.path_costs(least))),
        )
    one, all_ = game.costs[:, 0], game.costs[:, -1]
    mass, empty = 1.0, one
    if isinstance(game, AtomicRoutingGame):
        mass, empty = game.mass, game.base.costs.value(torch.zeros_like(one))
    return Bounds(
        _array(torch.full_like(one, mass * game.n_players)),
        _array(all_),
        tuple(_array(u @ all_) for u in game.uses),
        _array(empty),
        tuple(_array(u @ one) for u in game.uses),
    )


def _array(values: Tensor) -> Numbers:
    array = values.double().numpy().copy()
    array.setflags(write=False)  # every player is told of the same one
    return array
