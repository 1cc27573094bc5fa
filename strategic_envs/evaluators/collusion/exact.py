"""The best response of one firm to strategies that do not change: exact, by policy iteration (Howard 1960).

With the others' strategies fixed, a firm faces a Markov decision process on the states of the game. A plan of its own
makes that a graph again, which is evaluated exactly in one pass (`graph.py`); every round then switches where another
price is strictly better. Three to eight rounds suffice in practice. Import this module late: numba takes half a second.
"""

from __future__ import annotations

import numpy as np

from strategic_envs.evaluators.collusion.graph import evaluate
from strategic_envs.solvers.compiled import exact_loop

__all__ = ["ROUNDS", "policy_iteration"]

ROUNDS = 1000  # never met; a cap keeps rounding from making an endless loop
BETTER = 1e-13  # what counts as strictly better, relative to values: a few hundred roundings


@exact_loop
def policy_iteration(
    m, profit, delta, place, stride, firm, strategy, after, joint, value, best, mark, path, work, reward
):
    """Writes a firm's best value in every state, and its successors under that plan into `work`.

    The game has m prices and `profit (n, J)`; play is described as in `graph.py`, and is worth `value (S,)` to the
    firm; the result goes to `best (S,)`. `mark`, `path` and `reward` are scratch. Returns the number of rounds,
    `ROUNDS` if it had to stop before the end.
    """
    size = len(after)
    for s in range(size):
        best[s], work[s], reward[s] = value[s], after[s], profit[firm, joint[s]]
    for rounds in range(1, ROUNDS):
        changed = False
        for s in range(size):
            own = np.int64(strategy[firm, s])
            j, t = joint[s] - own * place[firm], after[s] - own * stride[firm]
            now = reward[s] + delta * best[work[s]]
            top, price = now, -1
            for b in range(m):
                q = profit[firm, j + b * place[firm]] + delta * best[t + b * stride[firm]]
                if q > top:
                    top, price = q, b
            if price >= 0 and top > now + BETTER * (1.0 + abs(top)):
                changed = True
                mark[s] = price
            else:
                mark[s] = -1
        if not changed:
            return rounds
        for s in range(size):
            if mark[s] >= 0:
                own = np.int64(strategy[firm, s])
                j, t = joint[s] - own * place[firm], after[s] - own * stride[firm]
                reward[s], work[s] = profit[firm, j + mark[s] * place[firm]], t + mark[s] * stride[firm]
        evaluate(work, reward, delta, best, mark, path)
    return ROUNDS
