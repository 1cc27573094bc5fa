"""The first phase of a session, in which firms explore often: four sessions side by side, without branches.

Nothing is kept beside the tables: the row of the next state is searched in every period, for the value that the update
needs and for the greedy price of the period that follows. Four sessions take turns period by period, so that one
computes while another waits for its row. Import late: numba is slow to load.
"""

from __future__ import annotations

import numpy as np

from strategic_envs.baselines.q_learning.draws import FIRM
from strategic_envs.baselines.q_learning.draws_compiled import period_word
from strategic_envs.baselines.q_learning.fast.rows import best_of_row, choose, loop, part

__all__ = ["LANES", "TABLE", "explore_together", "new_greedy_prices"]

LANES = 4
TABLE = 256 * 2 * 16
"""Numbers in a session's table: by state `16 a_0 + a_1`, firm and price, rows filled up with -inf."""
u8, i8 = np.uint64, np.int64
_TABLE, _FIRM, _ROW = u8(TABLE), u8(FIRM), u8(16)


@part
def rows_of(q, base, s):
    """Best value and greedy price of both firms in a state."""
    row = base + s * u8(32)
    value_0, greedy_0 = best_of_row(q, row)
    value_1, greedy_1 = best_of_row(q, row + _ROW)
    return value_0, value_1, greedy_0, greedy_1


@part
def learn(q, cell, old, alpha, profit, delta, value):
    """Moves a cell: the definition of the update, in this order of operations."""
    q[cell] = old + alpha * ((profit + delta * value) - old)


@part
def period(q, base, profit, w, bar_0, bar_1, m, alpha, delta, s, found):
    """One period of one session: the next state, and what its rows hold after the period."""
    value_0, value_1, greedy_0, greedy_1 = found
    w = u8(w * _FIRM)
    w_0 = u8(w ^ (w >> u8(32)))
    w = u8(w * _FIRM)
    w_1 = u8(w ^ (w >> u8(32)))
    a_0 = choose((w_0 >> u8(24)) < bar_0, u8(u8(u8(w_0 & u8(0xFFFFFF)) * m) >> u8(24)), greedy_0)
    a_1 = choose((w_1 >> u8(24)) < bar_1, u8(u8(u8(w_1 & u8(0xFFFFFF)) * m) >> u8(24)), greedy_1)
    after = u8(a_0 * _ROW + a_1)
    cell_0 = u8(base + s * u8(32) + a_0)
    cell_1 = u8(base + s * u8(32) + _ROW + a_1)
    old_0, old_1 = q[cell_0], q[cell_1]
    profit_0, profit_1 = profit[after * u8(2)], profit[after * u8(2) + u8(1)]
    if after == s:  # the values are those from before the write, the greedy prices those from after it
        learn(q, cell_0, old_0, alpha[0], profit_0, delta, value_0)
        learn(q, cell_1, old_1, alpha[1], profit_1, delta, value_1)
        return after, rows_of(q, base, after)
    found = rows_of(q, base, after)
    learn(q, cell_0, old_0, alpha[0], profit_0, delta, found[0])
    learn(q, cell_1, old_1, alpha[1], profit_1, delta, found[1])
    return after, found


@loop
def explore_together(q, profit, keys, states, visited, start, until, level, fade, m, alpha, delta):
    """Plays the periods `start` to before `until` of four sessions.

    Args:
        q: Their tables one after another, flat, aligned to 64 bytes; changed in place.
        profit: By joint price `16 a_0 + a_1` and firm, flat.
        keys: Their keys `(4,)`.
        states: Their states `(4,)`, uint64, changed in place.
        visited: Is given the states of the last period `(4,)`.
        start: The first period.
        until: The period before which play stops.
        level: Both firms' chances of exploring in the first period `(2,)`, left as they are in the period `until`.
        fade: The factors of these chances `(2,)`.
        m: The number of prices.
        alpha: The learning rates of both firms, a tuple.
        delta: The discount factor.
    """
    m = u8(m)
    level_0, level_1, fade_0, fade_1 = level[0], level[1], fade[0], fade[1]
    key_a, key_b, key_c, key_d = keys[0], keys[1], keys[2], keys[3]
    a, b, c, d = states[0], states[1], states[2], states[3]
    base_a, base_b, base_c, base_d = u8(0), _TABLE, u8(2) * _TABLE, u8(3) * _TABLE
    rows_a, rows_b = rows_of(q, base_a, a), rows_of(q, base_b, b)
    rows_c, rows_d = rows_of(q, base_c, c), rows_of(q, base_d, d)
    was_a, was_b, was_c, was_d = a, b, c, d
    for t in range(start, until):
        bar_0, bar_1 = u8(np.ceil(level_0 * 2.0**40)), u8(np.ceil(level_1 * 2.0**40))
        was_a, was_b, was_c, was_d = a, b, c, d
        a, rows_a = period(q, base_a, profit, period_word(key_a, t), bar_0, bar_1, m, alpha, delta, a, rows_a)
        b, rows_b = period(q, base_b, profit, period_word(key_b, t), bar_0, bar_1, m, alpha, delta, b, rows_b)
        c, rows_c = period(q, base_c, profit, period_word(key_c, t), bar_0, bar_1, m, alpha, delta, c, rows_c)
        d, rows_d = period(q, base_d, profit, period_word(key_d, t), bar_0, bar_1, m, alpha, delta, d, rows_d)
        level_0, level_1 = level_0 * fade_0, level_1 * fade_1
    level[0], level[1] = level_0, level_1
    states[0], states[1], states[2], states[3] = a, b, c, d
    visited[0], visited[1], visited[2], visited[3] = was_a, was_b, was_c, was_d


@loop
def new_greedy_prices(q, m, greedy):
    """Writes the joint greedy prices of a session by state `(256,)`, and says whether any has changed.

    Args:
        q: The session's table, flat.
        m: The number of prices.
        greedy: What is known `(256,)`, uint8; brought up to date.
    """
    changed = False
    for a in range(m):
        for b in range(m):
            s = u8(16 * a + b)
            found = rows_of(q, u8(0), s)
            joint = np.uint8(found[2] * _ROW + found[3])
            changed |= joint != greedy[s]
            greedy[s] = joint
    return changed
