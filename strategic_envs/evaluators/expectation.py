"""Play brought into one form, and what it pays: the ground under every gap.

Games with continuous strategies (`Game`, `NormalFormGame`) are played jointly, as an `Empirical`; games with states by
one policy table a player. All numbers are float64.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.play import LARGEST_SUPPORT, Empirical, Independent, TabularPlay

__all__ = ["expected_utilities", "initial_utilities", "joint_play", "largest_support", "merged_policy", "tabulate"]

_ROWS = 2**18  # profiles evaluated in one call
_ENTRIES = 2**22  # coordinates of the profiles of populations that are drawn


def largest_support(game: VIGame) -> int:
    """The largest product of independent marginals that is written out; a larger one is drawn from, as often.

    A network may have thousands of populations: of their product fewer profiles are kept.
    """
    return (
        min(LARGEST_SUPPORT, max(1, _ENTRIES // sum(game.dims)))
        if isinstance(game, CongestionGame)
        else LARGEST_SUPPORT
    )


def joint_play(game: VIGame, play: object) -> Empirical:
    """Any play of a game with continuous strategies as a joint distribution, float64, checked against the sets.

    Args:
        game: The game.
        play: A profile of tensors `(d_i,)`, an `Empirical` or an `Independent`. Marginals become their product; in a
            `NormalFormGame`, whose utilities are multilinear, the one profile of mean strategies is the same play.

    Raises:
        InvalidStrategyError: If the play has another form, or a point lies outside its set.
    """
    if isinstance(play, Independent):
        # The supports are checked before their product is formed; whether they fit together is seen from the product.
        _check_players(game, play.points, together=False)
        play = Empirical.pure(play.mean()) if isinstance(game, NormalFormGame) else play.joint(largest_support(game))
    elif not isinstance(play, Empirical):
        play = _pure(game, play)
    play = play.double()
    _check_players(game, play.points)
    return play


def _pure(game: VIGame, play: object) -> Empirical:
    if not isinstance(play, Sequence) or not all(isinstance(t, Tensor) for t in play):
        raise InvalidStrategyError(
            f"{game.name}: got play of type {type(play).__name__}, expected a profile (one tensor a player), "
            "an Empirical or an Independent"
        )
    shapes = [tuple(t.shape) for t in play]
    if shapes != [(d,) for d in game.dims]:
        raise InvalidStrategyError(
            f"{game.name}: got a profile of shapes {shapes}, expected {[(d,) for d in game.dims]}: "
            "wrap a batch of profiles in Empirical.uniform, or evaluate them one by one"
        )
    return Empirical.pure(play)


def _check_players(game: VIGame, points: Sequence[Tensor], *, together: bool = True) -> None:
    if len(points) != game.n_players:
        raise InvalidStrategyError(f"{game.name}: got play of {len(points)} players, expected {game.n_players}")
    if together:
        game.validate(points)
    else:
        game.validate_each(points)


def expected_utilities(game: Game, play: Empirical) -> Float[Tensor, " n"]:
    """Every player's mean utility under joint play.

    Raises:
        InvalidGameError: If a utility is not finite; the message names the game and the player.
    """
    total = torch.zeros(game.n_players, dtype=torch.float64, device=play.weights.device)
    for start in range(0, len(play), _ROWS):
        rows = slice(start, start + _ROWS)
        with torch.no_grad():
            total += play.weights[rows] @ game.utilities(tuple(t[rows] for t in play.points)).double()
    if not bool(total.isfinite().all()):
        player = int((~total.isfinite()).nonzero()[0])
        raise InvalidGameError(
            f"{game.name}, player_{player}: the mean utility is {float(total[player])}; "
            "utilities must be finite on the sets"
        )
    return total


def initial_utilities(game: MarkovGame | TurnBasedGame, policies: Sequence[Tensor]) -> Float[Tensor, " n"]:
    """Every player's expected utility from the initial states, differentiable in the policy tables.

    Values of a Markov game are multiplied by 1 - discount, so they are in units of one period's payoff.
    """
    if isinstance(game, MarkovGame):
        return (1 - game.discount) * (game.tables().initial @ game.values(tuple(policies)))
    return game.values(game.merge(tuple(policies)))[0]


def tabulate(game: MarkovGame | TurnBasedGame, play: object) -> TabularPlay:
    """Any play of a game with states as valid policy tables.

    Args:
        game: The game.
        play: A `TabularPlay`, or one function a player from observations `(B, obs)`, float32, to action probabilities
            `(B, A)`. In a turn-based game a function with a second argument gets the mask of legal actions `(B, A)`.

    Raises:
        InvalidStrategyError: If the play has another form, or a table is not one of distributions over legal actions.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> game = TicTacToe()
        >>> uniform = tabulate(game, (lambda seen, legal: legal / legal.sum(-1, keepdim=True),) * 2)
        >>> uniform.policies[0].shape
        torch.Size([5478, 9])
    """
    policies = _policies(game, play)
    if isinstance(game, MarkovGame):
        return TabularPlay(game.validate_policies(policies))
    merged, graph = _merge(game, policies), game.state_graph()
    mover = graph.mover.unsqueeze(-1)  # rows at which a player does not move may hold anything
    return TabularPlay(tuple(torch.where(mover == i, merged, graph.uniform) for i in range(game.n_players)))


def merged_policy(game: TurnBasedGame, play: object) -> Float[Tensor, "S A"]:
    """Any play of a turn-based game as one valid table of the movers' rows; arguments and errors as of `tabulate`.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> game = TicTacToe()
        >>> merged_policy(game, (lambda seen, legal: legal / legal.sum(-1, keepdim=True),) * 2).shape
        torch.Size([5478, 9])
    """
    return _merge(game, _policies(game, play))


def _merge(game: TurnBasedGame, policies: tuple[Tensor, ...]) -> Tensor:
    if len(policies) != game.n_players:
        raise InvalidStrategyError(f"{game.name}: got {len(policies)} policies, expected {game.n_players}")
    shape = game.state_graph().legal.shape
    for i, table in enumerate(policies):
        if table.shape != shape:
            game.validate_policy(table, f"player_{i}")  # says what is wrong
    same = all(table is policies[0] for table in policies)
    return game.validate_policy(policies[0] if same else game.merge(policies))


def _policies(game: MarkovGame | TurnBasedGame, play: object) -> tuple[Tensor, ...]:
    """One table a player, not yet checked."""
    if isinstance(play, TabularPlay):
        return play.policies
    if isinstance(play, Sequence) and len(play) and all(callable(p) and not isinstance(p, Tensor) for p in play):
        if len(play) != game.n_players:
            raise InvalidStrategyError(f"{game.name}: got {len(play)} policies, expected {game.n_players}")
        with torch.no_grad():
            return tuple(_tabulate_one(game, i, p) for i, p in enumerate(play))
    raise InvalidStrategyError(
        f"{game.name}: got play of type {type(play).__name__}, expected TabularPlay((table, ...)) or a tuple of "
        "functions policy(observations) -> action probabilities, one a player"
    )


def _tabulate_one(game: MarkovGame | TurnBasedGame, player: int, policy: Callable[..., Any]) -> Tensor:
    if isinstance(game, MarkovGame):
        return policy(game.observe(torch.arange(game.n_states), player)).detach().cpu().double()
    graph = game.state_graph()
    mine = (graph.mover == player) & ~graph.terminal
    observation = game.observe(graph.states[mine], player)
    table = game.uniform_policy()
    wants_mask = _positional(policy) >= 2
    rows = policy(observation, graph.legal[mine]) if wants_mask else policy(observation)
    table[mine] = rows.detach().cpu().double()
    return table


def _positional(policy: Callable[..., Any]) -> int:
    function = policy.forward if isinstance(policy, torch.nn.Module) else policy
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds for p in inspect.signature(function).parameters.values())
