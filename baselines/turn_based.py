"""Fixed players of turn-based games, by name: policy tables over the state graph that nobody trained.

They set the scale: `uniform_random` and `lowest` know nothing, `two_moves_ahead` sees what wins now and what loses
next, `optimal` never loses value, and `fastest` besides wins as soon and loses as late as it can.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from strategic_envs.errors import UnknownNameError
from strategic_envs.evaluators.perfect_play import perfect_play
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["FIXED_PLAYERS", "fixed_player"]


def _spread(moves: Bool[Tensor, "S A"]) -> Float[Tensor, "S A"]:
    """Uniform over the moves marked in each state."""
    chosen = moves.double()
    return chosen / chosen.sum(-1, keepdim=True).clamp(min=1)


def uniform_random(game: TurnBasedGame) -> Float[Tensor, "S A"]:
    """Any legal move."""
    return game.uniform_policy()


def lowest(game: TurnBasedGame) -> Float[Tensor, "S A"]:
    """The legal move of the lowest number."""
    legal = game.state_graph().legal
    return (legal & (legal.cumsum(-1) == 1)).double()


def two_moves_ahead(game: TurnBasedGame) -> Float[Tensor, "S A"]:
    """Wins at once if it can, else avoids to lose at the next move, else any move."""
    graph = game.state_graph()
    sign = (1.0 - 2.0 * graph.mover.double()).unsqueeze(-1)
    first = graph.returns[:, 0]  # to player 0; zero where the game goes on
    after = (sign * first[graph.child]).masked_fill(~graph.legal, -torch.inf)
    seen = torch.where(graph.terminal, first, sign.squeeze(-1) * after.max(-1).values)
    ahead = (sign * seen[graph.child]).masked_fill(~graph.legal, -torch.inf)
    return _spread(graph.legal & (ahead == ahead.max(-1, keepdim=True).values))


def optimal(game: TurnBasedGame) -> Float[Tensor, "S A"]:
    """Any move that keeps the value."""
    return _spread(perfect_play(game).keeps)


def fastest(game: TurnBasedGame) -> Float[Tensor, "S A"]:
    """Of the moves that keep the value, any that wins soonest or loses latest."""
    return _spread(perfect_play(game).fastest)


FIXED_PLAYERS: dict[str, Callable[[TurnBasedGame], Tensor]] = {
    player.__name__: player for player in (uniform_random, lowest, two_moves_ahead, optimal, fastest)
}
"""The players by name; each makes the table `(S, A)` of a zero-sum game of two players."""


def fixed_player(game: TurnBasedGame, name: str) -> Float[Tensor, "S A"]:
    """The policy table of a fixed player; it plays all sides.

    Args:
        game: A zero-sum game of two players.
        name: A name of `FIXED_PLAYERS`.

    Raises:
        UnknownNameError: If there is no such player; the message offers the nearest names.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> fixed_player(TicTacToe(), "lowest")[0].argmax().item()
        0
    """
    if name not in FIXED_PLAYERS:
        raise UnknownNameError("fixed player", name, FIXED_PLAYERS)
    return FIXED_PLAYERS[name](game)
