"""How often a turn-based game ends in which way: exact probabilities of winning, drawing and losing."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from strategic_envs.evaluators.expectation import merged_policy
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["Outcomes", "outcome_probabilities", "reach_probabilities"]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """With which probability each player ends with a payoff above, equal to and below zero.

    Args:
        win: One number a player, float64.
        draw: The same.
        loss: The same.
    """

    win: Float[Tensor, " n"]
    draw: Float[Tensor, " n"]
    loss: Float[Tensor, " n"]


def reach_probabilities(game: TurnBasedGame, policy: Float[Tensor, "S A"]) -> Float[Tensor, " S"]:
    """The probability that play comes through each state, by one sweep from the first move to the last.

    Args:
        game: The game.
        policy: One table for all players: at each state the mover's row (see `TurnBasedGame.merge`).

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> game = TicTacToe()
        >>> reach = reach_probabilities(game, game.uniform_policy())
        >>> round(float(reach[game.state_graph().terminal].sum()), 12)
        1.0
    """
    return game.reach(policy)


def outcome_probabilities(game: TurnBasedGame, play: object) -> Outcomes:
    """The exact probabilities of winning, drawing and losing; nothing is played.

    Args:
        game: The game.
        play: A `TabularPlay`, or one function a player, as `tabulate` takes them.

    Raises:
        InvalidStrategyError: If the play has another form, or is not one of distributions over legal actions.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> from strategic_envs.play import TabularPlay
        >>> game = TicTacToe()
        >>> random = outcome_probabilities(game, TabularPlay((game.uniform_policy(),) * 2))
        >>> round(float(random.win[0]), 6), round(float(random.draw[0]), 6)
        (0.584921, 0.126984)
    """
    graph = game.state_graph()
    reach = reach_probabilities(game, merged_policy(game, play))[graph.terminal]
    payoffs = graph.returns[graph.terminal]
    return Outcomes(*(reach @ kind.double() for kind in (payoffs > 0, payoffs == 0, payoffs < 0)))
