"""All tests of one session after another, as one compiled loop. Import this module late: numba takes half a second."""

from __future__ import annotations

import numpy as np

from strategic_envs.evaluators.collusion.exact import ROUNDS, policy_iteration
from strategic_envs.evaluators.collusion.graph import cycle_from, evaluate, lead_to, relative, successors
from strategic_envs.evaluators.collusion.one_shot import one_shot_losses
from strategic_envs.solvers.compiled import exact_loop

__all__ = ["TOLERANCE", "analyse_sessions"]

TOLERANCE = 1e-10  # a relative loss below it is no loss: prices differ by far more, roundings by far less


@exact_loop
def analyse_sessions(
    m, profit, delta, shift, stride, place, strategies, states,
    length, symmetric, price_share, profits, one_shot, loss, exact, share, replies, off_path, solved,
):  # fmt: skip
    """Writes the figures of sessions `(B, n, S)` that ended in `states (B,)`; what they mean is told in `Analysis`.

    Outputs: `length (B,)`, `symmetric (B,)`, `price_share (B, n, m)`, `profits (B, n)`, `one_shot (B, n, 2)` (best
    replies on path, everywhere), `loss (B, n, 2)` (on, off path), `exact (B, n)` (best replies on path),
    `share (B, n, 3)` (exploitability on path, everywhere, worst), `replies (B, n)` (length of the best reply's own
    cycle), `off_path (B, 2)` (states that lead elsewhere, number of cycles), `solved (B,)`.
    """
    n, size = strategies.shape[1], strategies.shape[2]
    after, joint = np.empty(size, np.int64), np.empty(size, np.int64)
    mark, path, work = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    cycle, end, visited = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.bool_)
    value, lost = np.empty((n, size)), np.empty((n, size))
    best, reward = np.empty(size), np.empty(size)
    for b in range(len(states)):
        strategy = strategies[b]
        successors(shift, stride, place, strategy, after, joint)
        steps = cycle_from(after, states[b], mark, cycle)
        length[b], symmetric[b] = steps, True
        visited[:] = False
        price_share[b], profits[b] = 0.0, 0.0
        for at in range(steps):
            s = cycle[at]
            visited[s] = True
            for i in range(n):
                price_share[b, i, strategy[i, s]] += 1.0 / steps
                profits[b, i] += profit[i, joint[s]] / steps
                symmetric[b] &= strategy[i, s] == strategy[0, s]

        off_path[b, 1] = lead_to(after, end, path)
        off_path[b, 0] = 0
        for s in range(size):
            off_path[b, 0] += end[s] != end[cycle[0]]

        for i in range(n):
            for s in range(size):
                reward[s] = profit[i, joint[s]]
            evaluate(after, reward, delta, value[i], mark, path)
        one_shot_losses(m, profit, delta, place, stride, strategy, after, joint, value, lost)

        solved[b] = True
        for i in range(n):
            on, off, worst = 0.0, 0.0, 0.0
            for s in range(size):
                worst = max(worst, lost[i, s])
                if visited[s]:
                    on += lost[i, s]
                else:
                    off += lost[i, s]
            loss[b, i, 0] = on / steps
            loss[b, i, 1] = off / (size - steps) if steps < size else np.nan
            one_shot[b, i, 1] = worst <= TOLERANCE
            one_shot[b, i, 0] = True
            for at in range(steps):
                one_shot[b, i, 0] &= lost[i, cycle[at]] <= TOLERANCE

            rounds = policy_iteration(
                m, profit, delta, place, stride, i, strategy, after, joint, value[i], best, mark, path, work, reward
            )
            solved[b] &= rounds < ROUNDS
            on, everywhere, worst, exact[b, i] = 0.0, 0.0, 0.0, True
            for s in range(size):
                gain = best[s] - value[i, s]
                gain = relative(gain, best[s]) if gain > 0.0 else 0.0
                everywhere += gain
                worst = max(worst, gain)
                if visited[s]:
                    on += gain
                    exact[b, i] &= gain <= TOLERANCE
            share[b, i, 0], share[b, i, 1], share[b, i, 2] = on / steps, everywhere / size, worst
            replies[b, i] = cycle_from(work, cycle[0], mark, path)
