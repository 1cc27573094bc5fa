"""Exact PSRO on turn-based games: pure policies on states, exact best responses to the mixture's behaviour policy."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.exact.base import Arena, check_uncorrelated
from strategic_envs.agents.double_oracle.policy_space.machine import CellPayoffs, Policy, Populations, PSROState, Reply
from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.errors import InvalidSettingError, InvalidStrategyError
from strategic_envs.games.kinds.behaviour import mixture_reach, own_reach
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.play import TabularPlay

__all__ = ["TurnBasedArena"]

_UNREACHED = ("uniform", "policies", "nothing")


class TurnBasedArena(Arena):
    """Populations of policies on the states of a turn-based game of perfect information.

    A policy is a tensor `(S,)` of actions, int16, or a table `(S, A)` of probabilities. A reply is a best response to
    the behaviour policies of the others' mixtures (`games.kinds.behaviour`), ties to the lowest action. It uses no
    values of perfect play; all that it knows of the others is their mixture and `unreached`.

    Args:
        game: The game.
        unreached: What the others are taken to do in states that their mixture never reaches. `"uniform"`: draw a legal
            action. `"policies"`: what their policies, drawn anew, say there. `"nothing"`: no knowledge, so all actions
            are tied and the reply names the lowest legal one. With the first and the last a reply names the lowest
            legal action also where it never goes itself, so that equal play is an equal policy.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> arena = TurnBasedArena(TicTacToe())
        >>> start = arena.first()
        >>> arena.payoffs(start, torch.tensor([[0, 0]])).mean.tolist()  # both take the lowest empty cell: X wins
        [[1.0, -1.0]]
    """

    game: TurnBasedGame

    def __init__(self, game: TurnBasedGame, unreached: str = "uniform") -> None:
        super().__init__(game)
        if unreached not in _UNREACHED:
            raise InvalidSettingError(f"{game.name}: got unreached={unreached!r}, expected one of {_UNREACHED}")
        self.unreached = unreached
        self._lowest = game.state_graph().legal.to(torch.uint8).argmax(-1)
        self._behaviour: tuple[MetaSolution, Tensor, Tensor, Tensor] | None = None

    def first(self) -> Populations:
        """One policy a player: always the lowest legal action."""
        return ((self._lowest.to(torch.int16),),) * self.game.n_players

    def check(self, player: int, policy: Policy) -> Policy:
        legal = self.game.state_graph().legal
        if not isinstance(policy, Tensor) or policy.shape not in (legal.shape[:1], legal.shape):
            got = tuple(policy.shape) if isinstance(policy, Tensor) else type(policy).__name__
            raise InvalidStrategyError(
                f"{self.game.name}, player_{player}: got the policy {got}, expected actions {tuple(legal.shape[:1])} "
                f"or probabilities {tuple(legal.shape)} over the rows of the state graph"
            )
        mine = self.game.state_graph().mover == player
        table = torch.where(mine.unsqueeze(-1), self._table(policy), self.game.uniform_policy())
        self.game.validate_policy(table, f"player_{player}")
        return policy if policy.ndim == 2 else policy.to(torch.int16)

    def _table(self, policy: Tensor) -> Float[Tensor, "S A"]:
        if policy.ndim == 2:
            return policy.double()
        return torch.nn.functional.one_hot(policy.long(), self.game.n_actions).double()

    def payoffs(self, populations: Populations, cells: Int[Tensor, "cells n"]) -> CellPayoffs:
        """Pure policies are played out, all cells at once; with a table, one sweep of the state graph a cell."""
        graph = self.game.state_graph()
        if any(policy.ndim == 2 for policies in populations for policy in policies):
            rows = [
                self.game.values(self.game.merge(tuple(self._table(p[k]) for p, k in zip(populations, c, strict=True))))
                for c in cells.tolist()
            ]
            return CellPayoffs(torch.stack([value[0] for value in rows]))
        used = [torch.unique(cells[:, i], return_inverse=True) for i in range(len(populations))]
        held = [torch.stack([p[k] for k in ks.tolist()]) for p, (ks, _) in zip(populations, used, strict=True)]
        state = torch.zeros(len(cells), dtype=torch.int64)
        for _ in range(self.game.max_moves):
            each = torch.stack([acts[who, state] for acts, (_, who) in zip(held, used, strict=True)])
            action = each.gather(0, graph.mover[state].unsqueeze(0)).squeeze(0).long()
            state = torch.where(graph.terminal[state], state, graph.child[state, action])
        return CellPayoffs(graph.returns[state].double())

    def _mixed(self, populations: Populations, meta: MetaSolution) -> tuple[Tensor, Tensor, Tensor]:
        """The mixtures' behaviour policies merged, which states each reaches `(n, S)`, and what they pay `(n,)`."""
        if self._behaviour is None or self._behaviour[0] is not meta:  # both players' replies ask for the same
            tables, reached = [], []
            for i, (policies, weights) in enumerate(zip(populations, meta.marginals, strict=True)):
                drawn = (weights > 0).nonzero().flatten()
                stacked = torch.stack([self._table(policies[k]) for k in drawn.tolist()])
                table, where = mixture_reach(self.game, stacked, weights[drawn], i)
                if self.unreached == "policies":
                    mean = torch.einsum("k,ksa->sa", weights[drawn] / weights[drawn].sum(), stacked)
                    table = torch.where(where.unsqueeze(-1), table, mean)
                tables.append(table)
                reached.append(where)
            merged = self.game.merge(tuple(tables))
            self._behaviour = (meta, merged, torch.stack(reached), self.game.values(merged)[0])
        return self._behaviour[1:]

    def reply(self, player: int, state: PSROState) -> Reply:
        """An exact best response to the mixture's behaviour policy; one pass over the state graph."""
        meta, graph = state.meta, self.game.state_graph()
        assert meta is not None
        check_uncorrelated(self.game.name, player, meta)
        merged, reached, utility = self._mixed(state.populations, meta)
        table, value = self.game.best_response(merged, player)
        if self.unreached == "nothing":
            met = reached[torch.arange(len(reached)) != player].all(0)
            table = torch.where(met.unsqueeze(-1), table, self._table(self._lowest))
        mine = (graph.mover == player) & ~graph.terminal
        if self.unreached != "policies":
            mine &= own_reach(self.game, table.unsqueeze(0), player)[0] > 0
        actions = torch.where(mine, table.argmax(-1), self._lowest).to(torch.int16)
        paid = float(utility[player]) if meta.joint is None else math.nan  # of a joint distribution the table knows
        return Reply(actions, float(value[0]), exact=True, utility=paid)

    def play(self, populations: Populations, meta: MetaSolution) -> TabularPlay:
        """One behaviour policy a player; of a joint distribution, those of its marginals."""
        merged = self._mixed(populations, meta)[0]
        return TabularPlay((merged,) * self.game.n_players)  # at each state only the mover's row counts
