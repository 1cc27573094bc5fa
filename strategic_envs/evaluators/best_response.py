"""The one function all global gaps stand on: the best that a player can do against given play.

Exact for finite games (normal form, turn-based, Markov), nonatomic congestion games and games that bring their own
`best_response`; numeric, and marked so, for other games with utilities. To teach it a new kind of game, register a
function on `best_response`.
"""

from __future__ import annotations

import copy
import math
from functools import singledispatch

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.evaluators.congestion import mean_costs
from strategic_envs.evaluators.expectation import joint_play, merged_policy, tabulate
from strategic_envs.evaluators.numeric import improve, maximise, refine
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.play import BestResponse, Empirical, Independent
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream

__all__ = ["all_responses", "best_response", "finite_responses", "population_responses"]

_GLOBAL_DIMENSION = 32  # above this many own dimensions no search is called global: the present strategy is improved
_ROWS = 2**18  # profiles evaluated in one call
_SEARCH = 2**12  # opponents' profiles that a search looks at
_REFINE = 2**16  # opponents' profiles against which what was found is still refined
_WORK = 2**20  # profiles evaluated for the starts of one search


@singledispatch
def best_response(game: object, player: int, play: object, certify: float | None = None) -> BestResponse:
    """A best response of one player to the others' play.

    Args:
        game: A game of any kind with utilities.
        player: Whose response, `0..n-1`.
        play: A profile, `Empirical` or `Independent` (continuous and normal-form games); a `TabularPlay` or a tuple of
            policy functions (turn-based and Markov games). The player's own part serves at most as a starting point.
        certify: A tolerance in utility units: `lower` and `upper` are then proved, and `exact=True` means that they
            are this near. For a `Game` of at most 4 own dimensions whose utility consists of known torch operations
            (docs/certificates.md); kinds that are exact anyway ignore it.

    Returns:
        The response and what it pays, float64. Exact for normal-form, turn-based, Markov and nonatomic congestion
        games and for games with a `best_response(player, play)` method of their own. Otherwise `exact=False`: a search
        from a grid, random points and the player's own points in up to 32 dimensions, and an improvement of the
        player's own points above.

    Raises:
        InvalidGameError: If this kind of game has no utilities.
        InvalidStrategyError: If the play does not fit the game, or there is no such player.

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> reply = best_response(pennies, 0, pennies.profile([0.5, 0.5], [0.75, 0.25]))
        >>> reply.strategy.tolist(), reply.value, reply.exact
        ([1.0, 0.0], 0.5, True)
    """
    raise InvalidGameError(
        f"got a {type(game).__name__}, which has no utilities to respond to: expected a Game, NormalFormGame, "
        "TurnBasedGame or MarkovGame; for a variational inequality use local_nash_gap"
    )


def _check_player(game: Game | MarkovGame | TurnBasedGame, player: int) -> None:
    if not 0 <= player < game.n_players:
        raise InvalidStrategyError(f"{game.name}: got player {player}, expected 0..{game.n_players - 1}")


def _exactly(strategy: Tensor, value: float) -> BestResponse:
    return BestResponse(strategy, value, value, value, exact=True, attained=True)


@best_response.register(NormalFormGame)
def _(game: NormalFormGame, player: int, play: object, certify: float | None = None) -> BestResponse:
    _check_player(game, player)
    joint = joint_play(game, play)
    return _best_action(joint.weights @ game.deviation_payoffs(joint.points, player))


def finite_responses(game: NormalFormGame, play: Empirical) -> list[BestResponse]:
    """Every player's best response to joint play, from one field at each profile.

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> [r.value for r in finite_responses(pennies, Empirical.pure(pennies.profile([0.5, 0.5], [0.75, 0.25])))]
        [0.5, 0.0]
    """
    return [_best_action(play.weights @ payoffs) for payoffs in game.field(play.points)]


