"""Small routing games with known equilibria: Pigou's and Braess's roads, and links side by side.

A player is a population of travellers, its strategy the shares of its paths. Path costs are what members pay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.congestion import PowerCosts
from strategic_envs.games.kinds.congestion.costs import numbers
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.games.routing import Network, RoutingGame

__all__ = ["GAMES", "braess", "braess_six", "monomial_links", "parallel_links", "pigou"]

_DIAMOND = ((0.0, 0.0), (1.0, 0.6), (1.0, -0.6), (2.0, 0.0))  # from, above, below, to


def pigou(power: float = 1.0) -> RoutingGame:
    """Pigou's two roads: one always costs 1, the other x^power; one unit of trips.

    Everybody takes the second road and pays 1. At the optimum `(power + 1)^(-1 / power)` take it. No costs that are
    polynomials of this degree with coefficients of at least 0 have a larger price of anarchy (Pigou 1920; Roughgarden
    2003), and it grows without bound with the degree.

    Args:
        power: The degree, above 0.

    Raises:
        InvalidGameError: If the power is not a finite number above 0.

    Example:
        >>> game = pigou(power=2)
        >>> game.wardrop().total_cost, round(game.price_of_anarchy(), 6)
        (1.0, 1.625752)
    """
    if not (isinstance(power, int | float) and 0 < power < math.inf):
        raise InvalidGameError(f"pigou: got power={power!r}, expected a finite number above 0")
    least = 1 - power * (power + 1) ** (-(power + 1) / power)
    roads = Network("ss", "tt", PowerCosts([[1.0], [1.0]], [[0.0], [power]]), names=["1", f"x^{power:g}"])
    known = _known([0.0, 1.0], 1.0, least, "Pigou (1920); Roughgarden and Tardos (2002)")
    return RoutingGame(roads, {("s", "t"): 1.0}, paths=[[[0], [1]]], name="pigou", known=known)


def braess(shortcut: bool = True) -> RoutingGame:
    """Braess's paradox: a road that costs nothing makes everybody pay 2 where 1.5 was paid without it.

    s-v and w-t cost their flow, s-w and v-t cost 1, the shortcut v-w nothing; one unit of trips (Braess 1968).

    Args:
        shortcut: Whether the road v-w is there.

    Example:
        >>> braess(shortcut=False).wardrop().total_cost, braess().wardrop().total_cost
        (1.5, 2.0)
    """
    count, paths = (5, [[0, 1], [2, 3], [0, 4, 3]]) if shortcut else (4, [[0, 1], [2, 3]])
    costs = PowerCosts.affine([1.0, 0.0, 0.0, 1.0, 0.0][:count], [0.0, 1.0, 1.0, 0.0, 0.0][:count])
    roads = Network("svswv"[:count], "vtwtw"[:count], costs, nodes="svwt", positions=_DIAMOND)
    known = _known([0.0, 0.0, 1.0] if shortcut else [0.5, 0.5], 2.0 if shortcut else 1.5, 1.5, "Braess (1968)")
    return RoutingGame(roads, {("s", "t"): 1.0}, paths=[paths], name="braess", known=known)


def braess_six() -> RoutingGame:
    """Braess's paradox with six trips, as in the collection of road networks: all pay 92 where 83 would do.

    Links 1-3: 10x, 1-4: 50 + x, 3-2: 50 + x, 3-4: 10 + x, 4-2: 10x. Two trips take each of the three paths; at the
    optimum nobody takes the link 3-4 (Braess 1968).

    Example:
        >>> flow = braess_six().wardrop()
        >>> [round(load, 9) for load in flow.loads.tolist()], round(flow.total_cost, 9)
        ([4.0, 2.0, 2.0, 2.0, 4.0], 552.0)
    """
    costs = PowerCosts.affine([10.0, 1.0, 1.0, 1.0, 10.0], [0.0, 50.0, 50.0, 10.0, 0.0])
    roads = Network([1, 1, 3, 3, 4], [3, 4, 2, 4, 2], costs, nodes=[1, 3, 4, 2], positions=_DIAMOND)
    known = _known([1 / 3, 1 / 3, 1 / 3], 552.0, 498.0, "Braess (1968)")
    return RoutingGame(roads, {(1, 2): 6.0}, paths=[[[0, 2], [1, 4], [0, 3, 4]]], name="braess_six", known=known)


def parallel_links(
    slope: Sequence[float] | Tensor = (1.0, 2.0, 3.0),
    constant: Sequence[float] | Tensor | None = None,
    demand: float = 1.0,
) -> RoutingGame:
    """Links side by side that cost `constant + slope * x`: the links in use cost one level, others more when empty.

    The price of anarchy is at most 4/3 (Roughgarden and Tardos 2002), and 1 where all constants are 0.

    Args:
        slope: One number a link, each above 0.
        constant: One number a link, each at least 0; 0 when not given.
        demand: How many trips, above 0.

    Raises:
        InvalidGameError: If a number is out of range or the rows differ in length.

    Example:
        >>> game = parallel_links([1.0, 1.0], [0.0, 0.5])
        >>> game.wardrop().loads.tolist(), game.system_optimum().loads.tolist()
        ([0.75, 0.25], [0.625, 0.375])
    """
    steep = _links(slope, demand, "parallel_links")
    fixed = torch.zeros_like(steep) if constant is None else numbers(constant, "parallel_links, constant")
    costs = PowerCosts.affine(steep, fixed)
    shares, best = (_level(k * steep, fixed, demand) for k in (1, 2))  # marginal costs are twice as steep
    paid, least = (float((load * (fixed + steep * load)).sum()) for load in (shares, best))
    known = _known((shares / demand).tolist(), paid, least, "Roughgarden and Tardos (2002)")
    return _side_by_side(costs, demand, "parallel_links", known)


def monomial_links(
    factor: Sequence[float] | Tensor = (1.0, 2.0, 3.0), power: float = 2.0, demand: float = 1.0
) -> RoutingGame:
    """Links side by side that cost `factor * x^power`, all of one degree: the equilibrium is the optimum.

    Marginal costs are `power + 1` times the costs, so the price of anarchy is 1 whatever the factors; Pigou's constant
    road is what makes the difference.

    Args:
        factor: One number a link, each above 0.
        power: The degree, above 0.
        demand: How many trips, above 0.

    Raises:
        InvalidGameError: If a number is out of range.

    Example:
        >>> round(monomial_links([1.0, 4.0], power=3).price_of_anarchy(), 12)
        1.0
    """
    steep = _links(factor, demand, "monomial_links")
    if not (isinstance(power, int | float) and 0 < power < math.inf):
        raise InvalidGameError(f"monomial_links: got power={power!r}, expected a finite number above 0")
    load = steep ** (-1 / power)
    load *= demand / load.sum()
    paid = float((steep * load ** (power + 1)).sum())
    known = _known((load / demand).tolist(), paid, paid, "Dafermos and Sparrow (1969)")
    return _side_by_side(PowerCosts.monomial(steep, power), demand, "monomial_links", known)


def _links(slope: Sequence[float] | Tensor, demand: float, name: str) -> Tensor:
    steep = numbers(slope, f"{name}, slope")
    if steep.ndim != 1 or not len(steep) or bool((steep <= 0).any()):
        raise InvalidGameError(f"{name}: got {steep.tolist()}, expected one number a link, each above 0")
    if not (isinstance(demand, int | float) and 0 < demand < math.inf):
        raise InvalidGameError(f"{name}: got demand={demand!r}, expected a finite number above 0")
    return steep


def _level(slope: Tensor, constant: Tensor, demand: float) -> Tensor:
    """Loads at which links in use cost one level: with the k cheapest in use, `(demand + sum c / s) / sum 1 / s`."""
    order = constant.argsort(stable=True)
    c, s = constant[order], slope[order]
    levels = (demand + (c / s).cumsum(0)) / (1 / s).cumsum(0)
    return ((levels[int((levels > c).sum()) - 1] - constant) / slope).clamp(min=0)


def _side_by_side(costs: PowerCosts, demand: float, name: str, known: Known) -> RoutingGame:
    roads = Network("s" * costs.size, "t" * costs.size, costs)
    return RoutingGame(roads, {("s", "t"): demand}, paths=[[[e] for e in range(costs.size)]], name=name, known=known)


def _known(shares: Sequence[float], paid: float, least: float, source: str) -> Known:
    """Of one population: the shares at the equilibrium, the total cost there, and the least total cost."""
    return Known(
        equilibria=(Equilibrium.pure("nash", [shares]),),
        values={"total_cost": paid, "optimum": least, "price_of_anarchy": paid / least},
        complete=True,
        source=source,
    )


GAMES = {
    "braess": braess,
    "braess_six": braess_six,
    "monomial_links": monomial_links,
    "parallel_links": parallel_links,
    "pigou": pigou,
}
