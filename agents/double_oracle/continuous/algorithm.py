"""Double oracle for two-player zero-sum games on compact sets.

    X, Y = {x0}, {y0}
    repeat:
        (p, q) = Nash of u on X x Y;  upper = max_x u(x, q);  lower = min_y u(p, y)
        if upper - lower <= tolerance: stop
        add a best response of each player

Adam, Horcik, Kasl and Kroupa, "Double oracle algorithm for computing equilibria in continuous games" (AAAI 2021), after
McMahan, Gordon and Blum (2003). The maxima are over the whole sets, so every iteration bounds the value of the game;
every limit point of (p, q) is an equilibrium, and every positive tolerance is reached after finitely many iterations,
at most `packing_bound` of them. The bounds need not improve in every iteration, so the best p and the best q are kept,
each with the bound that it proves: the NashConv of these two is the difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from strategic_envs.agents.double_oracle.continuous.checks import check_game, check_settings, start_points
from strategic_envs.agents.double_oracle.continuous.held import HeldPoints
from strategic_envs.agents.double_oracle.log import DoubleOracleResult, Iteration
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.evaluators.best_response import best_response
from strategic_envs.games.kinds.game import Game
from strategic_envs.play import BestResponse, Independent
from strategic_envs.solvers.zero_sum import solve_zero_sum

__all__ = ["continuous_double_oracle", "mixed_play"]

_ROUNDING = 1e-15  # a reply that gains less than this over the points held, relative to its value, is no news
_SEEN = 1e-12  # by which a point must beat a bound, relative to it, to show that a search missed it


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
        tolerance: Stops when the bounds are this near, in utility units: a NashConv in the full game.
        certify: Prove the bounds (at most 4 dimensions a player, utilities in known torch operations; see
            docs/certificates.md). Otherwise they are what a search found, unless the game brings a closed-form
            `best_response`. Proofs tighten as the gap falls: a sixteenth of it, at last a quarter of the tolerance.
        start: What each player holds at first, a point `(d_i,)` or points `(k_i, d_i)`; the centres of the sets when
            not given.
        max_iterations: How many restricted games to solve at most; when they are used up the outcome says so.
        merge: A best response nearer than this to a point that is held counts as held.

    Returns:
        The best mixtures seen, points `(k_i, d_i)` and weights, and the bounds that they prove; see `mixed_play`.
        `converged`: the gap is within the tolerance; `max_steps`: it was still open after `max_iterations`; `failed`:
        neither player has anything to add, and the gap is what it is. `reason` says it in words.

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
    check_settings(tolerance, max_iterations, merge)
    check_game(game)
    held = HeldPoints.of(game, start_points(game, start))
    best, history = _Best(), list[Iteration]()
    outcome, reason = Outcome.MAX_STEPS, f"the gap is open after {max_iterations} iterations, the most allowed"
    while len(history) < max_iterations:
        found = _solve(game, held, tolerance, history[-1].gap if history else math.inf, certify)
        best.update(found, held.payoffs)
        done = best.gap <= tolerance
        added = (None, None) if done else (_news(game, held, found, 0, merge), _news(game, held, found, 1, merge))
        history.append(_record(len(history) + 1, held, found, best, added))
        if done:
            outcome, reason = Outcome.CONVERGED, f"the gap {best.gap:.3g} is within the tolerance {tolerance:g}"
            break
        if added == (None, None):
            outcome = Outcome.FAILED
            reason = (
                f"both best responses are held already (or nearer to a point held than {merge:g}) while the gap is "
                f"{best.gap:.3g} > {tolerance:g}: no iteration can close it"
            )
            break
        held = held.grown(game, added)
    return best.result(held, outcome, reason, _tie_break(game, merge), history)


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
    """An equilibrium of a restricted game, and both best responses of the full game to it.

    `mixtures` are over all points held, `(k_i,)`; `points` are those played.
    """

    mixtures: tuple[Tensor, Tensor]
    points: tuple[Tensor, ...]
    value: float
    replies: tuple[BestResponse, BestResponse]

    @property
    def upper(self) -> float:
        return _bound(self.replies[0])

    @property
    def lower(self) -> float:
        return 0.0 - _bound(self.replies[1])  # not -0.0

    @property
    def gap(self) -> float:
        return max(self.upper - self.lower, 0.0)


def _proved(reply: BestResponse) -> bool:
    return reply.exact or (reply.certified and math.isfinite(reply.upper))


def _bound(reply: BestResponse) -> float:
    return reply.upper if _proved(reply) else reply.value


def _solve(game: Game, held: HeldPoints, tolerance: float, last: float, certify: bool) -> _Solution:
    """Solves the restricted game and asks both players; proofs are within a share of the last gap."""
    small = solve_zero_sum(held.payoffs, tolerance=min(1e-12, tolerance / 100))
    mixtures = (small.row, small.column)
    points = tuple(p[m > 0] for p, m in zip(held.points, mixtures, strict=True))
    play = Independent(points, tuple(m[m > 0] for m in mixtures))

    def answered(slack: float | None) -> _Solution:
        replies = (best_response(game, 0, play, slack), best_response(game, 1, play, slack))
        return _Solution(mixtures, points, small.value, replies)

    if not certify:
        return answered(None)
    least = tolerance / 4
    slack = least if math.isinf(last) else max(least, last / 16)
    found = answered(slack)
    nearly = tolerance < found.gap <= tolerance + 2 * slack  # a sharper proof may be all that is missing
    return answered(least) if nearly and slack > least else found


def _news(game: Game, held: HeldPoints, found: _Solution, player: int, merge: float) -> Tensor | None:
    """The player's best response, or None where a point that is held is as good or the same."""
    reply, (p, q) = found.replies[player], found.mixtures
    best_held = float((held.payoffs @ q).max()) if player == 0 else -float((p @ held.payoffs).min())
    point = reply.strategy.detach().double()
    no_gain = reply.value - best_held <= _ROUNDING * max(1.0, abs(reply.value))
    return None if no_gain or held.nearest(game, player, point) < merge else point


