"""The second phase of a session, in which firms seldom explore: most periods only follow the greedy prices.

What such a period needs is kept by state: the values of both greedy prices, the best of the other values (below which
the greedy price changes), and the next state. The greedy cell itself lives there only; in the table it holds -inf, so
that the best of a row is the best of the others. Four sessions take turns until something happens in one of them: a
firm explores, a greedy price has to be looked at again, or the session ends. Import late: numba is slow to load.
"""

from __future__ import annotations

import numpy as np

from strategic_envs.baselines.q_learning.draws_compiled import (
    NEVER,
    explores,
    firm_word,
    next_exploration,
    period_word,
    price,
)
from strategic_envs.baselines.q_learning.fast.exploring import LANES, TABLE
from strategic_envs.baselines.q_learning.fast.occasions import SPAN, levels_in, next_in_words
from strategic_envs.baselines.q_learning.fast.rows import best_of_row, best_two_with, loop, part

__all__ = ["put_back", "settle", "take_out"]

u8, i8 = np.uint64, np.int64
_TABLE, _STATES, _KEPT = u8(TABLE), u8(256), u8(1024)


@loop
def take_out(q, kept, m):
    """Takes the greedy cells out of a session's table: `kept` `(256 * 4,)` is given both values and both next best."""
    for a in range(m):
        for b in range(m):
            s = u8(16 * a + b)
            for i in range(2):
                row = s * u8(32) + u8(16 * i)
                value, place = best_of_row(q, row)
                q[row + place] = -np.inf
                other, _ = best_of_row(q, row)
                kept[s * u8(4) + u8(i)], kept[s * u8(4) + u8(2 + i)] = value, other


@loop
def put_back(q, greedy, kept, m):
    """Puts the greedy cells back into a session's table."""
    for a in range(m):
        for b in range(m):
            s = u8(16 * a + b)
            for i in range(2):
                q[s * u8(32) + u8(16 * i) + _own(greedy[s], i)] = kept[s * u8(4) + u8(i)]


@part
def _own(joint, i):
    return u8(joint) >> u8(4) if i == 0 else u8(joint) & u8(15)


@part
def _follow(greedy, kept, base, profit, alpha, delta, s):
    """A greedy period of one session: the next state, and whether a greedy price must be looked at again."""
    after = u8(greedy[base * _STATES + s])
    here, there = base * _KEPT + s * u8(4), base * _KEPT + after * u8(4)
    old_0, old_1 = kept[here], kept[here + u8(1)]
    new_0 = old_0 + alpha[0] * ((profit[after * u8(2)] + delta * kept[there]) - old_0)
    new_1 = old_1 + alpha[1] * ((profit[after * u8(2) + u8(1)] + delta * kept[there + u8(1)]) - old_1)
    kept[here], kept[here + u8(1)] = new_0, new_1
    return after, (new_0 <= kept[here + u8(2)]) | (new_1 <= kept[here + u8(3)])


@part
def _follow_together(greedy, kept, profit, alpha, delta, lane, states, visited, stirred, steps):
    """Up to so many greedy periods of four sessions; stops after one in which something stirs. How many were played."""
    base_a, base_b, base_c, base_d = u8(lane[0]), u8(lane[1]), u8(lane[2]), u8(lane[3])
    a, b, c, d = states[base_a], states[base_b], states[base_c], states[base_d]
    was_a, was_b, was_c, was_d = a, b, c, d
    stirs_a = stirs_b = stirs_c = stirs_d = False
    played = i8(0)
    while played < steps:
        was_a, was_b, was_c, was_d = a, b, c, d
        a, stirs_a = _follow(greedy, kept, base_a, profit, alpha, delta, a)
        b, stirs_b = _follow(greedy, kept, base_b, profit, alpha, delta, b)
        c, stirs_c = _follow(greedy, kept, base_c, profit, alpha, delta, c)
        d, stirs_d = _follow(greedy, kept, base_d, profit, alpha, delta, d)
        played += 1
        if stirs_a | stirs_b | stirs_c | stirs_d:
            break
    states[base_a], states[base_b], states[base_c], states[base_d] = a, b, c, d
    visited[base_a], visited[base_b], visited[base_c], visited[base_d] = was_a, was_b, was_c, was_d
    stirred[0], stirred[1], stirred[2], stirred[3] = stirs_a, stirs_b, stirs_c, stirs_d
    return played


@part
def _follow_alone(greedy, kept, profit, alpha, delta, base, states, visited, steps):
    """The same for one session; also whether something stirs."""
    base, s, was, stirs = u8(base), states[base], states[base], False
    played = i8(0)
    while played < steps:
        was = s
        s, stirs = _follow(greedy, kept, base, profit, alpha, delta, s)
        played += 1
        if stirs:
            break
    states[base], visited[base] = s, was
    return played, stirs


@part
def _look_again(q, greedy, kept, base, s, i):
    """Finds a firm's greedy price in a state anew, after its value has fallen; whether it is another one."""
    row = base * _TABLE + s * u8(32) + u8(16 * i)
    place = base * _STATES + s
    here = base * _KEPT + s * u8(4) + u8(i)
    own = _own(greedy[place], i)
    value, choice, other = best_two_with(q, row, own, kept[here])
    q[row + own] = kept[here]
    q[row + choice] = -np.inf
    kept[here], kept[here + u8(2)] = value, other
    _set_own(greedy, place, i, choice)
    return choice != own


@part
def _set_own(greedy, place, i, choice):
    joint = u8(greedy[place])
    greedy[place] = (joint & u8(15)) | (choice << u8(4)) if i == 0 else (joint & u8(240)) | choice


