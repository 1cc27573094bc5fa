"""Problems just inside and outside what weak Minty theory covers: GlobalForsaken and the polar game.

A solution z* is a weak Minty solution of the operator F with constant rho when `<F(z), z - z*> >= rho |F(z)|^2` for all
z. Extragradient with two step sizes converges to it when `rho > -1/(2L)`, CurvatureEG+ when `rho > -1/L`, with L the
Lipschitz constant of F (Diakonikolas, Daskalakis and Jordan 2021; Pethick, Latafat, Patrinos, Fercoq and Cevher, ICLR
2022). The constants here are of the box of the game: `smoothness` is L, `weak_minty` the largest such rho.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.sets import Box

__all__ = ["GAMES", "PolarGame", "global_forsaken"]

_Number = TypeVar("_Number", float, Tensor)

_GLOBAL_FORSAKEN = {  # by box: L and rho, measured on a grid
    4 / 3: {"smoothness": 3.0224, "weak_minty": -0.119732},
    1.5: {"smoothness": 6.3103, "weak_minty": -0.119732},
}
_POLAR_BOX = 1.1
_POLAR_LOW = -49 / 1024  # the smallest h, at r^2 = 25/32


def global_forsaken(box: float = 4 / 3) -> Game:
    """The game `min_x max_y x y + psi(x) - psi(y)` on `[-box, box]^2`, `psi(z) = 2 z^6/21 - z^4/3 + z^2/3`.

    (Pethick et al. 2022, appendix C.4.) Limit cycles keep gradient play away from the origin, its one equilibrium. That
    is a global Nash equilibrium, because psi is positive elsewhere. On the default box `rho > -1/(2L)`.

    Args:
        box: Half the side of the square, larger than 0.

    Raises:
        InvalidGameError: If the box is not positive and finite.

    Example:
        >>> game = global_forsaken()
        >>> game.known().constants["weak_minty"] > -1 / (2 * game.known().constants["smoothness"])
        True
    """
    if not 0 < box < math.inf:
        raise InvalidGameError(f"global_forsaken: needs a finite box > 0, got {box}")
    known = Known(
        equilibria=tuple(Equilibrium.pure(kind, [0.0, 0.0]) for kind in ("nash", "first_order_nash")),
        values={"value": 0.0},
        constants=_GLOBAL_FORSAKEN.get(float(box), {}),
        complete=box in _GLOBAL_FORSAKEN,
        source="Pethick, Latafat, Patrinos, Fercoq and Cevher (ICLR 2022), appendix C.4; constants measured here",
    )
    return Game.minmax(_global_forsaken, [Box(-box, box), Box(-box, box)], name="global_forsaken", known=known)


def _psi(z: Tensor) -> Tensor:
    square = z * z
    return square * (1 / 3 + square * (-1 / 3 + square * (2 / 21)))


def _global_forsaken(x: Tensor, y: Tensor) -> Tensor:
    return (x * y + _psi(x) - _psi(y)).squeeze(-1)


class PolarGame(VIGame):
    """The operator `F(x, y) = (a h x - y, a h y + x)` with `h = (r^2 - 1)(16 r^2 - 9)/16` on `[-1.1, 1.1]^2`.

    (Pethick et al. 2022, appendix C.2.) It is no gradient game of one function: there are no utilities. Along the field
    -F the radius follows `r' = -a h r`: the origin attracts, the circle of radius 3/4 repels and the unit circle
    attracts. The constants follow in closed form: with `h_min = -49/1024`, rho is the least value of
    `a h/(1 + a^2 h^2)`, and L is the norm of the Jacobian at the corners.

    Args:
        a: How strong the radial part is, larger than 0. With 1, rho lies in `(-1/L, -1/2L)`; with 3/4 in `(-1/2L,
            -1/3L)`; with 1/3 in `(-1/8L, -1/10L)`.

    Raises:
        InvalidGameError: If a is not positive and finite.

    Example:
        >>> game = PolarGame()
        >>> (-game.field(game.profile([1.0], [0.0]))).flat().tolist()  # on the unit circle F only turns
        [0.0, 1.0]
        >>> round(game.known().constants["weak_minty"], 6), round(game.known().constants["smoothness"], 3)
        (-0.047742, 18.548)
    """

    def __init__(self, a: float = 1.0) -> None:
        if not 0 < a < math.inf:
            raise InvalidGameError(f"polar: needs a finite a > 0, got {a}")
        self.a = float(a)
        lowest = max(self.a * _POLAR_LOW, -1.0)  # t/(1 + t^2) falls to -1/2 at t = -1
        square = 2 * _POLAR_BOX**2
        h = _radial(square)
        radial = h + square * (32 * square - 25) / 8  # h + r dh/dr
        corner = torch.tensor([[self.a * radial, -1.0], [1.0, self.a * h]], dtype=torch.float64)
        known = Known(
            equilibria=(Equilibrium.pure("first_order_nash", [0.0, 0.0]),),
            constants={
                "smoothness": float(torch.linalg.matrix_norm(corner, 2)),
                "weak_minty": lowest / (1 + lowest**2),
                "attracting_radius": 1.0,
                "repelling_radius": 0.75,
            },
            complete=True,
            source="Pethick, Latafat, Patrinos, Fercoq and Cevher (ICLR 2022), appendix C.2",
            note="An operator without utilities: it has local gaps, but no global ones.",
        )
        super().__init__(self._polar, [Box(-_POLAR_BOX, _POLAR_BOX)] * 2, name="polar", known=known)

    def _polar(self, z: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        x, y = z
        h = self.a * _radial(x * x + y * y)
        return h * x - y, h * y + x


def _radial(square: _Number) -> _Number:
    return (square - 1) * (16 * square - 9) / 16


GAMES = {"global_forsaken": global_forsaken, "polar": PolarGame}
