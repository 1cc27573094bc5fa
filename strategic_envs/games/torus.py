"""A game of two angles: its strategies wrap around, so it has no boundary and no boundary equilibria.

A square `[-pi, pi]^2` in place of the torus would cut the circles open and create first-order equilibria at the cut.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.sets import Torus

__all__ = ["GAMES", "torus"]

_LOCAL_NASH = ((-1.0634321815553248, 1.0147282904791436), (1.4081533281585211, -0.325285997272751))
_OTHERS = (
    (-2.9942562200091027, -2.8469197864284122),
    (0.29334058321356147, -2.5549114871626703),
    (math.asin(1.5 * math.sin(math.pi / 8)), 0.0),
    (math.pi - math.asin(1.5 * math.sin(math.pi / 8)), 0.0),
)


def torus() -> Game:
    """The game `u_0 = cos x - cos(x - y)`, `u_1 = 1.5 cos(y - pi/8) - cos(y - x)` of two angles x and y.

    (Chasnov, Ratliff, Mazumdar and Burden, UAI 2020.) Each player likes its own place and keeps away from the other.
    Of six points where both gradients vanish two are local Nash equilibria, near (-1.063, 1.014) and (1.408, -0.325);
    gradient play goes to one of them from almost everywhere.

    Example:
        >>> game = torus()
        >>> game.project(game.profile([4.0], [0.0]))[0].item() == 4.0 - 2 * math.pi
        True
    """
    points = _LOCAL_NASH + _OTHERS
    known = Known(
        equilibria=tuple(Equilibrium.pure("first_order_nash", point) for point in points),
        constants={"smoothness": 3.2626},
        complete=True,
        source="Chasnov, Ratliff, Mazumdar and Burden (UAI 2020); coordinates refined here",
        note="The first two listed points are local Nash equilibria of second order, the others are not.",
    )
    return Game(_torus, [Torus(1), Torus(1)], name="torus", known=known)


def _torus(players: tuple[Tensor, ...]) -> Tensor:
    x, y = (t.squeeze(-1) for t in players)
    together = (x - y).cos()
    return torch.stack([x.cos() - together, 1.5 * (y - math.pi / 8).cos() - together], dim=-1)


GAMES = {"torus": torus}
