"""The squared difference `u_0 = (x_0 - x_1)^2 = -u_1`: the smallest nonconcave game without a pure equilibrium.

Player 0 wants to be far from player 1, player 1 wants to be near player 0. The diagonal is exactly the set of
first-order equilibria, and gradient play converges to it, although no point of it is an equilibrium: the local gap
vanishes while the global one goes to its largest value. The unique mixed equilibrium (Dresher 1961 on [0, 1]): player 0
plays both ends with probability one half, player 1 plays the middle.
"""

from __future__ import annotations

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.play import BestResponse, Empirical, Independent
from strategic_envs.sets import Box

__all__ = ["GAMES", "SquaredDifference"]


class SquaredDifference(Game):
    """The game `u_0(x) = (x_0 - x_1)^2`, `u_1 = -u_0` on `[low, high]^2`.

    Args:
        low: The lower end of both players' interval.
        high: The upper end.

    Raises:
        InvalidGameError: If the interval is empty, a point, or not finite.

    Example:
        >>> game = SquaredDifference()
        >>> game.utilities(game.profile([1.0], [0.0])).tolist(), game.known().values["value"]
        ([1.0, -1.0], 1.0)
    """

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        if not -float("inf") < low < high < float("inf"):
            raise InvalidGameError(f"squared_difference: needs finite bounds low < high, got {low} and {high}")
        self.low, self.high = float(low), float(high)
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        known = Known(
            equilibria=(Equilibrium.mixed("nash", [{self.low: 0.5, self.high: 0.5}, {middle: 1.0}]),),
            values={"value": half**2},
            constants={"smoothness": 4.0, "gradient_bound": 4.0 * half},
            complete=True,
            source="Dresher, Games of Strategy (1961), on [0, 1]; rescaled",
            note="Every point of the diagonal satisfies the first-order conditions; none is an equilibrium.",
        )
        super().__init__(_utilities, [Box(low, high), Box(low, high)], name="squared_difference", known=known)

    def best_response(self, player: int, play: Empirical | Independent) -> BestResponse:
        """The exact best response to finitely supported play.

        Player 0's payoff is convex in its own strategy, so the end farther from player 1's mean is best (a tie goes to
        the upper end); player 1's best answer is player 0's mean.

        Args:
            player: Who responds.
            play: What both play; the responder's own part is not looked at.
        """
        other = 1 - player
        play = play if isinstance(play, Independent) else play.marginals()
        points, weights = play.points[other].squeeze(-1).double(), play.weights[other].double()
        mean = (weights * points).sum() / weights.sum()
        if player == 0:
            strategy = torch.where(mean <= (self.low + self.high) / 2, self.high, self.low).to(mean)
        else:
            strategy = mean
        distance = float((weights * (strategy - points) ** 2).sum() / weights.sum())
        value = distance if player == 0 else -distance
        return BestResponse(strategy.reshape(1), value, value, value, exact=True, attained=True)


def _utilities(x: tuple[Tensor, ...]) -> Tensor:
    u = (x[0] - x[1]).squeeze(-1) ** 2
    return torch.stack([u, -u], dim=-1)


GAMES = {"squared_difference": SquaredDifference}
