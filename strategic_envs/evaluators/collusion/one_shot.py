"""One price deviates, then everybody follows the strategies again: the test that is called Nash in AER 2020.

    Q_i(s, a) = pi_i(a, sigma_-i(s)) + delta V_i(s')

with V_i the value of *all* following sigma afterwards. By the one-shot-deviation principle this settles equilibrium
only if it holds in every state; on the path alone it says little about what a best response earns (see `exact.py`).
Import this module late: numba takes half a second.
"""

from __future__ import annotations

import numpy as np

from strategic_envs.evaluators.collusion.graph import relative
from strategic_envs.solvers.compiled import exact_loop

__all__ = ["one_shot_losses"]


@exact_loop
def one_shot_losses(m, profit, delta, place, stride, strategy, after, joint, value, loss):
    """Writes `(max_a Q_i(s, a) - Q_i(s, sigma_i(s))) / |max_a Q_i(s, a)|` for every firm and state, 0 for a tie."""
    n, size = strategy.shape
    for i in range(n):
        for s in range(size):
            a = np.int64(strategy[i, s])
            j, t = joint[s] - a * place[i], after[s] - a * stride[i]
            own = profit[i, j + a * place[i]] + delta * value[i, t + a * stride[i]]
            best = own
            for b in range(m):
                best = max(best, profit[i, j + b * place[i]] + delta * value[i, t + b * stride[i]])
            loss[i, s] = relative(best - own, best) if best > own else 0.0
