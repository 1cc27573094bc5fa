"""Answering a mixture in a turn-based game: masked networks against tables, one drawn for each game."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.agents.rllib.psro.episodes import Move, play_turn_based, trembling
from strategic_envs.agents.rllib.psro.tasks.base import Response
from strategic_envs.agents.rllib.sampling import Scores, cumulative, leave_one_out, sum_scores
from strategic_envs.agents.rllib.seats import Seat, seats
from strategic_envs.agents.rllib.tasks.base import Draw, Sample, flat_gradient
from strategic_envs.agents.rllib.tasks.turn_based import TurnBasedTask
from strategic_envs.evaluators.expectation import initial_utilities
from strategic_envs.games.kinds.behaviour import mixture_policy
from strategic_envs.play import TabularPlay

__all__ = ["TurnBasedResponse"]

_GAMES = 1024
_CPU = torch.device("cpu")


class TurnBasedResponse(Response, TurnBasedTask):
    """A `TurnBasedGame`: exact gradients are sums over the opponents' policies, by one sweep over all states."""

    judged: ClassVar[str] = "behaviour policies of the mixture"
    regularises: ClassVar[bool] = False

    @cached_property
    def _uniform(self) -> Tensor:
        return self.game.uniform_policy()

    def _seat(self, player: int, device: torch.device = _CPU) -> Seat:
        """The states in which a player moves, and what it sees there."""
        return seats(self.game, device)[player]

    def _rows(self, player: int, module: TorchRLModule) -> Tensor:
        """The logits `(K, A)` of a player's module in these states."""
        seat = self._seat(player, next(module.parameters()).device)
        ask = module.forward_inference if module.inference_only else module.forward_train
        seen = {"observation": seat.obs, "action_mask": seat.mask}
        return ask({Columns.OBS: seen})[Columns.ACTION_DIST_INPUTS]

    def _strategy(self, player: int, module: TorchRLModule) -> Tensor:
        logits = self._rows(player, module).detach().cpu().double()
        table = self._uniform.clone()
        greedy = torch.nn.functional.one_hot(logits.argmax(-1), self.game.n_actions).double()
        table[self._seat(player).rows] = greedy if self.form == "greedy" else logits.softmax(-1)
        return table

    def _given(self, player: int, policy: Any) -> Tensor:
        """A table of probabilities, or the action of each state."""
        if policy.ndim == 2:
            return policy.double()
        return torch.nn.functional.one_hot(policy.long(), self.game.n_actions).double()

    # Gradients

    def _faced(self) -> None:
        self._against: dict[int, tuple[Tensor, Tensor]] = {}
        self._cdfs: dict[int, Tensor] = {}

    def _opposed(self, player: int) -> tuple[Tensor, Tensor]:
        """The others' tables in one, for every joint choice of theirs `(c, S, A)`, and the probabilities `(c,)`."""
        if player not in self._against:
            choices, weights = self.opponents.support(player)
            mover = self.game.state_graph().mover
            tables = self._uniform.expand(len(weights), -1, -1).clone()
            for j, picked in zip(self.others(player), choices.T, strict=True):
                theirs = torch.stack([self.held(j, int(k)) for k in picked])
                tables[:, mover == j] = trembling(theirs, self._uniform, self.tremble)[:, mover == j]
            self._against[player] = tables, weights
        return self._against[player]

    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        gradients = []
        for i in players:
            table = self._rows(i, modules[i]).double().softmax(-1)
            slope = (1 - self.tremble) * self._slope(i, table.detach().cpu())
            gradients.append(flat_gradient(table, modules[i], slope.to(table)))
        return gradients

    def _slope(self, player: int, rows: Tensor) -> Tensor:
        """The gradient of the player's expected payoff by the rows of its table at which it moves."""
        graph, mine = self.game.state_graph(), self._seat(player).rows
        theirs, weights = self._opposed(player)
        policy = theirs.clone()
        policy[:, mine] = trembling(rows, self._uniform[mine], self.tremble)
        reach = torch.zeros(policy.shape[:2], dtype=torch.float64)
        reach[:, 0] = weights
        value = graph.returns[:, player].expand(len(weights), -1).clone()
        for level in graph.levels[:-1]:
            states, actions = graph.legal[level].nonzero(as_tuple=True)
            states = states + level.start
            reach.index_add_(1, graph.child[states, actions], reach[:, states] * policy[:, states, actions])
        for level in reversed(graph.levels[:-1]):
            ahead = (policy[:, level] * value[:, graph.child[level]]).sum(-1)
            value[:, level] = torch.where(graph.terminal[level], value[:, level], ahead)
        slope = (reach[:, mine].unsqueeze(-1) * value[:, graph.child[mine]]).sum(0)
        return slope * graph.legal[mine]

    def sample(self, modules: Sequence[TorchRLModule], generator: torch.Generator, draw: Draw | None = None) -> Sample:
        parts = [self._sampled(i, modules[i], generator) for i in range(self.game.n_players)]
        return Sample([scores for scores, _ in parts], sum(steps for _, steps in parts))

    def _sampled(self, player: int, module: TorchRLModule, generator: torch.Generator) -> tuple[Scores, int]:
        """One player's scores against opponents that are drawn for each game, and the moves made."""
        games, device = self.options.games or _GAMES, generator.device
        seat, uniform = self._seat(player, device), self._uniform.to(device)
        pure = self._rows(player, module).detach().to(device).double().softmax(-1)
        played = uniform.clone()
        played[seat.rows] = trembling(pure, uniform[seat.rows], self.tremble)
        cdfs, picks = self._opponents(player, games, generator)
        cdfs.insert(player, cumulative(played).unsqueeze(0))
        picks.insert(player, torch.zeros(games, dtype=torch.int64, device=device))
        moves, returns = play_turn_based(self.game, cdfs, picks, generator)
        own = [m for m in moves if m.player == player]
        rows, actions = torch.cat([m.rows for m in own]), torch.cat([m.actions for m in own])
        weights = torch.cat([leave_one_out(returns[m.games, player]) for m in own]) / games
        coefficient = sum_scores(rows, actions, weights, (len(uniform), self.game.n_actions))[seat.rows]
        share = (1 - self.tremble) * pure / played[seat.rows].clamp(min=torch.finfo(torch.float64).tiny)
        return Scores(seat.obs, seat.mask, coefficient * share), steps_of(moves)

    def _opponents(self, player: int, games: int, generator: torch.Generator) -> tuple[list[Tensor], list[Tensor]]:
        """The others' policies as cumulative distributions, and which of them is met in each game."""
        cdfs = []
        for j in self.others(player):
            if j not in self._cdfs:
                self._cdfs[j] = cumulative(trembling(self.population(j), self._uniform, self.tremble))
            cdfs.append(self._cdfs[j].to(generator.device))
        return cdfs, list(self.opponents.draw(player, games, generator).T)

    # Payoffs and play

    def payoffs(self, strategies: Sequence[Tensor]) -> Tensor:
        return initial_utilities(self.game, strategies)

    def trial(self, strategies: Sequence[Tensor], games: int, generator: torch.Generator) -> tuple[Tensor, int]:
        cdfs = [cumulative(s).unsqueeze(0).to(generator.device) for s in strategies]
        nobody = torch.zeros(games, dtype=torch.int64, device=generator.device)
        moves, returns = play_turn_based(self.game, cdfs, [nobody] * len(cdfs), generator)
        return returns, steps_of(moves)

    def mixture(self, meta: MetaSolution) -> TabularPlay:
        tables = (mixture_policy(self.game, self.population(i), w, i) for i, w in enumerate(meta.marginals))
        return TabularPlay(tuple(tables))


def steps_of(moves: Sequence[Move]) -> int:
    """How many moves were made in all games."""
    return sum(len(m.games) for m in moves)
