"""Bilinear games `min_x max_y (x - a)^T A (y - b)`: where simultaneous gradient play spirals out.

In one dimension with A = 1 and no bounds, every simultaneous gradient step multiplies the distance to the equilibrium
by `sqrt(1 + eta^2)`, alternating steps conserve `x^2 + y^2 - eta x y`, and extragradient converges. Matching pennies
with mixed strategies `p` and `q` is the same game on a square: `u_0 = (2p - 1)(2q - 1) = -u_1`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.play import BestResponse, Empirical, Independent
from strategic_envs.profile import Profile
from strategic_envs.sets import Box, StrategySet

__all__ = ["GAMES", "BilinearGame", "bilinear", "matching_pennies_box", "shifted_bilinear"]


class BilinearGame(Game):
    """The game in which player 0 minimises and player 1 maximises `(x - a)^T A (y - b)`.

    Args:
        matrix: A, of shape `(d_0, d_1)`.
        sets: Two strategy sets of these dimensions.
        offsets: a and b, one number a player.
        name: What errors and tables call the game.
        known: The analytic facts, if there are any.

    Raises:
        InvalidGameError: If the matrix is not one, or does not fit the sets.

    Example:
        >>> game = BilinearGame([[1.0]], [Box(-1, 1), Box(-1, 1)])
        >>> game.field(game.profile([0.5], [1.0])).flat().tolist()
        [-1.0, 0.5]
    """

    def __init__(
        self,
        matrix: Sequence[Sequence[float]] | Tensor,
        sets: Sequence[StrategySet],
        *,
        offsets: tuple[float, float] = (0.0, 0.0),
        name: str = "bilinear",
        known: Known | None = None,
    ) -> None:
        self.matrix = _matrix(matrix, name)
        self.offsets = offsets
        if tuple(s.dim for s in sets) != tuple(self.matrix.shape):
            raise InvalidGameError(
                f"{name}: got sets of dimensions {[s.dim for s in sets]} and a matrix of shape "
                f"{tuple(self.matrix.shape)}: they must agree"
            )
        super().__init__(self._bilinear, sets, name=name, known=known)

    def _bilinear(self, x: tuple[Tensor, ...]) -> Tensor:
        left, right = x[0] - self.offsets[0], x[1] - self.offsets[1]
        value = ((left @ self.matrix.to(left)) * right).sum(-1)
        return torch.stack([-value, value], dim=-1)

    def field(self, x: Sequence[Tensor], player: int | None = None) -> Profile:
        """The ascent field in closed form: `-A (y - b)` and `A^T (x - a)`."""
        players = range(2) if player is None else [player]
        return Profile(self._own_gradient_of(i, x[1 - i].detach()) for i in players)

    def _own_gradient_of(self, player: int, other: Tensor) -> Tensor:
        offset = other - self.offsets[1 - player]
        return -(offset @ self.matrix.to(other).T) if player == 0 else offset @ self.matrix.to(other)

    def best_response(self, player: int, play: Empirical | Independent) -> BestResponse:
        """The exact best response to finitely supported play, by the support function of the own set.

        On an unbounded set the value is infinite unless the opponent's mean leaves nothing to gain, and it is not
        attained.

        Args:
            player: Who responds.
            play: What both play; the responder's own part is not looked at.
        """
        play = play if isinstance(play, Independent) else play.marginals()
        g = self._own_gradient_of(player, play.mean()[1 - player])
        best = self.sets[player].support(g)
        value = float(best.value - self.offsets[player] * g.sum())
        return BestResponse(best.argmax, value, value, value, exact=True, attained=bool(best.argmax.isfinite().all()))


def _matrix(matrix: Sequence[Sequence[float]] | Tensor, name: str) -> Tensor:
    try:
        tensor = torch.as_tensor(matrix, dtype=torch.float64)
    except (ValueError, TypeError) as error:
        raise InvalidGameError(f"{name}: needs a rectangular matrix of numbers: {error}") from error
    if tensor.ndim != 2 or 0 in tensor.shape or not tensor.isfinite().all():
        raise InvalidGameError(
            f"{name}: got a matrix of shape {tuple(tensor.shape)}, expected finite numbers of shape (d_0, d_1)"
        )
    return tensor


def bilinear(
    matrix: Sequence[Sequence[float]] | Tensor | None = None, dim: int = 1, box: float | None = 1.0
) -> BilinearGame:
    """The game `min_x max_y x^T A y` on a box around zero, or on the whole space.

    Args:
        matrix: A, of shape `(d_0, d_1)`; the identity when it is not given.
        dim: The dimension of both players, when no matrix is given.
        box: Both players' coordinates lie in `[-box, box]`; None leaves them unbounded.

    Raises:
        InvalidGameError: If the matrix is not one, `dim < 1`, or the box is not positive.

    Example:
        >>> bilinear(dim=2, box=None).sets[0]
        Box(-inf, inf, dim=2)
    """
    if matrix is None and dim < 1:
        raise InvalidGameError(f"bilinear: needs dim >= 1, got {dim}")
    a = torch.eye(dim, dtype=torch.float64) if matrix is None else _matrix(matrix, "bilinear")
    if box is not None and not box > 0:
        raise InvalidGameError(f"bilinear: needs box > 0, or None for the whole space, got {box}")
    bound = float("inf") if box is None else box
    rows, columns = a.shape
    regular = rows == columns and bool(torch.linalg.matrix_rank(a) == rows)
    known = Known(
        equilibria=(Equilibrium.pure("nash", [[0.0] * rows, [0.0] * columns]),),
        values={"value": 0.0},
        constants={"smoothness": float(torch.linalg.matrix_norm(a, 2))},
        complete=regular,
        source="von Neumann (1928)",
        note="A simultaneous gradient step multiplies the norm by sqrt(1 + eta^2) when A is orthogonal and box=None.",
    )
    return BilinearGame(a, [Box(-bound, bound, rows), Box(-bound, bound, columns)], known=known)


def matching_pennies_box() -> BilinearGame:
    """Matching pennies in the players' probabilities: `u_0 = (2p - 1)(2q - 1) = -u_1` on `[0, 1]^2`.

    Example:
        >>> game = matching_pennies_box()
        >>> game.utilities(game.profile([1.0], [0.0])).tolist()
        [-1.0, 1.0]
    """
    known = Known(
        equilibria=(Equilibrium.pure("nash", [0.5, 0.5]),),
        values={"value": 0.0},
        constants={"smoothness": 4.0},
        complete=True,
        source="von Neumann and Morgenstern (1944)",
    )
    sets = [Box(0, 1), Box(0, 1)]
    return BilinearGame([[-4.0]], sets, offsets=(0.5, 0.5), name="matching_pennies_box", known=known)


def shifted_bilinear() -> BilinearGame:
    """The game `min_x max_y (x - 1/2)(y - 1/2)` on `[0, 1]^2`, the worked example of STON'R.

    (Daskalakis, Golowich, Skoulakis and Zampetakis, COLT 2023, appendix D.) From the corner (0, 0), the first
    coordinate first, the path goes over (1, 0) and (1, 1/2) to the equilibrium (1/2, 1/2).

    Example:
        >>> game = shifted_bilinear()
        >>> game.field(game.profile([0.0], [0.0])).flat().tolist()
        [0.5, -0.5]
    """
    known = Known(
        equilibria=(Equilibrium.pure("nash", [0.5, 0.5]),),
        values={"value": 0.0},
        constants={"smoothness": 1.0},
        complete=True,
        source="Daskalakis, Golowich, Skoulakis and Zampetakis (COLT 2023), appendix D",
    )
    sets = [Box(0, 1), Box(0, 1)]
    return BilinearGame([[1.0]], sets, offsets=(0.5, 0.5), name="shifted_bilinear", known=known)


GAMES = {"bilinear": bilinear, "matching_pennies_box": matching_pennies_box, "shifted_bilinear": shifted_bilinear}