@part
def _explore(q, greedy, kept, profit, alpha, delta, base, s, a_0, a_1):
    """A period with these prices; the next state, and whether a greedy price changes."""
    after, place = a_0 * u8(16) + a_1, base * _STATES + s
    value_0, value_1 = kept[base * _KEPT + after * u8(4)], kept[base * _KEPT + after * u8(4) + u8(1)]
    moved = False
    for i in range(2):
        a, value = (a_0, value_0) if i == 0 else (a_1, value_1)
        row = base * _TABLE + s * u8(32) + u8(16 * i)
        here = base * _KEPT + s * u8(4) + u8(i)
        own = _own(greedy[place], i)
        old = kept[here] if a == own else q[row + a]
        new = old + alpha[i] * ((profit[after * u8(2) + u8(i)] + delta * value) - old)
        if a == own:
            kept[here] = new
            if new <= kept[here + u8(2)]:
                moved |= _look_again(q, greedy, kept, base, s, i)
        elif new > kept[here] or (new == kept[here] and a < own):
            q[row + own], q[row + a] = kept[here], -np.inf
            kept[here], kept[here + u8(2)] = new, kept[here]
            _set_own(greedy, place, i, a)
            moved = True
        else:
            kept[here + u8(2)], _, _ = best_two_with(q, row, a, new)
            q[row + a] = new
    return after, moved


@loop
def settle(q, greedy, kept, profit, keys, states, visited, clock, last, certain, rule, occasions):
    """Plays sessions from the period in which all of them are to their ends.

    Args:
        q: The tables of all sessions, greedy cells taken out, flat and aligned to 64 bytes.
        greedy: Joint greedy prices by session and state, flat, uint8.
        kept: Values of the greedy prices and of the next best, by session and state, flat.
        profit: By joint price `16 a_0 + a_1` and firm, flat.
        keys: The keys `(B,)`.
        states: The states `(B,)`, uint64.
        visited: Is given the states of the last periods `(B,)`.
        clock: The periods played `(B,)`.
        last: Periods `(B,)`, at the latest those in which a greedy price changed last; changed in place.
        certain: Whether they are just those `(B,)`. A session that ends while they are not has to be played in another
            way.
        rule: m, alpha (a tuple), delta, window, cap.
        occasions: Whether draws are thinned, the table of hazards, `levels_by_span(...)`, fade.
    """
    m, alpha, delta, window, cap = rule
    thinned, hazards, levels, fade = occasions
    count = len(keys)
    following = np.empty((count, 2), np.int64)  # the next exploration of each firm; of any firm in both places
    span = np.empty(count, np.int64)
    waiting = np.zeros(count, np.uint64)
    for b in range(count):
        span[b] = clock[b] // SPAN - 1
        if thinned:
            for i in range(2):
                following[b, i] = next_exploration(keys[b], i, clock[b] - 1, hazards)
        else:
            following[b, 0], span[b], waiting[b] = next_in_words(keys[b], span[b], waiting[b], levels)
            following[b, 1] = following[b, 0]
    lane = np.empty(LANES, np.int64)
    stirred = np.zeros(LANES, np.bool_)
    lanes, begun = 0, 0
    while True:
        while lanes < LANES and begun < count:
            lane[lanes] = begun
            lanes, begun = lanes + 1, begun + 1
        if lanes == 0:
            return
        busy = lanes if lanes == LANES else 1  # the last few one by one
        steps = i8(NEVER)
        for k in range(busy):
            b = lane[k]
            steps = min(steps, min(following[b, 0], following[b, 1], min(last[b] + window, cap)) - clock[b])
        steps = max(steps, i8(0))
        if steps > 0:
            if busy == LANES:
                steps = _follow_together(greedy, kept, profit, alpha, delta, lane, states, visited, stirred, steps)
            else:
                steps, stirred[0] = _follow_alone(greedy, kept, profit, alpha, delta, lane[0], states, visited, steps)
        else:
            stirred[:] = False
        for k in range(busy - 1, -1, -1):
            b = lane[k]
            clock[b] += steps
            moved = False
            if stirred[k]:
                for i in range(2):
                    here = u8(b) * _KEPT + visited[b] * u8(4) + u8(i)
                    if kept[here] <= kept[here + u8(2)]:
                        moved |= _look_again(q, greedy, kept, u8(b), visited[b], i)
                if moved:
                    last[b], certain[b] = clock[b] - 1, True
            if clock[b] >= min(last[b] + window, cap):
                lanes -= 1
                lane[k] = lane[lanes]
                continue
            t = clock[b]
            if t == following[b, 0] or t == following[b, 1]:
                h = period_word(keys[b], u8(t))
                joint = u8(greedy[u8(b) * _STATES + states[b]])
                a_0, a_1 = joint >> u8(4), joint & u8(15)
                w_0, w_1 = firm_word(h, 0), firm_word(h, 1)
                if thinned:
                    tries_0, tries_1 = t == following[b, 0], t == following[b, 1]
                else:
                    level_0, level_1 = levels_in(t, levels, fade)
                    tries_0, tries_1 = explores(w_0, level_0), explores(w_1, level_1)
                if tries_0:
                    a_0 = u8(price(w_0, m))
                if tries_1:
                    a_1 = u8(price(w_1, m))
                visited[b] = states[b]
                states[b], moved = _explore(q, greedy, kept, profit, alpha, delta, u8(b), states[b], a_0, a_1)
                clock[b] = t + 1
                if moved:
                    last[b], certain[b] = t, True
                if thinned:
                    if tries_0:
                        following[b, 0] = next_exploration(keys[b], 0, t, hazards)
                    if tries_1:
                        following[b, 1] = next_exploration(keys[b], 1, t, hazards)
                else:
                    following[b, 0], span[b], waiting[b] = next_in_words(keys[b], span[b], waiting[b], levels)
                    following[b, 1] = following[b, 0]
