"""From a mixture of policies to one policy: the behaviour policy of a player that draws a policy before play begins.

`mixture(a | s) = sum_k w_k r_k(s) p_k(a | s) / sum_k w_k r_k(s)`, where r_k(s) is how often policy k brings play to the
state s when everybody else draws legal moves uniformly. Where every state can be reached in one order of moves only,
r_k(s) is proportional to the product of the player's own probabilities on the way, and the two are equivalent against
any opponents (Kuhn 1953). Where different orders of moves lead to the same state, a drawn policy remembers by the
order of past moves which of the k it is, and a policy on states cannot: then both bring play to every state, and take
every action there, equally often against opponents that draw uniformly, but not against all opponents.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["has_transpositions", "mixture_policy", "mixture_reach", "own_reach"]


def has_transpositions(game: TurnBasedGame) -> bool:
    """Whether different orders of moves can lead to the same state.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> has_transpositions(TicTacToe())
        True
    """
    graph = game.state_graph()
    return int(graph.legal.sum()) > len(graph.states) - 1  # a tree has one edge less than states


def own_reach(game: TurnBasedGame, policies: Float[Tensor, "k S A"], player: int) -> Float[Tensor, "k S"]:
    """How often each policy of one player brings play to each state when the others draw legal moves uniformly.

    Args:
        game: The game.
        policies: Tables over the rows of the state graph; only the rows where the player moves count.
        player: Whose.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> game = TicTacToe()
        >>> reach = own_reach(game, game.uniform_policy().unsqueeze(0), 0)
        >>> bool((reach[0, 1:10] - 1 / 9).abs().max() < 1e-15)
        True
    """
    graph, uniform = game.state_graph(), game.uniform_policy()
    reach = torch.zeros(policies.shape[:2], dtype=torch.float64)
    reach[:, 0] = 1.0
    for level in graph.levels[:-1]:
        mine = (graph.mover[level] == player).unsqueeze(-1)
        step = torch.where(mine, policies[:, level].double(), uniform[level]) * graph.legal[level]
        flow = reach[:, level].unsqueeze(-1) * step
        reach.index_add_(1, graph.child[level].flatten(), flow.flatten(1))
    return reach


def mixture_policy(
    game: TurnBasedGame, policies: Float[Tensor, "k S A"], weights: Float[Tensor, " k"], player: int
) -> Float[Tensor, "S A"]:
    """The behaviour policy of a player that draws one of its policies before play begins; see the top of this module.

    Args:
        game: The game.
        policies: Tables over the rows of the state graph.
        weights: With which probability each is drawn.
        player: Whose policies they are.

    Returns:
        A table, float64; uniform over the legal actions where the player does not move, and in states that none of the
        policies reaches by its own moves.

    Raises:
        InvalidStrategyError: If there is no such player, or the weights are not a distribution over the policies.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> game = TicTacToe()
        >>> corner, centre = torch.eye(9).double()[[0, 4]].unsqueeze(1).expand(-1, 5478, -1)
        >>> both = mixture_policy(game, torch.stack([corner, centre]), torch.tensor([0.25, 0.75]).double(), 0)
        >>> both[0, [0, 4]].tolist()
        [0.25, 0.75]
    """
    return mixture_reach(game, policies, weights, player)[0]


def mixture_reach(
    game: TurnBasedGame, policies: Float[Tensor, "k S A"], weights: Float[Tensor, " k"], player: int
) -> tuple[Float[Tensor, "S A"], Bool[Tensor, " S"]]:
    """`mixture_policy`, and which states some policy of positive weight reaches by the player's own moves."""
    _check(game, policies, weights, player)
    drawn = weights > 0
    policies, weights = policies[drawn].double(), weights[drawn].double()
    weights = weights / weights.sum()
    graph = game.state_graph()
    share = weights.unsqueeze(-1) * own_reach(game, policies, player)  # (k, S)
    total = share.sum(0)
    reached = total > torch.finfo(torch.float64).tiny  # below, a quotient has lost its digits
    mixed = torch.einsum("ks,ksa->sa", share, policies) / torch.where(reached, total, 1.0).unsqueeze(-1)
    mine = reached & (graph.mover == player) & ~graph.terminal
    return torch.where(mine.unsqueeze(-1), mixed, game.uniform_policy()), reached


def _check(game: TurnBasedGame, policies: Tensor, weights: Tensor, player: int) -> None:
    if not 0 <= player < game.n_players:
        raise InvalidStrategyError(f"{game.name}: got player {player}, expected 0..{game.n_players - 1}")
    who, shape = f"{game.name}, player_{player}", tuple(game.state_graph().legal.shape)
    if policies.ndim != 3 or policies.shape[1:] != shape or len(policies) == 0:
        raise InvalidStrategyError(
            f"{who}: got policies of shape {tuple(policies.shape)}, expected (k, {shape[0]}, {shape[1]}) with k >= 1"
        )
    good = weights.shape == (len(policies),) and bool(weights.isfinite().all()) and bool((weights >= 0).all())
    if not good or abs(float(weights.double().sum()) - 1) > 1e-6:
        raise InvalidStrategyError(
            f"{who}: got weights {weights.tolist()[:6]} for {len(policies)} policies, expected one number >= 0 each "
            "that sum to 1: divide them by their sum"
        )
