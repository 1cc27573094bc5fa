"""Approximate equilibria of large zero-sum matrices by regret matching+ (Tammelin et al. 2015).

The players move in turn and the average weighs iteration t by t. Each keeps positive regrets R, plays in proportion to
them, and adds what every action would have got more than its play, cut off at 0. An iteration is two products of the
matrix with a mixture, in single precision; actions of weight 0, about half of them soon, are skipped. What comes back
is judged in double precision. The same rule as a dynamic is `strategic_envs.agents.dynamics.regret_matching`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from strategic_envs.errors import InvalidSettingError
from strategic_envs.solvers.compiled import compiled
from strategic_envs.solvers.scaled import Scaled, ZeroSumSolution, check_tolerance

__all__ = ["approximate_zero_sum"]

Single = NDArray[np.float32]


@compiled
def _mixed(lines: Single, weights: Single, out: Single) -> None:
    """The sum of the lines times their weights, four lines at a time."""
    out[:] = np.float32(0.0)
    played = np.flatnonzero(weights)
    whole = len(played) // 4 * 4
    for k in range(0, whole, 4):
        a, b, c, d = played[k], played[k + 1], played[k + 2], played[k + 3]
        x, y, z, w = weights[a], weights[b], weights[c], weights[d]
        first, second, third, fourth = lines[a], lines[b], lines[c], lines[d]
        for j in range(len(out)):
            out[j] += x * first[j] + y * second[j] + z * third[j] + w * fourth[j]
    for k in played[whole:]:
        x, line = weights[k], lines[k]
        for j in range(len(out)):
            out[j] += x * line[j]


@compiled
def _match(regrets: Single, payoffs: Single, sign: np.float32, play: Single) -> None:
    """Adds to the regrets what the play missed, and plays in proportion to them."""
    got = np.float32(0.0)
    for k in range(len(play)):
        got += play[k] * payoffs[k]
    total = np.float32(0.0)
    for k in range(len(play)):
        regrets[k] = max(regrets[k] + sign * (payoffs[k] - got), np.float32(0.0))
        total += regrets[k]
    for k in range(len(play)):
        play[k] = regrets[k] / total if total > np.float32(0.0) else np.float32(1.0 / len(play))


@compiled
def _iterate(b, bt, plays, regrets, payoffs, sums, done, count) -> None:
    """So many more iterations; everything comes in pairs, the maximiser's first."""
    for t in range(done + 1, done + count + 1):
        _mixed(bt, plays[1], payoffs[0])
        _match(regrets[0], payoffs[0], np.float32(1.0), plays[0])
        _mixed(b, plays[0], payoffs[1])
        _match(regrets[1], payoffs[1], np.float32(-1.0), plays[1])
        for i in range(len(plays[0])):
            sums[0][i] += t * plays[0][i]
        for j in range(len(plays[1])):
            sums[1][j] += t * plays[1][j]


def approximate_zero_sum(
    matrix: Tensor | np.ndarray | Sequence[Sequence[float]],
    *,
    tolerance: float = 1e-3,
    max_iterations: int = 20_000,
    check_every: int = 25,
) -> ZeroSumSolution:
    """An approximate Nash equilibrium of a zero-sum matrix game.

    For matrices of thousands of rows and a tolerance of about 1e-3; `solve_zero_sum` is the better choice for small
    ones, for tolerances near 1e-6, and for matrices of low rank, where this method is slow.

    Args:
        matrix: Payoffs to the row player `(m, n)`.
        tolerance: The NashConv to stop at, for payoffs scaled to [-1, 1]: times half the payoffs' range in their own
            units.
        max_iterations: When to give up; the best average seen is returned then, with `solved=False`.
        check_every: How many iterations pass between two computations of the NashConv.

    Raises:
        InvalidGameError: If the matrix is not a finite rectangular array.
        InvalidSettingError: If the tolerance is not a finite number >= 0, or a number of iterations is below one.

    Example:
        >>> solution = approximate_zero_sum([[3.0, -1.0], [-2.0, 1.0]], tolerance=1e-4)
        >>> abs(solution.value - 1 / 7) < 1e-3, solution.solved, solution.nash_conv < 2.5e-4
        (True, True, True)
    """
    check_tolerance(tolerance, "approximate zero-sum game")
    for name, number in (("max_iterations", max_iterations), ("check_every", check_every)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise InvalidSettingError(f"approximate zero-sum game: got {name}={number!r}, expected a whole number >= 1")
    game = Scaled.of(matrix)
    b = game.b.astype(np.float32)
    sizes = b.shape
    plays = tuple(np.full(k, 1 / k, np.float32) for k in sizes)
    regrets, payoffs = (tuple(np.zeros(k, np.float32) for k in sizes) for _ in range(2))
    sums = tuple(np.zeros(k) for k in sizes)
    bt = np.ascontiguousarray(b.T)
    best = game.solution(*game.pure(), "pure", tolerance)
    done = 0
    while done < max_iterations and not best.solved:
        count = min(check_every, max_iterations - done)
        _iterate(b, bt, plays, regrets, payoffs, sums, done, count)
        done += count
        found = game.solution(sums[0], sums[1], "regret_matching_plus", tolerance)
        best = found if found.nash_conv < best.nash_conv else best
    return best
