"""Batches of games between frozen tables: which policy a player follows is fixed for each game before it begins.

A player's policies are cumulative distributions of actions, one table a policy; `picks` names for each game the one
that is followed in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.agents.rllib.sampling import draw_actions
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["Move", "play_markov", "play_one_shot", "play_turn_based", "trembling"]


def trembling(policy: Tensor, uniform: Tensor, tremble: float) -> Tensor:
    """The policy that follows `uniform` with probability `tremble`, anew at every move.

    Example:
        >>> trembling(torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]), 0.5).tolist()
        [0.75, 0.25]
    """
    return policy if tremble == 0 else (1 - tremble) * policy + tremble * uniform


@dataclass(frozen=True, eq=False)
class Move:
    """One player's actions at one move of a batch of turn-based games.

    Args:
        player: Who moves.
        games: Numbers of the games in which this player moves `(m,)`.
        rows: The rows of their states in the state graph `(m,)`.
        actions: What is played `(m,)`.
    """

    player: int
    games: Tensor
    rows: Tensor
    actions: Tensor


def play_turn_based(
    game: TurnBasedGame,
    cdfs: Sequence[Float[Tensor, "_ S A"]],
    picks: Sequence[Int[Tensor, " games"]],
    generator: torch.Generator,
) -> tuple[list[Move], Float[Tensor, "games n"]]:
    """Plays a batch of games to their ends, on the generator's device.

    Args:
        game: The game.
        cdfs: For each player its policies.
        picks: For each player the policy it follows in each game.
        generator: Where the draws come from.

    Returns:
        The moves in order, and what each game paid.
    """
    graph, device = game.state_graph(), generator.device
    mover, terminal, child = graph.mover.to(device), graph.terminal.to(device), graph.child.to(device)
    row = torch.zeros(len(picks[0]), dtype=torch.int64, device=device)
    moves: list[Move] = []
    for _ in range(game.max_moves):
        live, turn = ~terminal[row], mover[row]
        for i in range(game.n_players):
            games = (live & (turn == i)).nonzero().squeeze(-1)
            if len(games):
                at = row[games]
                action = draw_actions(cdfs[i][picks[i][games], at], generator)
                row[games] = child[at, action]
                moves.append(Move(i, games, at, action))
    return moves, graph.returns.to(device)[row]


def play_markov(
    game: MarkovGame,
    cdfs: Sequence[Float[Tensor, "_ S _"]],
    picks: Sequence[Int[Tensor, " games"]],
    horizon: int,
    generator: torch.Generator,
) -> tuple[Int[Tensor, "T games"], Int[Tensor, "T games n"], Float[Tensor, "T games n"]]:
    """Plays a batch of games for `horizon` periods, on the generator's device; arguments as in `play_turn_based`.

    Returns:
        The states, the actions and the payoffs of all periods.
    """
    games, device, n = len(picks[0]), generator.device, game.n_players
    state = game.sample_initial(games, generator)
    states = torch.empty(horizon, games, dtype=torch.int64, device=device)
    actions = torch.empty(horizon, games, n, dtype=torch.int64, device=device)
    payoffs = torch.empty(horizon, games, n, dtype=torch.float64, device=device)
    for t in range(horizon):
        states[t] = state
        for i in range(n):
            actions[t, :, i] = draw_actions(cdfs[i][picks[i], state], generator)
        state, payoffs[t] = game.step(state, actions[t], generator)
    return states, actions, payoffs


def play_one_shot(
    game: NormalFormGame,
    cdfs: Sequence[Float[Tensor, "_ _"]],
    picks: Sequence[Int[Tensor, " games"]],
    generator: torch.Generator,
) -> tuple[list[Int[Tensor, " games"]], Float[Tensor, "games n"]]:
    """Plays a batch of one-shot games; arguments as in `play_turn_based`, with one row a policy.

    Returns:
        Each player's actions, and the payoffs.
    """
    actions = [draw_actions(cdf[pick], generator) for cdf, pick in zip(cdfs, picks, strict=True)]
    return actions, game.payoffs_of(actions)
