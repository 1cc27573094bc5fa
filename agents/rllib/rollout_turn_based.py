"""Roll-outs of a turn-based game, and the policy gradient's weights.

The objective of player i is its expected payoff at the end, `J_i = E[R_i]`; its gradient is
`E[sum_t (R_i - b_t) grad log pi_i(a_t | o_t)]` over the moves of player i, where the baseline `b_t` is the mean payoff
of the other games in which player i makes the same move of the game.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from strategic_envs.agents.rllib.sampling import Scores, action_cdf, draw_actions, leave_one_out
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["MaskedPolicy", "rollout_turn_based"]

MaskedPolicy = Callable[[Tensor, Tensor], Tensor]  # observations (B, obs), legal (B, A) -> logits (B, A)


def rollout_turn_based(
    game: TurnBasedGame, policies: Sequence[MaskedPolicy], games: int, generator: torch.Generator
) -> tuple[list[Scores], int]:
    """Plays `games` whole games at once, on the generator's device.

    Args:
        game: The game.
        policies: One function a player, from observations `(B, obs)` and legal actions `(B, A)` to logits `(B, A)`.
        games: How many games are played.
        generator: Where the draws come from.

    Returns:
        The scores of each player, and how many moves were made.
    """
    device = generator.device
    state = torch.full((games,), game.initial(), dtype=torch.int64, device=device)
    moves: list[list[tuple[Tensor, Tensor, Tensor, Tensor]]] = [[] for _ in range(game.n_players)]
    for _ in range(game.max_moves):
        live, mover = ~game.terminal(state), game.mover(state)
        ahead = state.clone()
        for i in range(game.n_players):
            rows = (live & (mover == i)).nonzero().squeeze(-1)
            if not len(rows):
                continue
            obs, mask = game.observe(state[rows], i), game.legal(state[rows])
            action = draw_actions(action_cdf(policies[i](obs, mask)), generator)
            ahead[rows] = game.step(state[rows], action)
            moves[i].append((rows, obs, mask, action))
        state = ahead
    returns = game.returns(state)
    return [_scores(game, moves[i], returns[:, i]) for i in range(game.n_players)], sum(
        len(rows) for player in moves for rows, *_ in player
    )


def _scores(game: TurnBasedGame, moves: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]], returns: Tensor) -> Scores:
    """One player's scores, from its moves (rows, observations, legal actions, actions) and its payoff in each game."""
    weights = torch.cat([leave_one_out(returns[rows]) for rows, *_ in moves]) / len(returns)
    chosen = one_hot(torch.cat([m[3] for m in moves]), game.n_actions).double()
    return Scores(
        torch.cat([m[1] for m in moves]), torch.cat([m[2] for m in moves]), chosen * weights.double().unsqueeze(-1)
    )
