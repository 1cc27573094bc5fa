"""The restricted game of a continuous double oracle: the points that are held, and what they pay each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.game import Game

__all__ = ["HeldPoints"]

_CHUNK = 2**20  # profiles evaluated in one call


@dataclass(frozen=True, eq=False)
class HeldPoints:
    """Finitely many points a player of a two-player game, and player 0's payoffs between them.

    Args:
        points: For each player the points it holds, `(k_i, d_i)`, float64.
        payoffs: What player 0 gets, `(k_0, k_1)`.

    Example:
        >>> from strategic_envs.games.catalogue import game
        >>> pursuit = game("squared_difference")
        >>> small = HeldPoints.of(pursuit, [torch.tensor([[1.0]]).double(), torch.tensor([[0.0]]).double()])
        >>> small.grown(pursuit, (torch.tensor([-1.0]).double(), None)).payoffs.tolist()
        [[1.0], [1.0]]
    """

    points: tuple[Tensor, Tensor]
    payoffs: Float[Tensor, "k0 k1"]

    @classmethod
    def of(cls, game: Game, points: Sequence[Tensor]) -> HeldPoints:
        """The restricted game on these points, every payoff evaluated.

        Raises:
            InvalidGameError: If a payoff is not finite.
        """
        rows, columns = points
        return cls((rows, columns), _payoffs(game, _pairs(rows, columns)).reshape(len(rows), len(columns)))

    def grown(self, game: Game, added: Sequence[Tensor | None]) -> HeldPoints:
        """The game with a point `(d_i,)` more for each player that adds one; only new payoffs are evaluated, at once.

        Raises:
            InvalidGameError: If a payoff is not finite.
        """
        old_rows = self.points[0]
        rows, columns = (
            points if new is None else torch.cat([points, new[None]])
            for points, new in zip(self.points, added, strict=True)
        )
        m, n = self.payoffs.shape
        bottom, right = _pairs(rows[m:], columns), _pairs(old_rows, columns[n:])
        fresh = _payoffs(game, (torch.cat([bottom[0], right[0]]), torch.cat([bottom[1], right[1]])))
        below = fresh[: len(bottom[0])].reshape(len(rows) - m, len(columns))
        beside = fresh[len(bottom[0]) :].reshape(m, len(columns) - n)
        return HeldPoints((rows, columns), torch.cat([torch.cat([self.payoffs, beside], 1), below]))

    def nearest(self, game: Game, player: int, point: Tensor) -> float:
        """How far `point` `(d_i,)` is from the nearest point that the player holds."""
        return float(game.sets[player].difference(self.points[player], point).norm(dim=-1).min())


def _pairs(rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    m, n = len(rows), len(columns)
    return rows.repeat_interleave(n, 0), columns.repeat(m, 1)


def _payoffs(game: Game, profile: tuple[Tensor, Tensor]) -> Tensor:
    if len(profile[0]) > _CHUNK:
        parts = zip(profile[0].split(_CHUNK), profile[1].split(_CHUNK), strict=True)
        return torch.cat([_payoffs(game, part) for part in parts])
    with torch.no_grad():
        paid = game.utilities(profile)[:, 0].double()
    if not bool(paid.isfinite().all()):
        row = int((~paid.isfinite()).nonzero()[0])
        at = [t[row].tolist() for t in profile]
        raise InvalidGameError(
            f"{game.name}, player_0: got a utility of {float(paid[row])} at {at}; utilities must be finite on the sets"
        )
    return paid
