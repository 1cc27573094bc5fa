"""Double oracle for two-player zero-sum games on compact sets.

Solve the game restricted to the points that are held, let each player answer the solution with a best response over its
whole set, add the two answers, and solve again (Adam, Horcik, Kasl and Kroupa, "Double oracle algorithm for computing
equilibria in continuous games", AAAI 2021; McMahan, Gordon and Blum 2003 for matrices). What the best responses pay
bounds the value of the game in every iteration; every limit point is an equilibrium, and every positive tolerance is
reached after finitely many iterations, at most `packing_bound` of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from strategic_envs.agents.double_oracle.log import DoubleOracleResult, Iteration
from strategic_envs.agents.double_oracle.held import HeldPoints
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.errors import InvalidGameError, InvalidSettingError, InvalidStrategyError
from strategic_envs.evaluators.best_response import best_response
from strategic_envs.games.kinds.game import Game
from strategic_envs.play import BestResponse, Independent
from strategic_envs.seeding import torch_stream
from strategic_envs.solvers.zero_sum import solve_zero_sum

__all__ = ["continuous_double_oracle", "mixed_play"]

_PROFILES = 64  # at which it is checked that utilities sum to zero
_ZERO = 1e-9  # what the sum may be, relative to the utilities
_ROUNDING = 1e-15  # a reply that gains less than this over the points held, relative to its value, is no news


def continuous_double_oracle(
    game: Game,
    *,
    tolerance: float = 1e-6,
    certify: bool = False,
    start: Sequence[Tensor] | None = None,
    max_iterations: int = 200,
    merge: float = 1e-7,
) -> DoubleOracleResult:
    """An equilibrium in mixed strategies of finite support, and bounds of the value.

    Args:
        game: A two-player zero-sum `Game` on compact sets.
        tolerance: Stops when the NashConv of the best pair seen is at most this, in utility units.
        certify: Prove the bounds (at most 4 dimensions a player, utilities in known torch operations; see
            docs/certificates.md). Otherwise they are what a search found, unless the game brings a closed-form
            `best_response`. Proofs tighten as the gap falls: a sixteenth of it, at last a quarter of the tolerance.
        start: What each player holds at first, a point `(d_i,)` or points `(k_i, d_i)`; the centres of the sets when
            not given.
        max_iterations: How many restricted games to solve at most; when they are used up the outcome says so.
        merge: A best response nearer than this to a point that is held counts as held.

    Returns:
        The best pair seen, its gap, and the bounds; `strategies` are points `(k_i, d_i)`. See `mixed_play`. When
        neither player has anything to add the run stops as `failed`, with the gap it has.

    Raises:
        InvalidGameError: If the game is of another kind, has not two players, is not zero-sum (checked at 64 sampled
            profiles), or a set is not compact.
        InvalidStrategyError: If the start is not one of points of the sets.
        InvalidSettingError: If a setting makes no sense.

    Example:
        >>> from strategic_envs.games.catalogue import game
        >>> result = continuous_double_oracle(game("parrilo_3_2"))
        >>> str(result.outcome), round(result.value, 6), len(result.weights[1])
        ('converged', -0.48, 2)
    """
    _check_settings(tolerance, max_iterations, merge)
    _check_game(game)
    held = HeldPoints.of(game, _start(game, start))
    best: _Solution | None = None
    lower, upper, proved, history = -math.inf, math.inf, True, []
    outcome, reason = Outcome.MAX_STEPS, f"all {max_iterations} iterations are used up"
    for iteration in range(1, max_iterations + 1):
        found = _solve(game, held, tolerance, certify, history[-1].gap if history else math.inf)
        best = found if best is None or found.gap < best.gap else best
        lower, upper, proved = max(lower, found.lower), min(upper, found.upper), proved and found.proved
        done = found.gap <= tolerance
        added = (None, None) if done else tuple(_news(game, held, found, i, merge) for i in range(2))
        history.append(_record(iteration, held, found, lower, upper, added))
        if done:
            outcome, reason = Outcome.CONVERGED, f"the gap is at most {tolerance:g}"
            break
        if all(point is None for point in added):
            outcome = Outcome.FAILED
            reason = f"both best responses are held already, at a gap of {found.gap:.3g}: nothing is left to add"
            break
        held = held.grown(game, added)
    assert best is not None
    return _result(game, best, lower, upper, proved, outcome, reason, tuple(history), merge)


def mixed_play(result: DoubleOracleResult) -> Independent:
    """The solution as play that evaluators take.

    Example:
        >>> from strategic_envs.evaluators.gaps import nash_conv
        >>> from strategic_envs.games.catalogue import game
        >>> pursuit = game("squared_difference")
        >>> nash_conv(pursuit, mixed_play(continuous_double_oracle(pursuit))).value <= 1e-6
        True
    """
    return Independent(result.strategies, result.weights)


@dataclass(frozen=True, eq=False)
class _Solution:
    """A solved restricted game, and both best responses of the full game to it."""

    play: Independent
    payoffs: tuple[Tensor, Tensor]  # of the points that each player holds, against the other's mixture
    value: float
    replies: tuple[BestResponse, BestResponse]

    @property
    def lower(self) -> float:
        return -_bound(self.replies[1])

    @property
    def upper(self) -> float:
        return _bound(self.replies[0])

    @property
    def gap(self) -> float:
        return max(self.upper - self.lower, 0.0)

    @property
    def proved(self) -> bool:
        return all(map(_proved, self.replies))


def _proved(reply: BestResponse) -> bool:
    return reply.exact or (reply.certified and math.isfinite(reply.upper))


def _bound(reply: BestResponse) -> float:
    return reply.upper if _proved(reply) else reply.value


def _solve(game: Game, held: HeldPoints, tolerance: float, certify: bool, gap: float) -> _Solution:
    """Solves the restricted game; best responses are proved within a share of the last gap, or of the tolerance."""
    small = solve_zero_sum(held.payoffs, tolerance=min(1e-12, tolerance / 100))
    kept = (small.row > 0, small.column > 0)
    weights = (small.row[kept[0]], small.column[kept[1]])
    play = Independent(
        tuple(points[k] for points, k in zip(held.points, kept, strict=True)), tuple(w / w.sum() for w in weights)
    )
    payoffs = (held.payoffs @ small.column, -(small.row @ held.payoffs))

    def answered(slack: float | None) -> _Solution:
        replies = (best_response(game, 0, play, slack), best_response(game, 1, play, slack))
        return _Solution(play, payoffs, small.value, replies)

    if not certify:
        return answered(None)
    least = tolerance / 4
    slack = least if math.isinf(gap) else max(least, gap / 16)
    found = answered(slack)
    nearly = tolerance < found.gap <= tolerance + 2 * slack
    return answered(least) if nearly and slack > least else found


def _news(game: Game, held: HeldPoints, found: _Solution, player: int, merge: float) -> Tensor | None:
    """The player's best response, or None where a point that is held is as good or the same."""
    reply = found.replies[player]
    gain = reply.value - float(found.payoffs[player].max())
    point = reply.strategy.detach().double()
    if gain <= _ROUNDING * max(1.0, abs(reply.value)) or held.nearest(game, player, point) < merge:
        return None
    return point


