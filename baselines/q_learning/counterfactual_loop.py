"""The compiled loop of `counterfactual.py`. Import late: numba takes half a second.

No fused multiply-add and no reordering of sums: a loop in plain Python gives the same bytes.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from strategic_envs.baselines.q_learning.draws import CELLS
from strategic_envs.baselines.q_learning.draws_compiled import uniform, word
from strategic_envs.baselines.q_learning.sequential_loop import LOWEST, greedy_place, sources
from strategic_envs.solvers.compiled import exact_loop

__all__ = ["counterfactual_loop"]

_ASYNCHRONOUS, _SYNCHRONOUS, _DOWNWARD = range(3)


@functools.cache
def counterfactual_loop() -> Any:
    """The compiled loop over the periods of many sessions.

    It is called as `play(keys, profit, sold, margin, grid, update, alpha, delta, low, high, window, cap, last, periods,
    at_rest, mean, values, path)` and writes to the last six. Profits and quantities are `(m^n, n)`, margins and prices
    `(n, m)`; `mean` `(B, 2, n)` gets mean prices and profits over the last window.
    """
    stamp = sources()

    def play(
        keys, profit, sold, margin, grid, update, alpha, delta, low, high, window, cap,
        last, periods, at_rest, mean, values, path,
    ):  # fmt: skip
        n, m = grid.shape
        stride = np.array([m ** (n - 1 - i) for i in range(n)])
        recent = np.zeros((window, n), np.int64)
        _ = stamp
        for c in range(len(keys)):
            w = values[c]
            for i in range(n):
                for p in range(m):
                    w[i, p] = low + (high - low) * uniform(word(keys[c], CELLS + p, i))
            t, calm = 0, 0
            while t < cap and calm < window:
                changed, joint = False, 0
                for i in range(n):
                    p = greedy_place(w[i], LOWEST, np.uint64(0))
                    changed |= t > 0 and p != last[c, i]
                    last[c, i] = p
                    recent[t % window, i] = p
                    joint += p * stride[i]
                    if t < path.shape[1]:
                        path[c, t, i] = p
                for i in range(n):
                    a = last[c, i]
                    ahead = delta * w[i, a] if delta > 0.0 else 0.0
                    for p in range(m):
                        if p == a:
                            target = profit[joint, i] + ahead
                        elif update == _SYNCHRONOUS:
                            target = profit[joint + (p - a) * stride[i], i] + ahead
                        elif update == _DOWNWARD:
                            target = margin[i, p] * sold[joint, i] + ahead
                            from_below = (p < a) == (margin[i, p] > 0.0)
                            on_its_side = w[i, p] >= target if from_below else w[i, p] <= target
                            if on_its_side and margin[i, p] != 0.0:
                                continue
                        else:
                            continue
                        w[i, p] = (1.0 - alpha) * w[i, p] + alpha * target
                t += 1
                calm = 0 if changed else calm + 1
            periods[c], at_rest[c] = t, calm >= window
            span = min(window, t)
            for back in range(span):
                joint = 0
                for i in range(n):
                    joint += recent[(t - 1 - back) % window, i] * stride[i]
                for i in range(n):
                    mean[c, 0, i] += grid[i, recent[(t - 1 - back) % window, i]] / span
                    mean[c, 1, i] += profit[joint, i] / span

    return exact_loop(play)
