"""Exact PSRO on finite games in normal form: a policy is an action, so this is double oracle with any meta-solver."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.exact.base import Arena
from strategic_envs.agents.double_oracle.policy_space.machine import CellPayoffs, Policy, Populations, PSROState, Reply
from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.errors import InvalidStrategyError
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.play import Empirical, Independent
from strategic_envs.profile import Profile

__all__ = ["NormalFormArena", "mixed_points"]


class NormalFormArena(Arena):
    """Populations of actions, numbered from 0. Ties go to the lowest action; correlated mixtures are welcome.

    Example:
        >>> game = NormalFormGame.zero_sum([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
        >>> NormalFormArena(game).payoffs(((0, 1), (2,)), torch.tensor([[1, 0]])).mean.tolist()
        [[-1.0, 1.0]]
    """

    game: NormalFormGame

    def first(self) -> Populations:
        """Everybody's action 0."""
        return ((0,),) * self.game.n_players

    def check(self, player: int, policy: Policy) -> Policy:
        actions = self.game.n_actions[player]
        if not isinstance(policy, int) or not 0 <= policy < actions:
            raise InvalidStrategyError(
                f"{self.game.name}, player_{player}: got the policy {policy!r}, expected an action 0..{actions - 1}"
            )
        return policy

    def payoffs(self, populations: Populations, cells: Int[Tensor, "cells n"]) -> CellPayoffs:
        actions = [torch.tensor(p)[cells[:, i]] for i, p in enumerate(populations)]
        return CellPayoffs(self.game.payoffs_of(actions))

    def reply(self, player: int, state: PSROState) -> Reply:
        assert state.meta is not None
        weights, own = state.meta.others(player), range(self.game.n_actions[player])
        held = [torch.tensor(own if i == player else p) for i, p in enumerate(state.populations)]
        paid = self.game.payoffs_of(torch.meshgrid(*held, indexing="ij"))[..., player].movedim(player, 0)
        values = paid.reshape(len(own), -1) @ weights.reshape(-1)
        action = int((values == values.max()).nonzero()[0])
        return Reply(action, float(values[action]), exact=True)

    def play(self, populations: Populations, meta: MetaSolution) -> Independent | Empirical:
        points = [
            torch.eye(a, dtype=torch.float64)[list(p)] for a, p in zip(self.game.n_actions, populations, strict=True)
        ]
        return mixed_points(points, meta)


def mixed_points(points: list[Tensor], meta: MetaSolution) -> Independent | Empirical:
    """The meta-solver's mixture of points, for each player `(k_i, d_i)`, as play: joint where the mixture is."""
    if meta.joint is None:
        kept = [w > 0 for w in meta.marginals]
        return Independent(
            tuple(p[k] for p, k in zip(points, kept, strict=True)),
            tuple(w[k] / w[k].sum() for w, k in zip(meta.marginals, kept, strict=True)),
        )
    rows = (meta.joint > 0).nonzero()
    weights = meta.joint[tuple(rows.T)]
    return Empirical(Profile(p[rows[:, i]] for i, p in enumerate(points)), weights / weights.sum())
