"""The game in which everybody is paid the sum of all payoffs: what a group of one mind would play."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame, Outcomes
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["sharing"]


def sharing(game: Any) -> Any:
    """The game with the same rules in which every player is paid the sum of the payoffs.

    Args:
        game: A game in normal form, a Markov game or a turn-based one; a game on continuous sets, which has the
            gradient of the sum itself, or a network's layers, which share one loss anyway, are handed back as they are.
            Of a congestion game of populations, the one under marginal costs: what a member adds to everybody's.

    Example:
        >>> dilemma = NormalFormGame([[[3.0, 0.0], [5.0, 1.0]], [[3.0, 5.0], [0.0, 1.0]]])
        >>> sharing(dilemma).payoffs[0].tolist()
        [[6.0, 5.0], [5.0, 2.0]]
    """
    if isinstance(game, CongestionGame):
        return game.marginal()
    if isinstance(game, NormalFormGame):
        return NormalFormGame(_shared(game.payoffs.movedim(0, -1)).movedim(-1, 0), name=game.name)
    if isinstance(game, MarkovGame):
        return _SharedMarkov(game)
    if isinstance(game, TurnBasedGame):
        return _SharedTurnBased(game)
    assert isinstance(game, Game), "a game of one of the kinds that tasks know"
    return game


def _shared(payoffs: Tensor) -> Tensor:
    return payoffs.sum(-1, keepdim=True).expand_as(payoffs)


class _SharedMarkov(MarkovGame):
    def __init__(self, game: MarkovGame) -> None:
        self.game, self.name = game, game.name
        self.n_states, self.n_actions, self.discount = game.n_states, game.n_actions, game.discount
        self.periods_between_moves = game.periods_between_moves

    def initial(self) -> tuple[Tensor, Tensor]:
        return self.game.initial()

    def outcomes(self, state: Tensor, actions: Tensor) -> Outcomes:
        there = self.game.outcomes(state, actions)
        return there._replace(payoff=_shared(there.payoff))

    def step(self, state: Tensor, actions: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        after, payoff = self.game.step(state, actions, generator)
        return after, _shared(payoff)

    def observe(self, state: Tensor, player: int) -> Tensor:
        return self.game.observe(state, player)


class _SharedTurnBased(TurnBasedGame):
    def __init__(self, game: TurnBasedGame) -> None:
        self.game, self.name = game, game.name
        self.n_players, self.n_actions, self.max_moves = game.n_players, game.n_actions, game.max_moves

    def initial(self) -> int:
        return self.game.initial()

    def mover(self, state: Tensor) -> Tensor:
        return self.game.mover(state)

    def legal(self, state: Tensor) -> Tensor:
        return self.game.legal(state)

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        return self.game.step(state, action)

    def terminal(self, state: Tensor) -> Tensor:
        return self.game.terminal(state)

    def returns(self, state: Tensor) -> Tensor:
        return _shared(self.game.returns(state))

    def observe(self, state: Tensor, player: Tensor | int) -> Tensor:
        return self.game.observe(state, player)
