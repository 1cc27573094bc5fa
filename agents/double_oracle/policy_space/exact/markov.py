"""PSRO on Markov games: exact payoffs, and exact best responses as long as the others' mixture is one policy.

Against opponents who draw one of several stationary policies before play begins, a best response would remember the
history and guess from it which one was drawn: it is no table on states, and no finite program finds it. There the reply
is the best of the tables that answer one drawn policy each, or the mean of all, judged by its exact payoff against the
mixture; it says `exact=False`, and the gap that follows is a lower bound.
"""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.exact.base import Arena, check_uncorrelated
from strategic_envs.agents.double_oracle.policy_space.machine import CellPayoffs, Policy, Populations, PSROState, Reply
from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.errors import InvalidStrategyError
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.play import TabularPlay

__all__ = ["MarkovArena"]

_NEGLIGIBLE = 1e-12  # a policy of this weight is not drawn


class MarkovArena(Arena):
    """Populations of stationary policies, tables `(S, A_i)`; utilities are averages per period, as everywhere."""

    game: MarkovGame
    chunk = 64

    def first(self) -> Populations:
        """Everybody drawing actions uniformly in every state."""
        return tuple((table,) for table in self.game.uniform_policy())

    def check(self, player: int, policy: Policy) -> Policy:
        tables = list(self.game.uniform_policy())
        if not isinstance(policy, Tensor):
            raise InvalidStrategyError(
                f"{self.game.name}, player_{player}: got a policy of type {type(policy).__name__}, expected a table"
            )
        tables[player] = policy
        return self.game.validate_policies(tuple(tables))[player]

    def _paid(self, tables: tuple[Tensor, ...]) -> Float[Tensor, " n"]:
        return (1 - self.game.discount) * (self.game.tables().initial @ self.game.values(tables))

    def payoffs(self, populations: Populations, cells: Int[Tensor, "cells n"]) -> CellPayoffs:
        """One linear system a cell."""
        met = [tuple(p[k] for p, k in zip(populations, cell, strict=True)) for cell in cells.tolist()]
        return CellPayoffs(torch.stack([self._paid(tables) for tables in met]))

    def reply(self, player: int, state: PSROState) -> Reply:
        assert state.meta is not None
        check_uncorrelated(self.game.name, player, state.meta)
        held, others = [], [i for i in range(self.game.n_players) if i != player]
        for i in others:
            weights = state.meta.marginals[i]
            drawn = (weights > _NEGLIGIBLE).nonzero().flatten().tolist()
            held.append([(float(weights[k]), state.populations[i][k]) for k in drawn])
        joint = list(itertools.product(*held))
        opponents = [[table for _, table in choice] for choice in joint]
        weights = torch.tensor([[w for w, _ in choice] for choice in joint], dtype=torch.float64).prod(-1)
        weights = weights / weights.sum()
        if len(joint) == 1:
            table, value = self._best(player, opponents[0])
            return Reply(table, value, exact=True)
        mean = [torch.stack([w * t for w, t in part]).sum(0) / sum(w for w, _ in part) for part in held]
        candidates = [self._best(player, tables)[0] for tables in [*opponents, mean]]
        values = [float(weights @ torch.stack([self._against(player, c, o) for o in opponents])) for c in candidates]
        best = max(range(len(values)), key=values.__getitem__)  # ties: the first
        note = "the best of the replies to single policies and to their mean"
        return Reply(candidates[best], values[best], exact=False, note=note)

    def _with(self, player: int, own: Tensor, others: list[Tensor]) -> tuple[Tensor, ...]:
        return (*others[:player], own, *others[player:])

    def _best(self, player: int, others: list[Tensor]) -> tuple[Tensor, float]:
        table, value = self.game.best_response(self._with(player, self.game.uniform_policy()[player], others), player)
        return table, (1 - self.game.discount) * float(self.game.tables().initial @ value)

    def _against(self, player: int, own: Tensor, others: list[Tensor]) -> Tensor:
        return self._paid(self._with(player, own, others))[player]

    def play(self, populations: Populations, meta: MetaSolution) -> TabularPlay | None:
        """The policies where everybody plays one; a mixture of several is no policy on states."""
        if any(float(w.max()) < 1 - _NEGLIGIBLE for w in meta.marginals):
            return None
        return TabularPlay(tuple(p[int(w.argmax())] for p, w in zip(populations, meta.marginals, strict=True)))
