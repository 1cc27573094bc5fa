"""Perfect play that also knows when: values, plies to the end, and which moves are best in depth.

A move *keeps the value* if it leads to a state that is worth as much as the present one. Of these, the *fastest* moves
end a won game as soon as possible and a lost one as late as possible; in a drawn position they are all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["PerfectPlay", "perfect_play"]


@dataclass(frozen=True, eq=False)
class PerfectPlay:
    """What is known of every state of a two-player zero-sum game, row by row of its state graph.

    Args:
        value: What perfect play pays the mover `(S,)`; at terminal states, what the game paid the player whose turn it
            would be.
        worth: What perfect play pays the mover after each action `(S, A)`; NaN where illegal.
        plies: Moves until the end when the winner hurries and the loser delays `(S,)`; in drawn positions it counts the
            moves of one such line and means nothing.
        keeps: Which actions keep the value `(S, A)`.
        fastest: Those among them that win soonest or lose latest `(S, A)`.
    """

    value: Float[Tensor, " S"]
    worth: Float[Tensor, "S A"]
    plies: Int[Tensor, " S"]
    keeps: Bool[Tensor, "S A"]
    fastest: Bool[Tensor, "S A"]

    @property
    def critical(self) -> Bool[Tensor, " S"]:
        """States in which some legal move loses value."""
        return (~self.worth.isnan() & ~self.keeps).any(-1)


def perfect_play(game: TurnBasedGame) -> PerfectPlay:
    """Backward induction on value first and plies second.

    Args:
        game: A zero-sum game of two players.

    Raises:
        InvalidGameError: If the game has another number of players or is not zero-sum.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe, parse_board
        >>> game = TicTacToe()
        >>> slide = int(game.state_graph().index(torch.tensor(parse_board("X.X / OO. / ..."))))
        >>> known = perfect_play(game)
        >>> known.keeps[slide].nonzero().flatten().tolist(), known.fastest[slide].nonzero().flatten().tolist()
        ([1, 5], [1])
    """
    graph = game.state_graph()
    if game.n_players != 2 or bool(graph.returns.sum(-1).abs().max() > 1e-12):
        raise InvalidGameError(f"{game.name}: perfect play is of zero-sum games of two players")
    first = graph.returns[:, 0].clone()  # what perfect play pays player 0
    plies = torch.zeros(len(first), dtype=torch.int64)
    worth = torch.full(graph.legal.shape, torch.nan, dtype=torch.float64)
    keeps, fastest = torch.zeros_like(graph.legal), torch.zeros_like(graph.legal)
    sign = 1.0 - 2.0 * graph.mover.double()
    for level in reversed(graph.levels):
        legal, live = graph.legal[level], ~graph.terminal[level]
        after = sign[level].unsqueeze(-1) * first[graph.child[level]]
        best = after.masked_fill(~legal, -torch.inf).max(-1).values
        keep = legal & (after == best.unsqueeze(-1))
        hurry = torch.where(best > 0, 1, torch.where(best < 0, -1, 0)).unsqueeze(-1)
        wait = (hurry * plies[graph.child[level]]).masked_fill(~keep, 2 * game.max_moves)
        soonest = keep & (wait == wait.min(-1, keepdim=True).values)
        chosen = graph.child[level].gather(-1, soonest.to(torch.uint8).argmax(-1, keepdim=True)).squeeze(-1)
        first[level] = torch.where(live, sign[level] * best, first[level])
        plies[level] = torch.where(live, plies[chosen] + 1, 0)
        worth[level] = after.masked_fill(~legal, torch.nan)
        keeps[level], fastest[level] = keep, soonest
    return PerfectPlay(sign * first, worth, plies, keeps, fastest)
