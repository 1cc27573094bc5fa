"""Roll-outs of a turn-based game, and the policy gradient's weights.

The objective of player i is its expected payoff at the end and, with a temperature, its own entropy at its own moves:
`J_i = E[R_i + temperature sum_t H_t]`. Its gradient is `E[sum_t (G_t - b_t) grad log pi_i(a_t | o_t) + temperature grad
H_t]` over the moves of player i, where `G_t` is the payoff and the entropy still to come. The baseline `b_t` comes from
the other games alone, so it leaves the gradient unbiased: their mean at the same state, drawn towards their mean at the
same move of the game as if that were one more visit.

Games are played on rows of the state graph, each network is asked once for all states at which its player moves, and
weights are summed up state by state: a sample is never larger than the game.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from strategic_envs.agents.rllib.sampling import Scores, cumulative, draw_actions, sum_by, sum_scores
from strategic_envs.agents.rllib.seats import MaskedPolicy, Seat, policy_tables, seats, state_graph_on
from strategic_envs.games.kinds.turn_based import StateGraph, TurnBasedGame

__all__ = ["MaskedPolicy", "rollout_turn_based"]

Move = tuple[Tensor, Tensor, Tensor]  # the games that still run, the rows of their states, the actions drawn


def rollout_turn_based(
    game: TurnBasedGame,
    policies: Sequence[MaskedPolicy],
    games: int,
    generator: torch.Generator,
    *,
    temperature: float = 0.0,
    exploring_starts: float = 0.0,
) -> tuple[list[Scores], int]:
    """Plays `games` whole games at once, on the generator's device.

    Args:
        game: The game.
        policies: One function a player, from observations `(B, obs)` and legal actions `(B, A)` to logits `(B, A)`.
        games: How many games are played.
        generator: Where the draws come from.
        temperature: The weight of each player's own entropy.
        exploring_starts: The share of games that start at a state drawn uniformly from all that are not over.

    Returns:
        The scores of each player, one row a state at which it moved, and how many moves were made.
    """
    device = generator.device
    graph, own = state_graph_on(game, device), seats(game, device)
    policy = _merged(policies, game, device)
    moves, last = _play(graph, cumulative(policy), _starts(graph, games, exploring_starts, generator), generator)
    entropy = temperature * torch.special.entr(policy).sum(-1)
    rows, actions, weights = _weights(graph, moves, graph.returns[last], entropy)
    visits = sum_by(rows, torch.ones_like(weights), len(policy))
    coefficient = sum_scores(rows, actions, weights, (policy.shape[0], policy.shape[1]))
    # Of the entropy's own slope: sum_a grad pi(a) = 0, so grad H = -sum_a pi(a) log pi(a) grad log pi(a).
    coefficient += temperature * visits.unsqueeze(-1) * torch.special.entr(policy)
    return [_of_player(seat, coefficient / games, visits) for seat in own], len(rows)


def _merged(policies: Sequence[MaskedPolicy], game: TurnBasedGame, device: torch.device) -> Tensor:
    """The mover's action probabilities at every state `(S, A)`, float64."""
    own = seats(game, device)
    tables = policy_tables(game, [p(s.obs, s.mask) for p, s in zip(policies, own, strict=True)])
    merged = tables[0].clone()
    for seat, table in zip(own[1:], tables[1:], strict=True):
        merged[seat.rows] = table[seat.rows]
    return merged


def _starts(graph: StateGraph, games: int, share: float, generator: torch.Generator) -> Tensor:
    start = torch.zeros(games, dtype=torch.int64, device=generator.device)
    if share == 0:
        return start
    running = (~graph.terminal).nonzero().squeeze(-1)
    draw = torch.randint(len(running), (games,), generator=generator, device=generator.device)
    anywhere = torch.rand(games, generator=generator, device=generator.device) < share
    return torch.where(anywhere, running[draw], start)


def _play(graph: StateGraph, cdf: Tensor, state: Tensor, generator: torch.Generator) -> tuple[list[Move], Tensor]:
    """All moves, in order, and the states at the end."""
    moves: list[Move] = []
    while len(games := (~graph.terminal[state]).nonzero().squeeze(-1)):
        rows = state[games]
        actions = draw_actions(cdf[rows], generator)
        moves.append((games, rows, actions))
        state = state.index_copy(0, games, graph.child[rows, actions])
    return moves, state


def _weights(graph: StateGraph, moves: Sequence[Move], ahead: Tensor, entropy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, actions and weights of all moves, from the payoffs `(games, n)` and the weighted entropy at each state."""
    players = ahead.shape[-1]
    own: list[Tensor] = []  # what each mover still gets after its move
    for games, rows, _ in reversed(moves):
        cell = (games, graph.mover[rows])
        own.append(ahead[cell])
        ahead = ahead.index_put(cell, entropy[rows], accumulate=True)
    gain = torch.cat(own[::-1])
    rows, actions = torch.cat([m[1] for m in moves]), torch.cat([m[2] for m in moves])
    which = torch.cat([k * players + graph.mover[r] for k, (_, r, _) in enumerate(moves)])
    here, before = _others(gain, rows, len(graph.states)), _others(gain, which, len(moves) * players)
    move_mean = before[0] / before[1].clamp(min=1)
    return rows, actions, gain - (here[0] + move_mean) / (here[1] + 1)


def _others(gain: Tensor, group: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """For each move, the sum of the gains of the other moves in its group, and how many these are."""
    total, count = sum_by(group, gain, groups), sum_by(group, torch.ones_like(gain), groups)
    return total[group] - gain, count[group] - 1


def _of_player(seat: Seat, coefficient: Tensor, visits: Tensor) -> Scores:
    seen = (visits[seat.rows] > 0).nonzero().squeeze(-1)
    return Scores(seat.obs[seen], seat.mask[seen], coefficient[seat.rows[seen]])
