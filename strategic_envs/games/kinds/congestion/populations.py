"""The populations of a congestion game as a user writes them, checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.congestion.costs import Costs, numbers
from strategic_envs.games.kinds.congestion.incidence import Incidence

__all__ = ["Strategies", "checked_masses", "checked_strategies"]

Strategies = Sequence[Sequence[int]] | Tensor | np.ndarray | Incidence  # of one population


def checked_masses(masses: object, populations: int, name: str) -> Float[Tensor, " n"]:
    """The masses, one a population, each above 0.

    Example:
        >>> checked_masses([1, 2], 2, "example").tolist()
        [1.0, 2.0]
    """
    mass = numbers(masses, f"{name}, masses")
    if mass.ndim != 1 or len(mass) != populations or not populations:
        raise InvalidGameError(
            f"{name}: got masses of shape {tuple(mass.shape)} and strategies of {populations} populations, expected "
            "one mass a population, and at least one"
        )
    if bool((mass <= 0).any()):
        k = int((mass <= 0).nonzero()[0])
        raise InvalidGameError(f"{name}, population {k}: got the mass {float(mass[k])}, expected above 0")
    return mass


def checked_strategies(
    strategies: Sequence[Strategies], rates: Sequence[Sequence[Sequence[float]] | None] | None, costs: Costs, name: str
) -> list[Incidence]:
    """The strategies of every population, in whichever form they were given.

    Example:
        >>> from strategic_envs.games.kinds.congestion.costs import PowerCosts
        >>> checked_strategies([[[0], [0, 1]]], None, PowerCosts.affine([1.0, 1.0], [0.0, 0.0]), "example")[0].count
        2
    """
    if rates is not None and len(rates) != len(strategies):
        raise InvalidGameError(f"{name}: got rates of {len(rates)} populations, expected {len(strategies)}")
    return [
        _incidence(s, None if rates is None else rates[k], costs, f"{name}, population {k}")
        for k, s in enumerate(strategies)
    ]


def _incidence(strategies: object, rates: Sequence[Sequence[float]] | None, costs: Costs, who: str) -> Incidence:
    if rates is not None and isinstance(strategies, Incidence | Tensor | np.ndarray):
        raise InvalidGameError(f"{who}: got a matrix of rates and rates beside it, expected one of them")
    if isinstance(strategies, Incidence):
        found = strategies
    elif isinstance(strategies, Tensor | np.ndarray):
        found = Incidence.of_matrix(strategies, costs.size, who)
    elif isinstance(strategies, Sequence) and not isinstance(strategies, str):
        found = Incidence.of_lists(strategies, rates, costs.size, who)
    else:
        raise InvalidGameError(f"{who}: got strategies of type {type(strategies).__name__}, expected lists or a matrix")
    if found.count == 0 or found.size != costs.size:
        raise InvalidGameError(
            f"{who}: got {found.count} strategies over {found.size} resources, expected at least one strategy over "
            f"{costs.size}"
        )
    return found
