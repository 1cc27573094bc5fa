"""Games of three players on the cube `[-1, 1]^3`, one number a player."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.sets import Box

__all__ = ["GAMES", "three_player_polynomial", "three_player_trigonometric"]


def three_player_polynomial() -> Game:
    """A polynomial game of three players whose utilities sum to zero.

    With x, y, z the players' numbers in [-1, 1]:

        u_0 = -2xy^2 + 5xy - y - 2x^2 - 4xz - 2z
        u_1 = 2xy^2 - 2x^2 - 5xy + y - 2yz^2 - 2y^2 + 5yz
        u_2 = 4x^2 + 4xz + 2z + 2yz^2 + 2y^2 - 5yz

    (Kroupa, Vannucci and Votroubek 2021, example 5). The points `(3/4 - z, 1, z)` with `(6 - sqrt 6)/4 <= z <= 1` are
    all first-order equilibria, derived here; the two ends of this segment are the points that path-following methods
    report.

    Example:
        >>> game = three_player_polynomial()
        >>> game.utilities(game.profile([-0.25], [1.0], [1.0])).sum().item()
        0.0
    """
    z = (6 - math.sqrt(6)) / 4
    known = Known(
        equilibria=(
            Equilibrium.pure("first_order_nash", [-0.25, 1.0, 1.0]),
            Equilibrium.pure("first_order_nash", [0.75 - z, 1.0, z]),
        ),
        source="Kroupa, Vannucci and Votroubek (2021), example 5",
        note="The two listed points are the ends of a segment of first-order equilibria.",
    )
    return Game(_polynomial, [Box(-1, 1)] * 3, name="three_player_polynomial", known=known)


def _polynomial(players: tuple[Tensor, ...]) -> Tensor:
    x, y, z = (t.squeeze(-1) for t in players)
    u0 = -2 * x * y * y + 5 * x * y - y - 2 * x * x - 4 * x * z - 2 * z
    u1 = 2 * x * y * y - 2 * x * x - 5 * x * y + y - 2 * y * z * z - 2 * y * y + 5 * y * z
    u2 = 4 * x * x + 4 * x * z + 2 * z + 2 * y * z * z + 2 * y * y - 5 * y * z
    return torch.stack(torch.broadcast_tensors(u0, u1, u2), dim=-1)


def three_player_trigonometric() -> Game:
    """A cyclic game of three players: `u_i = sin(3 x_i) cos(2 x_{i+1}) + 2 x_i x_{i+1} - 1.5 x_i x_{i+2}`.

    Indices are taken modulo 3. Rotating the players rotates the game. Two first-order equilibria are known: the corner
    (1, 1, 1) and a symmetric point in the interior.

    Example:
        >>> game = three_player_trigonometric()
        >>> game.field(game.profile([0.0], [0.0], [0.0])).flat().tolist()
        [3.0, 3.0, 3.0]
    """
    known = Known(
        equilibria=(
            Equilibrium.pure("first_order_nash", [1.0, 1.0, 1.0]),
            Equilibrium.pure("first_order_nash", [-_SYMMETRIC, -_SYMMETRIC, -_SYMMETRIC]),
        ),
        source="defined here",
    )
    return Game(_trigonometric, [Box(-1, 1)] * 3, name="three_player_trigonometric", known=known)


_SYMMETRIC = 0.8699112492968709  # where 3 cos(3x) cos(2x) + x/2 vanishes, at -x


def _trigonometric(players: tuple[Tensor, ...]) -> Tensor:
    x = [t.squeeze(-1) for t in players]
    u = [
        (3 * x[i]).sin() * (2 * x[(i + 1) % 3]).cos() + x[i] * (2 * x[(i + 1) % 3] - 1.5 * x[(i + 2) % 3])
        for i in range(3)
    ]
    return torch.stack(torch.broadcast_tensors(*u), dim=-1)


GAMES = {
    "three_player_polynomial": three_player_polynomial,
    "three_player_trigonometric": three_player_trigonometric,
}
