"""The graph of all states that a turn-based game can reach, level by level, and how it is found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds import sweeps

if TYPE_CHECKING:
    from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["StateGraph", "explore"]


@dataclass(frozen=True, eq=False)
class StateGraph:
    """All reachable states, in order of moves made (a *level* is the states after the same number of moves).

    Args:
        states: Codes `(S,)`; the initial state is row 0.
        mover: Whose turn it is `(S,)`; at terminal states, meaningless.
        terminal: `(S,)`.
        legal: `(S, A)`, all False at terminal states.
        child: Row of the state each action leads to `(S, A)`; 0 where illegal.
        returns: Payoffs at terminal states `(S, n)`, zero elsewhere.
        levels: Row ranges, one a level.
    """

    states: Int[Tensor, " S"]
    mover: Int[Tensor, " S"]
    terminal: Bool[Tensor, " S"]
    legal: Bool[Tensor, "S A"]
    child: Int[Tensor, "S A"]
    returns: Float[Tensor, "S n"]
    levels: tuple[slice, ...]

    @cached_property
    def sweep_levels(self) -> tuple[sweeps.Level, ...]:
        """The graph as the arrays of `sweeps.py`."""
        return sweeps.live_levels(self.mover, self.legal, self.child, self.levels, self.returns.shape[-1])

    @cached_property
    def returns_of_players(self) -> sweeps.Numbers:
        """The payoffs with the players first `(n, S)`."""
        return np.ascontiguousarray(self.returns.numpy().T)

    @cached_property
    def forbidden(self) -> sweeps.Places:
        """Where a flattened policy table holds the illegal actions of states that are not terminal."""
        return (~self.legal & ~self.terminal.unsqueeze(-1)).reshape(-1).nonzero().squeeze(-1).numpy()

    @cached_property
    def allowed(self) -> Float[Tensor, "S A"]:
        """1 for legal actions, else 0: a product with it is faster than a choice by a mask."""
        return self.legal.double()

    @cached_property
    def theirs(self) -> tuple[Float[Tensor, "S 1"], ...]:
        """For each player 1 where somebody else moves, else 0."""
        return tuple((self.mover != i).double().unsqueeze(-1) for i in range(self.returns.shape[-1]))

    @cached_property
    def rows_of(self) -> tuple[Int[Tensor, " R"], ...]:
        """For each player the rows where it moves; terminal states count for whoever `mover` names."""
        return tuple((self.mover == i).nonzero().squeeze(-1) for i in range(self.returns.shape[-1]))

    @cached_property
    def uniform(self) -> Float[Tensor, "S A"]:
        """The policy that draws a legal action uniformly; not to be changed."""
        return self.allowed / self.allowed.sum(-1, keepdim=True).clamp(min=1)

    @cached_property
    def _order(self) -> tuple[Tensor, Tensor]:
        order = self.states.argsort()
        return self.states[order], order

    def index(self, states: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """The rows of given states.

        Raises:
            InvalidStrategyError: If a state is not reachable.
        """
        codes, order = self._order
        position = torch.searchsorted(codes, states).clamp(max=len(codes) - 1)
        if not bool((codes[position] == states).all()):
            raise InvalidStrategyError("got a state that cannot be reached from the initial state")
        return order[position]


def explore(game: TurnBasedGame) -> StateGraph:
    """The graph of the states that can be reached from the initial one, breadth first.

    Raises:
        InvalidGameError: If a play is too long, or a state is reached after different numbers of moves.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> len(explore(TicTacToe()).states)
        5478
    """
    level = torch.tensor([game.initial()], dtype=torch.int64)
    found: list[Tensor] = []
    while len(level):
        found.append(level)
        if len(found) > game.max_moves + 1:
            raise InvalidGameError(f"{game.name}: a play lasts longer than max_moves={game.max_moves}")
        rows, actions = game.legal(level).nonzero(as_tuple=True)
        level = torch.unique(game.step(level[rows], actions))
    states = torch.cat(found)
    if len(torch.unique(states)) != len(states):
        raise InvalidGameError(
            f"{game.name}: a state is reached after different numbers of moves; its code must count them"
        )
    ends = torch.tensor([len(f) for f in found]).cumsum(0).tolist()
    legal = game.legal(states)
    order = states.argsort()
    child = torch.zeros(len(states), game.n_actions, dtype=torch.int64)
    rows, actions = legal.nonzero(as_tuple=True)
    child[rows, actions] = order[torch.searchsorted(states[order], game.step(states[rows], actions))]
    return StateGraph(
        states=states,
        mover=game.mover(states),
        terminal=game.terminal(states),
        legal=legal,
        child=child,
        returns=game.returns(states),
        levels=tuple(slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)),
    )