def _record(
    iteration: int,
    held: HeldPoints,
    found: _Solution,
    lower: float,
    upper: float,
    added: tuple[Tensor | None, ...],
) -> Iteration:
    return Iteration(
        iteration=iteration,
        sizes=tuple(held.payoffs.shape),
        support=tuple(len(w) for w in found.play.weights),
        value=found.value,
        lower=lower,
        upper=upper,
        gap=found.gap,
        added=added,
        entries=held.payoffs.numel(),
    )


def _result(
    game: Game,
    best: _Solution,
    lower: float,
    upper: float,
    proved: bool,
    outcome: Outcome,
    reason: str,
    history: tuple[Iteration, ...],
    merge: float,
) -> DoubleOracleResult:
    notes = {reply.note for reply in best.replies if reply.note}
    if lower > upper and not proved:
        notes.add(f"the bounds cross by {lower - upper:.3g}, so some search missed a best response")
    who = "the game's own closed form" if hasattr(game, "best_response") else "the search's first best start"
    return DoubleOracleResult(
        strategies=best.play.points,
        weights=best.play.weights,
        value=best.value,
        lower=lower,
        upper=upper,
        gap=best.gap,
        exact=proved,
        outcome=outcome,
        reason="; ".join([reason, *sorted(notes)]),
        tie_break=f"points that are held win ties; then {who}; points nearer than {merge:g} are one",
        history=history,
    )


