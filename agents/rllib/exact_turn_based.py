"""Exact gradients of a turn-based game's regularised objectives, by one sweep forwards and one backwards."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.games.kinds.turn_based import StateGraph, TurnBasedGame

__all__ = ["regularised_fields"]


def regularised_fields(
    game: TurnBasedGame, policies: Sequence[Tensor], *, temperature: float = 0.0, exploring_starts: float = 0.0
) -> tuple[Float[Tensor, "S A"], ...]:
    """Every player's gradient of its own objective by the entries of its policy table.

    With d(s) the probability of reaching s and Q_i(s, a) what player i gets from s on after a, the payoff and its own
    weighted entropies, the gradient is `d(s) (Q_i(s, a) - temperature (log pi_i(a | s) + 1))` where player i moves, and
    zero elsewhere.

    Args:
        game: The game.
        policies: One table `(S, A)` a player, valid where it moves.
        temperature: The weight of a player's own entropy at its own moves.
        exploring_starts: The share of games that start at a state drawn uniformly from all that are not over.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> game = TicTacToe()
        >>> of_x, of_o = regularised_fields(game, [game.uniform_policy()] * 2)
        >>> of_x[0].argmax().item(), round(float(of_x[0].mean()), 6)  # the centre; the mean is the value 187/630
        (4, 0.296825)
    """
    graph, policy = game.state_graph(), game.merge(tuple(p.detach() for p in policies))
    policy = policy * graph.legal
    entropy = temperature * torch.special.entr(policy).sum(-1)
    mine = torch.nn.functional.one_hot(graph.mover, game.n_players).double() * ~graph.terminal.unsqueeze(-1)
    value = graph.returns.clone()
    ahead = torch.zeros(*graph.legal.shape, game.n_players, dtype=torch.float64)  # Q of every player
    for level in reversed(graph.levels):
        ahead[level] = value[graph.child[level]]
        mean = (policy[level].unsqueeze(-2) @ ahead[level]).squeeze(-2)
        live = ~graph.terminal[level].unsqueeze(-1)
        value[level] = torch.where(live, mean + entropy[level].unsqueeze(-1) * mine[level], value[level])
    slope = temperature * (policy.clamp(min=torch.finfo(torch.float64).tiny).log() + 1)
    reach = _reach(graph, policy, exploring_starts).unsqueeze(-1)
    return tuple(
        torch.where(graph.legal, reach * mine[:, i : i + 1] * (ahead[..., i] - slope), 0.0)
        for i in range(game.n_players)
    )


def _reach(graph: StateGraph, policy: Tensor, exploring_starts: float) -> Float[Tensor, " S"]:
    """The probability that a game comes through each state."""
    running = (~graph.terminal).double()
    reach = exploring_starts * running / running.sum()
    reach[0] += 1 - exploring_starts
    for level in graph.levels:
        flow = reach[level].unsqueeze(-1) * policy[level]
        reach.index_add_(0, graph.child[level].reshape(-1), flow.reshape(-1))
    return reach