def _best_action(payoffs: Tensor) -> BestResponse:
    action = int((payoffs == payoffs.max()).nonzero()[0])  # ties go to the lowest action
    return _exactly(torch.eye(len(payoffs), dtype=torch.float64)[action], float(payoffs[action]))


@best_response.register(CongestionGame)
def _(game: CongestionGame, player: int, play: object, certify: float | None = None) -> BestResponse:
    _check_player(game, player)
    return population_responses(game, joint_play(game, play))[player]


def population_responses(game: CongestionGame, play: Empirical) -> list[BestResponse]:
    """The best strategy of a member of each population against joint play, at the expected costs that it makes.

    A member does not move the loads: the play of its own population counts as much as that of the others.

    Example:
        >>> from strategic_envs.games.kinds.congestion import PowerCosts
        >>> pigou = CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts.affine([0.0, 1.0], [1.0, 0.0]))
        >>> reply = population_responses(pigou, Empirical.pure(pigou.profile([0.5, 0.5])))[0]
        >>> reply.strategy.tolist(), reply.value
        ([0.0, 1.0], -0.5)
    """
    paths = game.split(game.incidence.path_costs(mean_costs(game, play)))
    return [_best_action(-cost) for cost in paths]


@best_response.register(MarkovGame)
def _(game: MarkovGame, player: int, play: object, certify: float | None = None) -> BestResponse:
    _check_player(game, player)
    table, value = game.best_response(tabulate(game, play).policies, player)
    return _exactly(table, (1 - game.discount) * float(game.tables().initial @ value))


@best_response.register(TurnBasedGame)
def _(game: TurnBasedGame, player: int, play: object, certify: float | None = None) -> BestResponse:
    _check_player(game, player)
    table, value = game.best_response(merged_policy(game, play), player)
    return _exactly(table, float(value[0]))


def all_responses(game: TurnBasedGame, play: object) -> tuple[list[float], list[BestResponse]]:
    """Every player's utility and exact best response, in one sweep over the states; `play` as in `best_response`.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> from strategic_envs.play import TabularPlay
        >>> game = TicTacToe()
        >>> utilities, replies = all_responses(game, TabularPlay((game.uniform_policy(),) * 2))
        >>> round(utilities[0], 6), round(replies[0].value, 6)
        (0.296825, 0.994792)
    """
    found = game.responses(merged_policy(game, play))
    best = zip(found.tables, found.best[0].tolist(), strict=True)
    return found.values[0].tolist(), [_exactly(table, value) for table, value in best]


@best_response.register(Game)
def _(game: Game, player: int, play: object, certify: float | None = None) -> BestResponse:
    _check_player(game, player)
    if game.joint is not None:
        game = _on_slice(game, player, joint_play(game, play))
    own, found = getattr(game, "best_response", None), None
    if own is not None:  # a closed form, or None where it has none; it sees checked play in the form it was given
        found = own(player, play if isinstance(play, Independent) else joint_play(game, play))
    if found is None:
        found = _numeric(game, player, play)
    if certify is None:
        return found
    # Imported here: tracing brings in a large part of torch that nothing else needs.
    from strategic_envs.evaluators.certified.response import certified_response, check_tolerance

    return certified_response(game, player, _split(game, player, play)[1], found, check_tolerance(certify))


def _on_slice(game: Game, player: int, play: Empirical) -> Game:
    """The game in which the player's set is what its opponents' strategies leave it of the joint set."""
    assert game.joint is not None
    others = _merged(player, play)
    if len(others) != 1:
        raise InvalidStrategyError(
            f"{game.name}, player_{player}: got {len(others)} profiles of the opponents; in a game with a joint set "
            "what a player may play depends on theirs, so respond to one profile at a time"
        )
    sliced = copy.copy(game)
    strategies = game.joint.slice(player, Profile(t[0] for t in others.points).flat())
    sliced.sets = tuple(strategies if i == player else s for i, s in enumerate(game.sets))
    sliced.joint = None
    return sliced


