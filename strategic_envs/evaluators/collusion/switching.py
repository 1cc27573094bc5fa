"""Values and best responses where the next state is random because firms enter and leave, as compiled loops.

Every state has D successors, one for each market state. For a fixed plan, states that nothing leads to are set aside
one after another; what remains, a small core, is iterated until nothing changes, and the others follow backwards.
Import this module late: numba takes half a second.
"""

from __future__ import annotations

import numpy as np

from strategic_envs.evaluators.collusion.exact import BETTER, ROUNDS
from strategic_envs.evaluators.collusion.graph import relative
from strategic_envs.solvers.compiled import exact_loop

__all__ = ["judge_firm", "moves", "settle"]

SWEEPS = 10_000_000  # far more than any discount factor below 1 - 1e-5 needs


@exact_loop
def moves(m, shift, stride, place, present, strategy, after, joint):
    """Writes the successors `after (D, S)` and the joint price `(S,)` of every state under `strategy (n, S)`."""
    n, size = strategy.shape
    for s in range(size):
        joint[s] = 0
        for i in range(n):
            joint[s] += strategy[i, s] * place[i]
        for d in range(len(present)):
            after[d, s] = shift[s]
            for i in range(n):
                after[d, s] += (strategy[i, s] if present[d, i] else m) * stride[i]


@exact_loop
def settle(after, chance, reward, delta, value):
    """Writes the discounted value of every state, to rounding; returns whether the iteration ended by itself."""
    markets, size = after.shape
    ways, order = np.zeros(size, np.int64), np.empty(size, np.int64)
    for d in range(markets):
        for s in range(size):
            ways[after[d, s]] += 1
    top, at = 0, 0
    for s in range(size):
        if ways[s] == 0:
            order[top] = s
            top += 1
    while at < top:
        for d in range(markets):
            t = after[d, order[at]]
            ways[t] -= 1
            if ways[t] == 0:
                order[top] = t
                top += 1
        at += 1
    core = np.flatnonzero(ways > 0)
    done = False
    for _ in range(SWEEPS):
        moved, size_of = 0.0, 1e-300
        for s in core:
            new = 0.0
            for d in range(markets):
                new += chance[s, d] * value[after[d, s]]
            new = reward[s] + delta * new
            moved, size_of = max(moved, abs(new - value[s])), max(size_of, abs(new))
            value[s] = new
        if moved <= 4e-16 * size_of or moved * delta / (1.0 - delta) <= 1e-13 * size_of:
            done = True
            break
    for back in range(top - 1, -1, -1):
        s = order[back]
        value[s] = 0.0
        for d in range(markets):
            value[s] += chance[s, d] * value[after[d, s]]
        value[s] = reward[s] + delta * value[s]
    return done


@exact_loop
def judge_firm(m, profit, delta, stride, place, present, chance, strategy, after, joint, firm, loss, gain):
    """Writes a firm's one-shot loss and what an exact best response gains, both relative, in every state.

    `profit` is `(D, n, J)`, `chance (S, D)`. A price counts only where the firm is present. Returns whether the exact
    best response was found.
    """
    markets, size = after.shape
    reward, value = np.empty(size), np.zeros(size)
    for s in range(size):
        reward[s] = 0.0
        for d in range(markets):
            reward[s] += chance[s, d] * profit[d, firm, joint[s]]
    solved = settle(after, chance, reward, delta, value)
    best, plan, here = value.copy(), strategy[firm].astype(np.int64), after.copy()
    changed = True
    for rounds in range(ROUNDS):
        changed = False
        for s in range(size):
            own = np.int64(strategy[firm, s])
            now, top, price = 0.0, -np.inf, plan[s]
            for b in range(m):
                q = 0.0
                for d in range(markets):
                    t = after[d, s] + ((b - own) * stride[firm] if present[d, firm] else 0)
                    q += chance[s, d] * (profit[d, firm, joint[s] + (b - own) * place[firm]] + delta * best[t])
                if b == plan[s]:
                    now = q
                if q > top:
                    top, price = q, b
            if rounds == 0:
                loss[s] = relative(top - now, top) if top > now + BETTER * (1.0 + abs(top)) else 0.0
            if top > now + BETTER * (1.0 + abs(top)):
                changed = True
                plan[s] = price
        if not changed:
            break
        for s in range(size):
            own = np.int64(strategy[firm, s])
            reward[s] = 0.0
            for d in range(markets):
                here[d, s] = after[d, s] + ((plan[s] - own) * stride[firm] if present[d, firm] else 0)
                reward[s] += chance[s, d] * profit[d, firm, joint[s] + (plan[s] - own) * place[firm]]
        solved &= settle(here, chance, reward, delta, best)
    for s in range(size):
        gain[s] = relative(best[s] - value[s], best[s]) if best[s] > value[s] else 0.0
    return solved and not changed
