"""Price paths after a deviation, as one compiled loop. Import this module late: numba takes half a second."""

from __future__ import annotations

import numpy as np

from strategic_envs.evaluators.collusion.graph import cycle_from, evaluate, relative, successors
from strategic_envs.solvers.compiled import exact_loop

__all__ = ["deviate_sessions"]


@exact_loop
def deviate_sessions(
    grid, profit, delta, shift, stride, place, strategies, states, firms, replies, price, by_position,
    cases, paths, figures, lengths,
):  # fmt: skip
    """Writes what follows when each of `firms` deviates in each state of the limit cycle; see `ImpulseResponse`.

    The game: `grid (n, m)`, `profit (n, J)`, and the state code as in `graph.py`. Sessions: `strategies (B, n, S)` and
    the `states (B,)` they ended in; only `firms` are in the market. A deviation is the index `price`, or, if that is
    -1, the entry of `replies (n, J)` for the state it happens in; with `by_position`, for the state that has the number
    of the position in the cycle, which is counted from the state in which play enters it.
    Outputs: `cases (B,)`, `paths (B, 2, T+1)`, `figures (B, 7)`, `lengths (B, T+2)`.
    """
    n, size = strategies.shape[1], strategies.shape[2]
    after, joint = np.empty(size, np.int64), np.empty(size, np.int64)
    mark, path, cycle = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    value, reward, on_path = np.empty((n, size)), np.empty(size), np.empty(size, np.bool_)
    others = len(firms) - 1
    for b in range(len(states)):
        strategy = strategies[b]
        successors(shift, stride, place, strategy, after, joint)
        steps = cycle_from(after, states[b], mark, cycle)
        on_path[:] = False
        for at in range(steps):
            on_path[cycle[at]] = True
        for i in firms:
            for s in range(size):
                reward[s] = profit[i, joint[s]]
            evaluate(after, reward, delta, value[i], mark, path)
        cases[b] = steps * len(firms)
        paths[b], figures[b], lengths[b] = 0.0, 0.0, 0
        for at in range(steps):
            s, before = cycle[at], cycle[at - 1 if at > 0 else steps - 1]
            for i in firms:
                own = np.int64(strategy[i, s])
                asked = at if by_position else s
                dev = price if price >= 0 else replies[i, joint[asked]]
                stay = profit[i, joint[s]] + delta * value[i, after[s]]
                leave = profit[i, joint[s] + (dev - own) * place[i]]
                here = after[s] + (dev - own) * stride[i]
                leave += delta * value[i, here]
                figures[b, 2] += relative(leave - stay, stay) if dev != own else 0.0
                figures[b, 3] += dev != own and leave < stay
                figures[b, 4] += dev == own

                t, first, second = here, grid[i, dev], grid[i, strategy[i, here]]
                figures[b, 0] += relative(second - first, first)
                paths[b, 0, 0] += grid[i, strategy[i, before]]
                paths[b, 0, 1] += first
                for tau in range(2, paths.shape[2]):
                    paths[b, 0, tau] += grid[i, strategy[i, t]]
                    for j in firms:
                        if j != i:
                            paths[b, 1, tau] += grid[j, strategy[j, t]] / others
                    t = after[t]
                for j in firms:
                    if j != i:
                        first = grid[j, strategy[j, s]]
                        figures[b, 1] += relative(grid[j, strategy[j, here]] - first, first) / others
                        paths[b, 1, 0] += grid[j, strategy[j, before]] / others
                        paths[b, 1, 1] += first / others

                mark[:] = 0
                t, tau = here, 1
                while mark[t] == 0 and not on_path[t]:
                    mark[t] = tau
                    t, tau = after[t], tau + 1
                back = tau if on_path[t] else mark[t]
                figures[b, 5] += back
                lengths[b, min(back, lengths.shape[1] - 1)] += 1
                figures[b, 6] += on_path[t]
        paths[b] /= cases[b]
        figures[b] /= cases[b]
