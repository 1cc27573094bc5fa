"""Follow-the-ridge, FTR (Wang, Zhang and Ba 2020): gradient play in which the follower keeps to its ridge.

In `min_x max_y f` the follower y also moves so that the leader's step does not push it off `f_y = 0`:
`x <- x - eta f_x`, `y <- y + eta f_y + eta f_yy^(-1) f_yx f_x`. Its stable rest points are the local minimax points and
no others, where gradient play may cycle around them or be attracted to others. It needs `f_yy` to be invertible on the
way; where the curvature of the follower changes sign the correction blows up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.profile import Profile
from strategic_envs.sets import StrategySet

__all__ = ["FollowTheRidge"]

_ZERO_SUM = 1e-6  # relative, for the check at the start


@dataclass(frozen=True)
class FollowTheRidge(Dynamic[State]):
    """Follow-the-ridge for two-player zero-sum games: a field call and two Hessian blocks a step.

    It is a method for the whole space; here both players' steps are projected on their sets, which may make rest points
    on the boundary that are no equilibria. A follower's Hessian that is singular ends the row as `nonfinite`.

    Args:
        step_size: eta > 0 of both players.
        leader: Who moves first, 0 or 1: the minimiser of `Game.minmax` is player 0.

    Example:
        >>> FollowTheRidge(step_size=0.01).leader
        0
    """

    name: ClassVar[str] = "follow_the_ridge"
    summary: ClassVar[str] = "the follower also undoes what the leader's step does to its gradient; for min-max games"
    needs: ClassVar[tuple[str, ...]] = ("field", "project", "hessian")
    step_size: float
    leader: int = 0

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)
        if type(self.leader) is not int or self.leader not in (0, 1):
            raise InvalidSettingError(f"{self.name}: got leader={self.leader!r}, expected player 0 or 1")

    def suits(self, sets: Sequence[StrategySet]) -> str | None:
        if len(sets) == 2:
            return None
        return f"got {len(sets)} players, expected a leader and a follower in a two-player zero-sum game"

    def init(self, x0: Profile, oracle: Oracle) -> State:
        """The state at x0.

        Raises:
            InvalidGameError: If the mixed second derivatives of the two utilities at x0 are not opposite.
        """
        with oracle.uncounted():
            mine, other = oracle.hessian(x0, self._follower, self.leader), oracle.hessian(x0, self.leader, self.leader)
            theirs = oracle.hessian(x0, self.leader, self._follower).mT
        difference = float((mine + theirs).abs().max())
        if difference > _ZERO_SUM * float(1 + mine.abs().max() + other.abs().max()):
            raise InvalidGameError(
                f"{self.name}, on {oracle.name}: the players' utilities are not opposite (at the start their mixed "
                f"second derivatives add up to {difference:.3g}): it needs a zero-sum game, such as Game.minmax makes"
            )
        return State(x0)

    def step(self, state: State, oracle: Oracle) -> State:
        x, leader, follower = state.x, self.leader, self._follower
        move = self.step_size * oracle.field(x)
        pushed = oracle.hessian(x, follower, leader) @ move[leader].unsqueeze(-1)
        correction = _solve(oracle.hessian(x, follower), pushed).squeeze(-1)
        return State(oracle.project((x + move).replace(follower, x[follower] + move[follower] - correction)))

    @property
    def _follower(self) -> int:
        return 1 - self.leader


def _solve(matrix: Tensor, column: Tensor) -> Tensor:
    """The solution of each linear system; NaN where the matrix is singular."""
    if matrix.shape[-1] == 1:
        return column / matrix
    solution, info = torch.linalg.solve_ex(matrix, column)
    return torch.where((info == 0).reshape(*info.shape, 1, 1), solution, torch.nan)
