"""Min-max games whose critical points attract or repel gradient play against their meaning.

Gradient play is attracted by points that are no local Nash equilibrium (`adolphs`, `daskalakis_panageas`), or leaves
the only critical point for a cycle (`almost_bilinear`). Player 0 minimises and player 1 maximises; each plays one
number.
"""

from __future__ import annotations

import math

from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.sets import Box

__all__ = ["GAMES", "adolphs", "almost_bilinear", "daskalakis_panageas"]


def _check(name: str, **numbers: float) -> None:
    for what, number in numbers.items():
        if not 0 < number < math.inf:
            raise InvalidGameError(f"{name}: needs a finite {what} > 0, got {number}")


def almost_bilinear(epsilon: float = 0.01, box: float = 2.0) -> Game:
    """The game `min_x max_y x y + epsilon (y^2/2 - y^4/4)` on `[-box, box]^2`.

    (Hsieh, Mertikopoulos and Cevher, ICML 2021, example 5.1.) The origin, its one first-order equilibrium, repels, and
    play settles on a cycle whose mean radius tends to `sqrt(4/3)` with epsilon (by averaging: `r^2/2 = 3 r^4/8`).
    A global equilibrium: x = 0 against y = +-1 with probability one half.

    Args:
        epsilon: How far from bilinear, larger than 0 and at most 1.
        box: Half the side of the square, at least 1.

    Raises:
        InvalidGameError: If a number is out of its range.

    Example:
        >>> game = almost_bilinear()
        >>> round(game.known().constants["cycle_radius"], 4)
        1.1547
    """
    _check("almost_bilinear", epsilon=epsilon, box=box)
    if epsilon > 1 or box < 1:
        raise InvalidGameError(f"almost_bilinear: needs epsilon <= 1 and box >= 1, got {epsilon} and {box}")
    steepest = epsilon * max(1.0, 3 * box**2 - 1)  # the largest |f_yy|
    known = Known(
        equilibria=(
            Equilibrium.pure("first_order_nash", [0.0, 0.0]),
            Equilibrium.mixed("nash", [{0.0: 1.0}, {-1.0: 0.5, 1.0: 0.5}]),
        ),
        values={"value": epsilon / 4},
        constants={"smoothness": (steepest + math.sqrt(steepest**2 + 4)) / 2, "cycle_radius": math.sqrt(4 / 3)},
        source="Hsieh, Mertikopoulos and Cevher (ICML 2021), example 5.1; the mixed equilibrium is derived here",
        note="The first-order equilibrium is the only one; every mean-zero distribution of x is as good as x = 0.",
    )
    return Game.minmax(_AlmostBilinear(epsilon), [Box(-box, box)] * 2, name="almost_bilinear", known=known)


class _AlmostBilinear:
    def __init__(self, epsilon: float) -> None:
        self.epsilon = float(epsilon)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        square = y * y
        return (x * y + self.epsilon * square * (0.5 - 0.25 * square)).squeeze(-1)


def adolphs(box: float = 5.0) -> Game:
    """The game `min_x max_y 2x^2 + y^2 + 4xy + 4y^3/3 - y^4/4` on `[-box, box]^2`.

    (Adolphs, Daneshmand, Lucchi and Hofmann, AISTATS 2019.) Its critical points have `x = -y` and y in {0, 2 - sqrt 2,
    2 + sqrt 2}. The last is the only local Nash equilibrium, yet the origin, where `f_yy = 2 > 0`, attracts gradient
    play as well. The mixed equilibrium, derived here: `x = -50/27` against `y = 4/3 +- sqrt(22/3)`, the first with
    probability `1/2 + (7/27)/sqrt(22/3)`.

    Args:
        box: Half the side of the square, at least 4.1.

    Raises:
        InvalidGameError: If the box does not hold the equilibria or is not finite.

    Example:
        >>> game = adolphs()
        >>> x = game.profile([0.0], [0.0])
        >>> game.hessian(x, 1).item()
        2.0
    """
    _check("adolphs", box=box)
    if box < 4.1:
        raise InvalidGameError(f"adolphs: needs box >= 4.1, which holds all equilibria, got {box}")
    root, half = math.sqrt(2), math.sqrt(22 / 3)
    p, x, y = 0.5 + 7 / (27 * half), -50 / 27, 4 / 3 + half
    known = Known(
        equilibria=(
            *(Equilibrium.pure("first_order_nash", [-z, z]) for z in (2 + root, 0.0, 2 - root)),
            Equilibrium.mixed("nash", [{x: 1.0}, {y: p, 4 / 3 - half: 1 - p}]),
        ),
        values={"value": 2 * x * x + y * (4 * x + y * (1 + y * (4 / 3 - y / 4)))},
        constants={"smoothness": 113.13659267044768} if box == 5.0 else {},
        complete=True,
        source="Adolphs, Daneshmand, Lucchi and Hofmann (AISTATS 2019); the mixed equilibrium is derived here",
        note="Only the first listed point is a local Nash equilibrium of second order.",
    )
    return Game.minmax(_adolphs, [Box(-box, box)] * 2, name="adolphs", known=known)


def _adolphs(x: Tensor, y: Tensor) -> Tensor:
    return (2 * x * x + y * (4 * x + y * (1 + y * (4 / 3 - y / 4)))).squeeze(-1)


def daskalakis_panageas(box: float = 1.0) -> Game:
    """The game `min_x max_y -x^2/8 - y^2/2 + 6xy/10` on `[-box, box]^2`.

    (Daskalakis and Panageas, NeurIPS 2018.) The origin attracts gradient play, the Jacobian of F having the
    eigenvalues 0.2 and 0.55, although it is a local maximum and not a minimum of the minimiser's cost. The mixed
    equilibrium, derived here: x at both ends with probability one half, y = 0.

    Args:
        box: Half the side of the square, larger than 0.

    Raises:
        InvalidGameError: If the box is not positive and finite.

    Example:
        >>> game = daskalakis_panageas()
        >>> game.hessian(game.profile([0.0], [0.0]), 0).item()  # of u_0 = -f
        0.25
    """
    _check("daskalakis_panageas", box=box)
    known = Known(
        equilibria=(
            Equilibrium.pure("first_order_nash", [0.0, 0.0]),
            Equilibrium.mixed("nash", [{-box: 0.5, box: 0.5}, {0.0: 1.0}]),
        ),
        values={"value": -(box**2) / 8},
        constants={"smoothness": 1.332548584904245},  # the norm of [[1/4, -6/10], [6/10, -1]]
        complete=True,
        source="Daskalakis and Panageas (NeurIPS 2018); the mixed equilibrium is derived here",
    )
    return Game.minmax(_daskalakis_panageas, [Box(-box, box)] * 2, name="daskalakis_panageas", known=known)


def _daskalakis_panageas(x: Tensor, y: Tensor) -> Tensor:
    return (0.6 * x * y - x * x / 8 - y * y / 2).squeeze(-1)


GAMES = {"adolphs": adolphs, "almost_bilinear": almost_bilinear, "daskalakis_panageas": daskalakis_panageas}
