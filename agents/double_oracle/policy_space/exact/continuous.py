"""PSRO on games with continuous strategies: a policy is a point, and a reply the library's best response."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.exact.base import Arena
from strategic_envs.agents.double_oracle.policy_space.exact.normal_form import mixed_points
from strategic_envs.agents.double_oracle.policy_space.machine import CellPayoffs, Policy, Populations, PSROState, Reply
from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators.best_response import best_response
from strategic_envs.games.kinds.game import Game
from strategic_envs.play import Empirical, Independent
from strategic_envs.profile import Profile

__all__ = ["ContinuousArena"]


class ContinuousArena(Arena):
    """Populations of points, float64. Points nearer than `merge` are the same policy.

    The best response is the game's own where it brings one, otherwise a search, and then `exact` is False. With
    `certify` it is proved to that tolerance, as in `best_response`.

    Args:
        game: The game; its sets must not be tied together by a joint set.
        certify: A tolerance in utility units, or None.
        merge: A distance.

    Example:
        >>> from strategic_envs.sets import Box
        >>> game = Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1), Box(-1, 1)])
        >>> ContinuousArena(game).first()[0][0].tolist()
        [0.0]
    """

    game: Game

    def __init__(self, game: Game, certify: float | None = None, merge: float = 1e-7) -> None:
        super().__init__(game)
        if game.joint is not None:
            raise InvalidGameError(
                f"{game.name}: got strategies tied together by a joint set, expected one set a player: "
                "a policy of one player must fit every policy of the others"
            )
        self.certify, self.merge = certify, merge

    def first(self) -> Populations:
        """The centre of each player's set."""
        return tuple((s.centre(),) for s in self.game.sets)

    def check(self, player: int, policy: Policy) -> Policy:
        return self.game.sets[player].validate(policy, f"{self.game.name}, player_{player}").double()

    def same(self, a: Policy, b: Policy) -> bool:
        return float((a - b).norm()) <= self.merge

    def payoffs(self, populations: Populations, cells: Int[Tensor, "cells n"]) -> CellPayoffs:
        points = tuple(torch.stack(p)[cells[:, i]] for i, p in enumerate(populations))
        with torch.no_grad():
            return CellPayoffs(self.game.utilities(points).double())

    def reply(self, player: int, state: PSROState) -> Reply:
        assert state.meta is not None
        weights = state.meta.others(player)
        rows = (weights > 0).nonzero()
        kept = iter(rows.T)
        points = [
            torch.stack(p)[:1].expand(len(rows), -1) if i == player else torch.stack(p)[next(kept)]
            for i, p in enumerate(state.populations)
        ]  # the player's own points do not count
        drawn = weights[tuple(rows.T)]
        found = best_response(self.game, player, Empirical(Profile(points), drawn / drawn.sum()), self.certify)
        point = self.game.sets[player].project(found.strategy.detach().double())
        return Reply(point, found.value, found.exact and found.attained, found.note, searched=True)

    def play(self, populations: Populations, meta: MetaSolution) -> Independent | Empirical:
        return mixed_points([torch.stack(p) for p in populations], meta)
