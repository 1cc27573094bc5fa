"""Roll-outs of a Markov game, and the policy gradient's weights.

The objective of player i is its discounted payoff over the horizon, an average per period:
`J_i = (1 - d) E[sum_(t<T) d^t r_i,t]`. Its gradient is
`E[sum_t (1 - d) d^t (G_t - b_t) grad log pi_i(a_t | o_t)]` with the return to go `G_t = sum_(k>=t) d^(k-t) r_k` (Sutton
et al. 2000); the baseline `b_t` is the mean of the other games' returns to go in the same period. A horizon T leaves
out the share `d^T` of the infinite sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.rllib.sampling import Scores, action_cdf, draw_actions, leave_one_out, sum_scores
from strategic_envs.games.kinds.markov import MarkovGame

__all__ = ["Policy", "discounted_weights", "rollout_markov"]

Policy = Callable[[Tensor], Tensor]  # observations (B, obs) -> logits (B, A)


def discounted_weights(payoffs: Float[Tensor, "T games"], discount: float) -> Float[Tensor, "T games"]:
    """The weight of each period's score: `(1 - d) d^t (G_t - b_t) / games`.

    Example:
        >>> discounted_weights(torch.tensor([[1.0], [1.0]]), 0.5).flatten().tolist()
        [0.75, 0.25]
    """
    horizon, games = payoffs.shape
    ahead = torch.empty_like(payoffs)
    total = torch.zeros_like(payoffs[0])
    for t in reversed(range(horizon)):
        total = payoffs[t] + discount * total
        ahead[t] = total
    decay = discount ** torch.arange(horizon, dtype=payoffs.dtype, device=payoffs.device)
    return leave_one_out(ahead) * decay.unsqueeze(-1) * ((1 - discount) / games)


def rollout_markov(
    game: MarkovGame, policies: Sequence[Policy], games: int, horizon: int, generator: torch.Generator
) -> list[Scores]:
    """Plays `games` games for `horizon` periods, all at once, on the generator's device.

    Where the game has no more states than a batch has moves, each policy is asked once, for all states.

    Args:
        game: The game.
        policies: One function a player, from observations `(B, obs)` to logits `(B, A)`.
        games: How many games are played.
        horizon: Periods in each.
        generator: Where the draws come from.

    Returns:
        The scores of each player.
    """
    players, device = range(game.n_players), generator.device
    tabular = game.n_states <= games * horizon
    everywhere = torch.arange(game.n_states, device=device) if tabular else None
    tables = [action_cdf(policies[i](game.observe(everywhere, i))) for i in players] if everywhere is not None else None

    def cdf(player: int, state: Tensor) -> Tensor:
        return tables[player][state] if tables else action_cdf(policies[player](game.observe(state, player)))

    state = game.sample_initial(games, generator)
    states = torch.empty(horizon, games, dtype=torch.int64, device=device)
    actions = torch.empty(horizon, games, game.n_players, dtype=torch.int64, device=device)
    payoffs = torch.empty(horizon, games, game.n_players, dtype=torch.float64, device=device)
    for t in range(horizon):
        states[t] = state
        for i in players:
            actions[t, :, i] = draw_actions(cdf(i, state), generator)
        state, payoffs[t] = game.step(state, actions[t], generator)

    if everywhere is not None:
        seen, rows, count = everywhere, states.flatten(), game.n_states
    else:
        seen, rows, count = states.flatten(), torch.arange(states.numel(), device=device), states.numel()
    scores = []
    for i in players:
        weights = discounted_weights(payoffs[..., i], game.discount).flatten()
        coefficient = sum_scores(rows, actions[..., i].flatten(), weights, (count, game.n_actions[i]))
        scores.append(Scores(game.observe(seen, i), None, coefficient))
    return scores