def _numeric(game: Game, player: int, play: object) -> BestResponse:
    mine, others = _split(game, player, play)
    few, strategies = _thinned(others), game.sets[player]

    def objective(y: Tensor) -> Tensor:
        return _against(game, player, y, few)

    if strategies.dim > _GLOBAL_DIMENSION and not strategies.bounded:
        point, value = improve(objective, mine[0])
    else:
        budget = min(4096, max(64, _WORK // len(few)))
        point, value = maximise(objective, strategies, mine, budget=budget)
    if few is not others:  # searched against a sample, refined if that is cheap, and judged against all
        if len(others) <= _REFINE:
            point = refine(lambda y: _against(game, player, y, others), strategies, point)
        with torch.no_grad():
            value = float(_against(game, player, point.unsqueeze(0), others)[0])
    if not math.isfinite(value):
        raise InvalidGameError(
            f"{game.name}, player_{player}: the best utility found is {value}; utilities must be finite on the sets"
        )
    return BestResponse(point, value, value, math.inf, exact=False, attained=strategies.bounded)


def _against(game: Game, player: int, y: Tensor, others: Empirical) -> Tensor:
    """Mean utility `(C,)` of candidates y `(C, d)`."""
    c, t = len(y), len(others)
    if c * t > _ROWS and c > 1:
        return torch.cat([_against(game, player, part, others) for part in y.split(max(1, _ROWS // t))])
    rows = [p.expand(c, t, -1).reshape(c * t, -1) for p in others.points]
    rows[player] = y.unsqueeze(1).expand(c, t, -1).reshape(c * t, -1)
    return game.utilities(tuple(rows))[:, player].reshape(c, t) @ others.weights


def _split(game: Game, player: int, play: object) -> tuple[Tensor, Empirical]:
    """The player's own points, most likely first and at most 64, and the joint play of the others."""
    if isinstance(play, Independent):
        joint_play(game, Independent.pure([p[0] for p in play.points]))  # checks the number of players
        game.validate_each(play.points)
        mine, weights = play.points[player].double(), play.weights[player]
        points = tuple(p[:1] if i == player else p for i, p in enumerate(play.points))
        one = tuple(w.new_ones(1) if i == player else w for i, w in enumerate(play.weights))
        others = Independent(points, one).joint()
    else:
        others = joint_play(game, play)
        mine, weights = others.points[player], others.weights
    likely = weights.argsort(descending=True, stable=True)
    spread = likely[torch.linspace(0, len(likely) - 1, min(64, len(likely))).long()]
    return mine[spread], _merged(player, others)


def _thinned(others: Empirical) -> Empirical:
    """Play of at most `_SEARCH` points: the same, or a seeded sample of it."""
    if len(others) <= _SEARCH:
        return others
    stream = torch_stream(0, "thinned_play")
    rows = torch.multinomial(others.weights.cpu(), _SEARCH, replacement=True, generator=stream)
    return Empirical.uniform([p[rows] for p in others.points])


def _merged(player: int, others: Empirical) -> Empirical:
    """The same play with equal opponents' profiles joined: play that rests costs as much as one point."""
    if len(others) == 1 or len(others) > _REFINE:
        return others
    flat = Profile(p for i, p in enumerate(others.points) if i != player)
    if not flat:
        return Empirical(Profile(p[:1] for p in others.points), others.weights.new_ones(1))
    _, inverse = torch.unique(flat.flat(), dim=0, return_inverse=True)
    count = int(inverse.max()) + 1
    if count == len(others):
        return others
    first = torch.full((count,), len(others)).scatter_reduce_(0, inverse, torch.arange(len(others)), "amin")
    weights = torch.zeros(count, dtype=torch.float64).index_add_(0, inverse, others.weights)
    return Empirical(Profile(p[first] for p in others.points), weights / weights.sum())
