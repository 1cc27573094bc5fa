"""Roll-outs of a one-shot game in which all players move at once, and the policy gradient's weights.

The objective of player i is its expected payoff; its gradient is `E[(u_i(a) - b) grad log pi_i(a_i)]`, with the mean
payoff of the other games as baseline.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from strategic_envs.agents.rllib.sampling import Scores, action_cdf, draw_actions, leave_one_out, sum_scores
from strategic_envs.games.kinds.normal_form import NormalFormGame

__all__ = ["rollout_one_shot"]


def rollout_one_shot(
    game: NormalFormGame, logits: Sequence[Tensor], games: int, generator: torch.Generator
) -> list[Scores]:
    """Plays `games` one-shot games at once, on the generator's device.

    Args:
        game: The game.
        logits: One vector `(A_i,)` a player: its mixed strategy is their softmax.
        games: How many games are played.
        generator: Where the draws come from.

    Returns:
        The scores of each player, with one row and an observation of no entries.
    """
    device = generator.device
    actions = [draw_actions(action_cdf(v.detach()).expand(games, -1), generator) for v in logits]
    payoffs = game.payoffs_of(actions)
    row = torch.zeros(games, dtype=torch.int64, device=device)
    scores = []
    for i, action in enumerate(actions):
        weights = leave_one_out(payoffs[:, i]) / games
        coefficient = sum_scores(row, action, weights, (1, game.n_actions[i]))
        scores.append(Scores(torch.zeros(1, 0, device=device), None, coefficient))
    return scores