class _Best:
    """The best mixture of each player so far, and the bound that it proves."""

    def __init__(self) -> None:
        self.lower, self.upper = -math.inf, math.inf
        self.mixtures: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))
        self.proved = True
        self.notes: set[str] = set()

    @property
    def gap(self) -> float:
        """The NashConv of the two mixtures."""
        lower, upper = self.bounds
        return upper - lower

    @property
    def bounds(self) -> tuple[float, float]:
        """The bounds in order: rounding may make them cross."""
        return min(self.lower, self.upper), max(self.lower, self.upper)

    def update(self, found: _Solution, payoffs: Tensor) -> None:
        """Takes the mixtures of a new solution that are better."""
        self.proved &= all(map(_proved, found.replies))
        self.notes |= {reply.note for reply in found.replies if reply.note and not _proved(reply)}
        if not self.proved:
            self._recheck(payoffs)
        p, q = self.mixtures
        if found.lower > self.lower:
            self.lower, p = found.lower, found.mixtures[0]
        if found.upper < self.upper:
            self.upper, q = found.upper, found.mixtures[1]
        self.mixtures = (p, q)

    def _recheck(self, payoffs: Tensor) -> None:
        """Corrects bounds by the points found since: a search may have missed them when the bound was made."""
        p, q = self.mixtures
        if not len(p):
            return
        least, most = float((p @ payoffs[: len(p)]).min()), float((payoffs[:, : len(q)] @ q).max())
        missed = max(self.lower - least, most - self.upper)
        if missed > _SEEN * max(1.0, abs(self.lower), abs(self.upper)):
            self.notes.add("a search missed a best response that was found later, and the bound was corrected")
        self.lower, self.upper = min(self.lower, least), max(self.upper, most)

    def result(
        self, held: HeldPoints, outcome: Outcome, reason: str, tie_break: str, history: list[Iteration]
    ) -> DoubleOracleResult:
        """What the run returns."""
        p, q = self.mixtures
        lower, upper = self.bounds
        value = float(p @ held.payoffs[: len(p), : len(q)] @ q)
        return DoubleOracleResult(
            strategies=tuple(x[: len(m)][m > 0] for x, m in zip(held.points, self.mixtures, strict=True)),
            weights=tuple(m[m > 0] for m in self.mixtures),
            value=min(max(value, lower), upper),
            lower=lower,
            upper=upper,
            gap=self.gap,
            exact=self.proved,
            outcome=outcome,
            reason="; ".join([reason, *sorted(self.notes)]),
            tie_break=tie_break,
            history=tuple(history),
        )


def _record(
    number: int, held: HeldPoints, found: _Solution, best: _Best, added: tuple[Tensor | None, ...]
) -> Iteration:
    lower, upper = best.bounds
    sizes, support = tuple(map(len, held.points)), tuple(map(len, found.points))
    played = tuple(tuple(points) for points in found.points)
    entries = held.payoffs.numel()
    return Iteration(number, sizes, support, found.value, lower, upper, found.gap, added, entries, played)


def _tie_break(game: Game, merge: float) -> str:
    own = getattr(game, "best_response", None) is not None
    then = "the game's own best_response decides" if own else "the first of the search's starts that leads to one"
    return f"a point that is held wins a tie; then {then}; points nearer than {merge:g} are one"
