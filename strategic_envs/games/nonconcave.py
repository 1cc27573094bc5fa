"""Three nonconcave min-max games on which first-order methods are judged: f_1, f_2 and forsaken.

Player 0 minimises and player 1 maximises; each plays one number. f_1 and f_2 come from the STON'R paper (Daskalakis,
Golowich, Skoulakis and Zampetakis, COLT 2023, appendix E; f_1 goes back to Mazumdar, Jordan and Sastry 2019), forsaken
from Hsieh, Mertikopoulos and Cevher (ICML 2021, example 5.2).
"""

from __future__ import annotations

import math

from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.sets import Box

__all__ = ["GAMES", "f1", "f2", "forsaken"]

_SMOOTHNESS_F1 = {1.0: 13.29, 3.0: 20.46, 5.0: 27.03}  # largest spectral norm of the field's Jacobian, on a grid
_SMOOTHNESS_F2 = {1.0: 2.151, 2.0: 2.84}  # the first at the corners
_EDGE_F1 = 0.6156097132530169  # where df_1/dt(t, 1) vanishes


def _check_box(name: str, box: float) -> float:
    if not 0 < box < math.inf:
        raise InvalidGameError(f"{name}: needs a finite box > 0, got {box}")
    return float(box)


def f1(box: float = 3.0) -> Game:
    """The game `min_t max_w f_1(t, w)` on `[-box, box]^2`.

    `f_1(t, w) = (4 t^2 - (w - 3t + t^3/20)^2 - w^4/10) exp(-(t^2 + w^2)/100)`

    The box decides everything. On [-3, 3] and [-5, 5] the origin is the only first-order equilibrium, it repels
    gradient play, and the first-order methods cycle. On [-1, 1] there are five, and gradient play converges to the
    strict ones at (1, 1) and (-1, -1). The origin is a local minimax point, but no local Nash equilibrium of second
    order: the minimiser's own curvature there is -10.

    Args:
        box: Half the side of the square, larger than 0.

    Raises:
        InvalidGameError: If the box is not positive and finite.

    Example:
        >>> game = f1()
        >>> game.jacobian(game.profile([0.0], [0.0])).tolist()
        [[10.0, -6.0], [6.0, -2.0]]
    """
    box = _check_box("f1", box)
    equilibria = [Equilibrium.pure(kind, [0.0, 0.0]) for kind in ("first_order_nash", "local_minimax")]
    values = {}
    if box == 1.0:
        others = [(s * t, s) for s in (1.0, -1.0) for t in (1.0, _EDGE_F1)]
        equilibria += [Equilibrium.pure("first_order_nash", point) for point in others]
        equilibria.append(Equilibrium.mixed("nash", [{-1.0: 0.5, 1.0: 0.5}, {0.0: 1.0}]))
        values["value"] = (4.0 - 2.95**2) * math.exp(-0.01)
    if box == 3.0:
        t = 2.9936735477187733
        equilibria.append(Equilibrium.mixed("nash", [{-t: 0.5, t: 0.5}, {0.0: 1.0}]))
        values["value"] = -20.584322371300082
    known = Known(
        equilibria=tuple(equilibria),
        values=values,
        constants={"smoothness": _SMOOTHNESS_F1[box]} if box in _SMOOTHNESS_F1 else {},
        complete=box in (1.0, 3.0),
        source="Daskalakis, Golowich, Skoulakis and Zampetakis (COLT 2023), appendix E",
        note="First-order equilibria found by a multistart search of the square, its edges and corners.",
    )
    return Game.minmax(_f1, [Box(-box, box), Box(-box, box)], name="f1", known=known)


def _f1(t: Tensor, w: Tensor) -> Tensor:
    inner = w - 3 * t + t * t * t / 20
    value = (4 * t * t - inner * inner - w * w * w * w / 10) * ((t * t + w * w) / -100).exp()
    return value.squeeze(-1)


def f2(box: float = 1.0) -> Game:
    """The game `min_t max_w f_2(t, w)` on `[-box, box]^2`.

    `f_2(t, w) = -t w - w^2/20 + S((t^2 + w^2)/2) w^2/10` with the smooth step `S(z) = 3z^2 - 2z^3` on (0, 1), 0 before
    and 1 after. The origin is the only first-order equilibrium and attracts; outside the unit circle the field repels,
    so gradient play from far away circles along the box.

    Args:
        box: Half the side of the square, larger than 0.

    Raises:
        InvalidGameError: If the box is not positive and finite.

    Example:
        >>> game = f2()
        >>> game.field(game.profile([0.5], [0.0])).flat().tolist()
        [0.0, -0.5]
    """
    box = _check_box("f2", box)
    known = Known(
        equilibria=(Equilibrium.pure("first_order_nash", [0.0, 0.0]),),
        values={"value": 0.0},
        constants={"smoothness": _SMOOTHNESS_F2[box]} if box in _SMOOTHNESS_F2 else {},
        complete=box in (1.0, 2.0),
        source="Daskalakis, Golowich, Skoulakis and Zampetakis (COLT 2023), appendix E",
    )
    return Game.minmax(_f2, [Box(-box, box), Box(-box, box)], name="f2", known=known)


def _f2(t: Tensor, w: Tensor) -> Tensor:
    z = ((t * t + w * w) / 2).clamp(0.0, 1.0)
    step = z * z * (3 - 2 * z)
    return (-t * w - w * w / 20 + step * w * w / 10).squeeze(-1)


def forsaken() -> Game:
    """The game `min_x max_y x(y - 0.45) + phi(x) - phi(y)` on `[-3/2, 3/2]^2`.

    `phi(z) = z^2/4 - z^4/2 + z^6/6`. Its one first-order equilibrium is no local Nash equilibrium of second order, and
    gradient play falls into a cycle around it. The mixed equilibrium is known in closed form: with `z* = sqrt(1 +
    sqrt(1/2))` player 0 plays both `+-z*` evenly, player 1 plays `+z*` with probability `1/2 + 0.225/z*`.

    Example:
        >>> game = forsaken()
        >>> bool(game.field(game.known().equilibria[0].points).norm() < 1e-12)
        True
    """
    z = math.sqrt(1 + math.sqrt(0.5))
    p = 0.5 + 0.225 / z
    known = Known(
        equilibria=(
            Equilibrium.pure("first_order_nash", [0.07802666873846009, 0.41193385136581984]),
            Equilibrium.mixed("nash", [{-z: 0.5, z: 0.5}, {z: p, -z: 1 - p}]),
        ),
        values={"value": 0.0},
        constants={"smoothness": 12.403},
        complete=True,
        source="Hsieh, Mertikopoulos and Cevher (ICML 2021), example 5.2; the mixed equilibrium is derived here",
    )
    return Game.minmax(_forsaken, [Box(-1.5, 1.5), Box(-1.5, 1.5)], name="forsaken", known=known)


def _phi(z: Tensor) -> Tensor:
    square = z * z
    return square * (0.25 + square * (-0.5 + square / 6))


def _forsaken(x: Tensor, y: Tensor) -> Tensor:
    return (x * (y - 0.45) + _phi(x) - _phi(y)).squeeze(-1)


GAMES = {"f1": f1, "f2": f2, "forsaken": forsaken}