def _start(game: Game, start: Sequence[Tensor] | None) -> tuple[Tensor, ...]:
    if start is None:
        return tuple(s.centre().unsqueeze(0) for s in game.sets)
    points = tuple(game.validate_each(start))
    for i, (t, d) in enumerate(zip(points, game.dims, strict=True)):
        if t.ndim > 2 or not len(t):
            raise InvalidStrategyError(
                f"{game.name}, player_{i}: got a start of shape {tuple(t.shape)}, expected a point ({d},) or "
                f"points (k, {d}) with k >= 1"
            )
    return tuple(t.detach().double().reshape(-1, d) for t, d in zip(points, game.dims, strict=True))


def _check_settings(tolerance: float, max_iterations: int, merge: float) -> None:
    if not 0 < tolerance < math.inf:
        raise InvalidSettingError(f"continuous double oracle: got tolerance={tolerance!r}, expected a number > 0")
    if isinstance(max_iterations, bool) or not isinstance(max_iterations, int) or max_iterations < 1:
        raise InvalidSettingError(
            f"continuous double oracle: got max_iterations={max_iterations!r}, expected a whole number >= 1"
        )
    if not 0 <= merge < math.inf:
        raise InvalidSettingError(f"continuous double oracle: got merge={merge!r}, expected a distance >= 0")


def _check_game(game: Game) -> None:
    who = "continuous double oracle"
    if not isinstance(game, Game):
        raise InvalidGameError(
            f"{who}: got a {type(game).__name__}, expected a Game with utilities: for a matrix use double_oracle, for "
            "a game with states PSRO"
        )
    if game.n_players != 2:
        raise InvalidGameError(
            f"{who}: {game.name} has {game.n_players} players, expected 2: for more players use PSRO with a "
            "meta-solver of general-sum games, such as 'cce'"
        )
    if game.joint is not None:
        raise InvalidGameError(
            f"{who}: {game.name} has a joint set, so that what a player may play depends on the other; expected a "
            "game with a set for each player"
        )
    for i, strategies in enumerate(game.sets):
        if not strategies.bounded:
            raise InvalidGameError(
                f"{who}: player_{i} of {game.name} has the unbounded set {strategies}, on which a best response need "
                "not exist: bound it first"
            )
    _check_zero_sum(game, who)


def _check_zero_sum(game: Game, who: str) -> None:
    profile = game.sample((_PROFILES,), generator=torch_stream(0, "zero_sum_check"))
    with torch.no_grad():
        u = game.utilities(profile).double()
    total = u.sum(-1)
    wrong = ~(total.abs() <= _ZERO * (1 + u.abs().amax(-1)))
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise InvalidGameError(
            f"{who}: {game.name} is not zero-sum: at {[t[row].tolist() for t in profile]} the utilities are "
            f"{u[row].tolist()} and sum to {float(total[row]):.6g}; subtract half of a constant sum from both, and for "
            "a general-sum game use PSRO with the meta-solver 'cce'"
        )
