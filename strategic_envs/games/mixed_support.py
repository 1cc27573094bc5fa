"""Two zero-sum games on intervals by whose mixed equilibria double oracle methods are judged: Townsend's and Dresher's.

Townsend's needs three points a player, Dresher's all points of the interval.
"""

from __future__ import annotations

import torch
from torch import Tensor

from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.sets import Box

__all__ = ["GAMES", "dresher", "townsend"]

# Support and weights solve the conditions of first order and of indifference to 20 digits.
_TOWNSEND = (
    {1.3452834474053755: 0.013023787299344474, -2.1056845597045799: 0.0074946442134546614, 0.02739462885694293: 0.0},
    {-2.1131607910576867: 0.60894414164971914, -0.9177468741024505: 0.13671450586143323, 0.9177468741024505: 0.0},
)


def townsend() -> Game:
    """The game `u_0 = cos((x - 0.1) y)^2 + x sin(3x + y) = -u_1` on `[-2.25, 2.5] x [-2.5, 1.75]`.

    (Townsend's test function; as a game in Adam, Horcik, Kasl and Kroupa, AAAI 2021.) Player 0, who plays x, maximises.
    Both players mix three points; the value is 0.972183.

    Example:
        >>> len(townsend().known().equilibria[0].weights[0])
        3
    """
    marginals = [dict(m) for m in _TOWNSEND]
    for m in marginals:
        m[list(m)[-1]] = 1.0 - sum(m.values())
    known = Known(
        equilibria=(Equilibrium.mixed("nash", marginals),),
        values={"value": 0.97218256667490743},
        constants={"smoothness": 33.499},
        source="Adam, Horcik, Kasl and Kroupa (AAAI 2021); the equilibrium is computed here",
    )
    return Game(_townsend, [Box(-2.25, 2.5), Box(-2.5, 1.75)], name="townsend", known=known)


def _townsend(players: tuple[Tensor, ...]) -> Tensor:
    x, y = (t.squeeze(-1) for t in players)
    u = ((x - 0.1) * y).cos() ** 2 + x * (3 * x + y).sin()
    return torch.stack([u, -u], dim=-1)


def dresher() -> Game:
    """The game `u_0 = |x - y| (1 - |x - y|) = -u_1` on `[0, 1]^2`: only the uniform distribution is optimal.

    (Dresher, Games of Strategy, 1961.) Player 0, who plays x, maximises. With the ends of the interval joined to a
    circle, the utility is 1/6 minus a kernel with positive Fourier coefficients, so the uniform distributions are the
    only equilibrium, and the value is 1/6. No finite support is enough: the slow case for double oracle. The points
    with `|x - y| = 1/2` are first-order equilibria.

    Example:
        >>> game = dresher()
        >>> game.utilities(game.profile([0.75], [0.25])).tolist()
        [0.25, -0.25]
    """
    known = Known(
        equilibria=tuple(Equilibrium.pure("first_order_nash", point) for point in ([0.0, 0.5], [0.25, 0.75])),
        values={"value": 1 / 6},
        source="Dresher, Games of Strategy (1961); uniqueness is derived here",
        note="The mixed equilibrium is uniform on [0, 1]; the two listed points lie on a line of them.",
    )
    return Game(_dresher, [Box(0, 1), Box(0, 1)], name="dresher", known=known)


def _dresher(players: tuple[Tensor, ...]) -> Tensor:
    distance = (players[0] - players[1]).squeeze(-1).abs()
    u = distance * (1 - distance)
    return torch.stack([u, -u], dim=-1)


GAMES = {"dresher": dresher, "townsend": townsend}
