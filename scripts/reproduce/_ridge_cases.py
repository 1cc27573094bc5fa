"""Where the paths of STON'R should end: games, end points, and how long the paths are.

The expected numbers are those of an independent prototype at a step of 0.005 on the unit cube, from all four corners in
both orders of the coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.ridge.path import RidgePath, all_corners, follow_ridge, orders
from strategic_envs.agents.dynamics.stonr import StayOnTheRidge
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.seeding import torch_stream
from strategic_envs.sets import Box

__all__ = ["CASES", "LARGER", "STEP", "Case", "Larger", "distance", "ends_there", "follow", "random_game"]

STEP = 0.005
"""The step of the expected numbers of moves."""

_SAME_POINT = 1e-8
_TWICE = ((1.0, 1.0), (-1.0, -1.0))


@dataclass(frozen=True)
class Case:
    """A game of two numbers.

    Args:
        label: What it is called in a table.
        name: Its name in the catalogue.
        ends: The points where its paths end.
        moves: The fewest and the most moves of a path.
        epochs: The fewest and the most epochs.
        settings: The game's settings.
    """

    label: str
    name: str
    ends: tuple[tuple[float, ...], ...]
    moves: tuple[int, int]
    epochs: tuple[int, int]
    settings: dict[str, float] = field(default_factory=dict)

    def game(self) -> VIGame:
        """The game itself."""
        return _game(self.name, **self.settings)


@dataclass(frozen=True)
class Larger:
    """A game of more coordinates: its end points and the corners its paths start from."""

    label: str
    name: str
    ends: tuple[tuple[float, ...], ...]
    corners: tuple[tuple[int, ...], ...]

    def game(self) -> VIGame:
        """The game itself."""
        return _game(self.name)


CASES = (
    Case("(t - 1/2)(w - 1/2) on [0, 1]", "shifted_bilinear", ((0.5, 0.5),), (201, 401), (3, 3)),
    Case("f_1 on [-1, 1]", "f1", _TWICE, (0, 200), (2, 2), {"box": 1.0}),
    Case("f_1 on [-3, 3]", "f1", ((0.0, 0.0),), (152, 493), (2, 3), {"box": 3.0}),
    Case("f_1 on [-5, 5]", "f1", ((0.0, 0.0),), (173, 381), (2, 2), {"box": 5.0}),
    Case("f_2 on [-1, 1]", "f2", ((0.0, 0.0),), (201, 421), (3, 3), {"box": 1.0}),
    Case("f_2 on [-2, 2]", "f2", ((0.0, 0.0),), (201, 421), (3, 3), {"box": 2.0}),
    Case("forsaken", "forsaken", ((0.07802666873846009, 0.41193385136581984),), (202, 458), (2, 3)),
    Case("GlobalForsaken", "global_forsaken", ((0.0, 0.0),), (210, 410), (3, 3)),
    Case("squared difference", "squared_difference", _TWICE, (0, 200), (2, 2)),
)

_ALIKE = -0.8699112492968709  # 3 cos 3x cos 2x + x/2 = 0, where three players play alike
_EDGE = math.sqrt(6) / 4  # where x + z = 3/4 meets the point at which the second player would leave her bound

LARGER = (
    Larger(
        "six coordinates (Nie et al. 6.3i)",
        "nie_yang_zhou",
        ((-1, -1, 1, 1, 1, 1), (-1, 1, -1, 1, 1, 1), (1, -1, -1, 1, 1, 1)),
        ((0, 0, 0, 0, 0, 0), (1, 1, 1, 1, 1, 1), (0, 0, 0, 1, 1, 1), (0, 1, 0, 1, 0, 1)),
    ),
    Larger(
        "three players, trigonometric",
        "three_player_trigonometric",
        ((1.0, 1.0, 1.0), (_ALIKE,) * 3),
        tuple(all_corners(3)),
    ),
    Larger(
        "three players, polynomial",
        "three_player_polynomial",
        ((-0.25, 1.0, 1.0), (_EDGE - 0.75, 1.0, 1.5 - _EDGE)),
        tuple(all_corners(3)),
    ),
)


def follow(
    game: VIGame,
    corners: Iterable[Sequence[int]],
    step_size: float,
    *,
    all_orders: bool = False,
    method: type[StayOnTheRidge] = StayOnTheRidge,
) -> list[RidgePath]:
    """The paths from some corners, in one order of the coordinates or in all of them.

    Example:
        >>> [path.outcome for path in follow(CASES[1].game(), [(0, 0)], 0.02, all_orders=True)]
        ['converged', 'converged']
    """
    total = sum(game.dims)
    chosen = list(orders(total)) if all_orders else [tuple(range(total))]
    return [
        follow_ridge(game, corner=corner, order=order, step_size=step_size, method=method)
        for corner in corners
        for order in chosen
    ]


def distance(path: RidgePath, ends: Sequence[Sequence[float]]) -> float:
    """How far the end of a path is from the nearest of some points, in the largest coordinate."""
    end = path.end.flat()
    return min(float((end - end.new_tensor(point)).abs().max()) for point in ends)


def ends_there(path: RidgePath, ends: Sequence[Sequence[float]], within: float = _SAME_POINT) -> bool:
    """Whether a path converged to one of the points."""
    return path.outcome == "converged" and distance(path, ends) < within


def random_game(seed: int, players: int) -> Game:
    """A general-sum game of players with one number in [-1, 1] each: quadratic terms and waves, drawn at random.

    Example:
        >>> random_game(0, 3).dims
        (1, 1, 1)
    """
    stream = torch_stream(seed, "random_game", players)
    quadratic, linear, waves = (torch.randn(*[players] * k, generator=stream, dtype=torch.float64) for k in (3, 2, 2))

    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        z = torch.cat(x, dim=-1)
        return z @ linear.T + torch.einsum("...i,pij,...j->...p", z, quadratic, z) + torch.sin(2 * z @ waves.T)

    return Game(utilities, [Box(-1, 1)] * players, name=f"random_{seed}")


def _game(name: str, **settings: Any) -> VIGame:
    found = catalogue_game(name, **settings)
    assert isinstance(found, VIGame)
    return found
