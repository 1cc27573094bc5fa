"""Double oracle on finite two-player zero-sum games (McMahan, Gordon and Blum 2003).

    R, C = {r0}, {c0}
    repeat:
        (p, q) = Nash of A[R, C];  upper = max_i A[i, C] q;  lower = min_j p A[R, j]
        if upper - lower <= tolerance: stop
        add a best row to R and a best column to C

Every iteration proves `lower <= value <= upper`, and `upper - lower` is the NashConv of (p, q) in the full game. It
need not fall from one iteration to the next, so the best p and the best q are kept, each with its own bound. Looking
for best responses reads every entry of the rows and columns held, `m |C| + n |R| - |R| |C|` in all; with a response
function of the user only the entries between them are read, `|R| |C|`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from strategic_envs.agents.double_oracle.finite.access import PayoffAccess, as_access
from strategic_envs.agents.double_oracle.finite.responses import Asked, FullScan, Replies, Respond
from strategic_envs.agents.double_oracle.finite.restricted import RestrictedGame
from strategic_envs.agents.double_oracle.finite.ties import tie_break as tie_break_named
from strategic_envs.agents.double_oracle.log import DoubleOracleResult, Iteration
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.errors import InvalidSettingError, InvalidStrategyError
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.seeding import numpy_stream
from strategic_envs.solvers.zero_sum import ZeroSumSolution

__all__ = ["double_oracle"]

_ROUNDING = 1e-13  # of the largest payoff


def double_oracle(
    payoffs: PayoffAccess | NormalFormGame | Tensor | np.ndarray | Sequence[Sequence[float]],
    *,
    tolerance: float = 1e-6,
    tie_break: str = "lowest",
    start: Sequence[int] = (0, 0),
    max_iterations: int | None = None,
    seed: int = 0,
    per_iteration: int = 1,
    respond: Respond | None = None,
) -> DoubleOracleResult:
    """Solves a zero-sum game by solving small ones.

    Args:
        payoffs: A matrix of payoffs to player 0, who maximises, `(m, n)`; a `NormalFormGame` of two players whose
            payoffs sum to a constant; or a `PayoffAccess`.
        tolerance: It stops when the best bounds are this near: a NashConv in the full game, in payoff units.
        tie_break: Which of several best responses is taken, a name out of `TIE_BREAKS`; with `respond`, the function
            decides, and this is only logged.
        start: The first row and column.
        max_iterations: How many restricted games are solved at most. None: as many as there are strategies to add,
            which is enough; it must be a number where there is no largest strategy.
        seed: The seed of the random tie-break.
        per_iteration: How many strategies a player adds an iteration at most: its best responses, then the next best,
            as far as they gain anything. 1 is the published method; more need fewer iterations and read more entries.
        respond: Best responses, where they are known: a function `(player, strategies, weights)` of the responder and
            what the opponent plays, numbers `(k,)` and probabilities `(k,)`, that returns the response and the payoff
            *to player 0* of the best response (a supremum, if none is best). None looks at all of them.

    Returns:
        The best solution found, bounds of the value, and one record an iteration. `converged`: the gap is within the
        tolerance; `max_steps`: it was still open after `max_iterations`; `failed`: both best responses were held and
        the gap was open, so rounding errors (or a wrong response function) stop it. `reason` says it in words.

    Raises:
        InvalidGameError: If the payoffs are no finite matrix, or the game is not zero-sum.
        InvalidSettingError: If the tolerance is negative, or a number of iterations or strategies is below one.
        InvalidStrategyError: If the start is no row and column.
        UnknownNameError: If there is no such tie-break.

    Example:
        >>> rock_paper_scissors = [[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]
        >>> result = double_oracle(rock_paper_scissors)
        >>> str(result.outcome), [step.sizes for step in result.history], result.value
        ('converged', [(1, 1), (2, 2), (3, 3)], 0.0)
        >>> [round(float(w), 6) for w in result.weights[0]]
        [0.333333, 0.333333, 0.333333]
    """
    access, asked = as_access(payoffs), respond is not None
    rule, limit = tie_break_named(tie_break), _limit(access, max_iterations)
    _check(access, tolerance, per_iteration, start, asked)
    read = access.read
    game = RestrictedGame(access, (int(start[0]), int(start[1])), full=not asked)
    scan = FullScan(game, rule, numpy_stream(seed, "double_oracle", "ties"), per_iteration)
    replies: Replies = scan if respond is None else Asked(game, respond)
    best, history = _Best(), list[Iteration]()
    outcome, reason = Outcome.MAX_STEPS, ""
    while not reason:
        solution = game.solve(tolerance)
        upper, rows = replies(0, solution.column.numpy())
        lower, columns = replies(1, solution.row.numpy())
        best.update(solution.row, solution.column, lower, upper)
        rows, columns = game.new(0, rows), game.new(1, columns)
        outcome, reason = _verdict(best, game, tolerance, len(history) + 1, limit, bool(rows or columns), asked)
        kept = (rows, columns) if not reason else ([], [])
        history.append(_record(len(history) + 1, game, solution, best, upper - lower, kept, access.read - read))
        game.add(*kept)
    return best.result(
        game, replies.exact, outcome, reason, "by the response function" if asked else tie_break, history
    )


def _verdict(
    best: _Best, game: RestrictedGame, tolerance: float, iteration: int, limit: int, more: bool, asked: bool
) -> tuple[Outcome, str]:
    """How it ended, and why in words; no words while it goes on."""
    gap = best.upper - best.lower
    if gap <= tolerance:
        return Outcome.CONVERGED, f"the gap {gap:.3g} is within the tolerance {tolerance:g}"
    if not more:
        if gap <= _ROUNDING * max(1.0, game.scale) and not asked:
            return Outcome.CONVERGED, f"both best responses are held already: the gap {gap:.3g} is rounding"
        if not game.sharpen():
            return Outcome.FAILED, _stalled(gap, tolerance, asked)
    if iteration == limit:
        return Outcome.MAX_STEPS, f"the gap is {gap:.3g} > {tolerance:g} after {limit} iterations, the most allowed"
    return Outcome.MAX_STEPS, ""


def _record(
    number: int,
    game: RestrictedGame,
    solution: ZeroSumSolution,
    best: _Best,
    gap: float,
    new: tuple[list[int], list[int]],
    entries: int,
) -> Iteration:
    played = (game.played(0, solution.row), game.played(1, solution.column))
    support = (len(played[0]), len(played[1]))
    added = tuple(None if not more else more[0] if len(more) == 1 else tuple(more) for more in new)
    lower, upper = best.lower, best.upper
    return Iteration(number, game.sizes, support, solution.value, lower, upper, gap, added, entries, played)


@dataclass
class _Best:
    """The best mixture of each player so far, and the bound that it proves."""

    lower: float = -math.inf
    upper: float = math.inf
    mixtures: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))

    def update(self, row: Tensor, column: Tensor, lower: float, upper: float) -> None:
        p, q = self.mixtures
        if lower > self.lower:
            self.lower, p = lower, row
        if upper < self.upper:
            self.upper, q = upper, column
        self.mixtures = (p, q)

    def result(
        self, game: RestrictedGame, exact: bool, outcome: Outcome, reason: str, ties: str, history: list[Iteration]
    ) -> DoubleOracleResult:
        p, q = self.mixtures
        value = p.numpy() @ game.matrix[: len(p), : len(q)] @ q.numpy()
        strategies = tuple(torch.tensor(game.played(i, w)) for i, w in enumerate(self.mixtures))
        weights = tuple(w[w > 0] for w in self.mixtures)
        gap = self.upper - self.lower
        return DoubleOracleResult(
            strategies, weights, float(value), self.lower, self.upper, gap, exact, outcome, reason, ties, tuple(history)
        )


def _stalled(gap: float, tolerance: float, asked: bool) -> str:
    cause = "rounding, or what the response function says," if asked else "rounding"
    return (
        f"both best responses are held already while the gap is {gap:.3g} > {tolerance:g}, also after the restricted "
        f"game was solved as well as it can be: {cause} keeps it open, and no iteration can close it"
    )


def _limit(access: PayoffAccess, max_iterations: int | None) -> int:
    if max_iterations is None:
        if None in access.shape:
            raise InvalidSettingError(
                f"{access.name}: there is no largest strategy, so a double oracle need not end: give max_iterations"
            )
        return (
            sum(size for size in access.shape if size is not None) + 1
        )  # each adds a strategy, or is one of the last two
    if isinstance(max_iterations, bool) or not isinstance(max_iterations, int) or max_iterations < 1:
        raise InvalidSettingError(f"double oracle: got max_iterations={max_iterations!r}, expected a number >= 1")
    return max_iterations


def _check(access: PayoffAccess, tolerance: float, per_iteration: int, start: Sequence[int], asked: bool) -> None:
    if not (isinstance(tolerance, int | float) and 0 <= tolerance < math.inf):
        raise InvalidSettingError(f"double oracle: got tolerance={tolerance!r}, expected a finite number >= 0")
    if isinstance(per_iteration, bool) or not isinstance(per_iteration, int) or per_iteration < 1:
        raise InvalidSettingError(f"double oracle: got per_iteration={per_iteration!r}, expected a number >= 1")
    if not asked and None in access.shape:
        raise InvalidSettingError(
            f"{access.name}: there is no largest strategy, so not all responses can be looked at: give `respond`"
        )
    if len(start) != 2:
        raise InvalidStrategyError(f"{access.name}: got start={start!r}, expected a row and a column")
    for i, (s, size) in enumerate(zip(start, access.shape, strict=True)):
        whole = isinstance(s, int | np.integer) and not isinstance(s, bool)
        if not whole or s < 0 or (size is not None and s >= size):
            bound = "any number >= 0" if size is None else f"a number in [0, {size})"
            raise InvalidStrategyError(f"{access.name}, player_{i}: got the start {s!r}, expected {bound}")
