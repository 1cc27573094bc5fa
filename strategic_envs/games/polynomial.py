"""Zero-sum polynomial games on boxes: two of Parrilo's, and one of Nie, Yang and Zhou with three numbers a player."""

from __future__ import annotations

import torch
from torch import Tensor

from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.sets import Box

__all__ = ["GAMES", "nie_yang_zhou", "parrilo_3_1", "parrilo_3_2"]

_ROOTS = (0.20991917041241482, 0.90333752398097175)  # of 8 y^3 - 30 y^2 + 25 y - 4


def _zero_sum(u: Tensor) -> Tensor:
    return torch.stack([u, -u], dim=-1)


def parrilo_3_1() -> Game:
    """The game `u_0 = 2xy^2 - x^2 - y = -u_1` on `[-1, 1]^2`: a pure equilibrium at irrational numbers.

    (Parrilo, CDC 2006, example 3.1.) Player 0, who plays x, maximises. The equilibrium is `x = 4^(-2/3)`, `y =
    4^(-1/3)`, its value `-(3/4) 4^(-1/3)`.

    Example:
        >>> game = parrilo_3_1()
        >>> bool(game.field(game.known().equilibria[0].points).norm() < 1e-15)
        True
    """
    y = 4 ** (-1 / 3)
    known = Known(
        equilibria=tuple(Equilibrium.pure(kind, [y * y, y]) for kind in ("nash", "first_order_nash")),
        values={"value": -0.75 * y},
        constants={"smoothness": 3 + 17**0.5},  # at (1, 1)
        complete=True,
        source="Parrilo (CDC 2006), example 3.1",
    )
    return Game(_parrilo_3_1, [Box(-1, 1)] * 2, name="parrilo_3_1", known=known)


def _parrilo_3_1(players: tuple[Tensor, ...]) -> Tensor:
    x, y = (t.squeeze(-1) for t in players)
    return _zero_sum(2 * x * y * y - x * x - y)


def parrilo_3_2() -> Game:
    """The game `u_0 = 5xy - 2x^2 - 2xy^2 - y = -u_1` on `[-1, 1]^2`: player 1 must mix.

    (Parrilo, CDC 2006, example 3.2.) Player 0, who plays x, maximises. In equilibrium `x = 1/5`, y is 1 with
    probability 0.78 and -1 else, and the value is -0.48. Three pure profiles satisfy the first-order conditions.

    Example:
        >>> parrilo_3_2().known().values["value"]
        -0.48
    """
    known = Known(
        equilibria=(
            Equilibrium.mixed("nash", [{0.2: 1.0}, {1.0: 0.78, -1.0: 0.22}]),
            Equilibrium.pure("first_order_nash", [0.75, 1.0]),
            *(Equilibrium.pure("first_order_nash", [(5 * y - 2 * y * y) / 4, y]) for y in _ROOTS),
        ),
        values={"value": -0.48},
        constants={"smoothness": 13.0},  # at (-1, -1)
        complete=True,
        source="Parrilo (CDC 2006), example 3.2",
    )
    return Game(_parrilo_3_2, [Box(-1, 1)] * 2, name="parrilo_3_2", known=known)


def _parrilo_3_2(players: tuple[Tensor, ...]) -> Tensor:
    x, y = (t.squeeze(-1) for t in players)
    return _zero_sum(5 * x * y - 2 * x * x - 2 * x * y * y - y)


def nie_yang_zhou() -> Game:
    """The game `min_x max_y sum(x) + sum(y) - (x_1 - y_1)(x_2 - y_2)(x_3 - y_3)` on `[-1, 1]^3` each.

    (Nie, Yang and Zhou 2021, example 6.3 i.) Three saddle points: `y = (1, 1, 1)`, and x has one coordinate 1 and the
    others -1. Its value is 2.

    Example:
        >>> game = nie_yang_zhou()
        >>> game.utilities(game.profile([-1.0, -1.0, 1.0], [1.0, 1.0, 1.0])).tolist()
        [-2.0, 2.0]
    """
    corners = [[-1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, -1.0, -1.0]]
    known = Known(
        equilibria=tuple(
            Equilibrium.pure(kind, [x, [1.0, 1.0, 1.0]]) for kind in ("nash", "first_order_nash") for x in corners
        ),
        values={"value": 2.0},
        source="Nie, Yang and Zhou (2021), example 6.3 i",
        note="Mixtures of the three saddle points are equilibria as well.",
    )
    return Game.minmax(_nie_yang_zhou, [Box(-1, 1, dim=3)] * 2, name="nie_yang_zhou", known=known)


def _nie_yang_zhou(x: Tensor, y: Tensor) -> Tensor:
    d = x - y
    return (x + y).sum(-1) - d[..., 0] * d[..., 1] * d[..., 2]


GAMES = {"nie_yang_zhou": nie_yang_zhou, "parrilo_3_1": parrilo_3_1, "parrilo_3_2": parrilo_3_2}
