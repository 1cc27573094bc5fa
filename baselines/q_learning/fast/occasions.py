"""When a firm explores next, late in a session: by looking through the words of many periods at once, or by gaps.

Both give the periods in which the plain loop explores with the same draws. Import late: numba is slow to load.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from strategic_envs.baselines.q_learning.draws import FIRM
from strategic_envs.baselines.q_learning.draws_compiled import period_word
from strategic_envs.baselines.q_learning.fast.rows import loop

__all__ = ["SPAN", "levels_by_span", "levels_in", "next_in_words"]

SPAN = 32
_REACH = 128  # spans looked through at most
u8, i8 = np.uint64, np.int64
_FIRM = u8(FIRM)


def _levels_by_span(first, fade, cap):
    """The chances of exploring `(spans, 2)` in the periods 0, 32, 64, ..., until both are below 2^-40 or the cap.

    Args:
        first: The chances in period 0 `(2,)`.
        fade: By what each period multiplies them `(2,)`.
        cap: The last period that matters.
    """
    found = [0.0][:0]
    level_0, level_1 = first[0], first[1]
    t = i8(0)
    while t <= cap + SPAN:
        found.append(level_0)
        found.append(level_1)
        if level_0 < 2.0**-40 and level_1 < 2.0**-40:
            break
        for _ in range(SPAN):
            level_0, level_1 = level_0 * fade[0], level_1 * fade[1]
        t += SPAN
    return np.array(found).reshape(-1, 2)


_levels_compiled = loop(_levels_by_span)


def levels_by_span(
    first: Float[np.ndarray, " 2"], fade: Float[np.ndarray, " 2"], cap: int
) -> Float[np.ndarray, "spans 2"]:
    """The chances of exploring `(spans, 2)` in the periods 0, 32, 64, ..., until both are below 2^-40 or the cap."""
    return _levels_compiled(first, fade, cap)


@loop
def _may_explore(key, t, bar_0, bar_1):
    """Bits of the 32 periods from t in which a firm would explore if chances stayed as they are in t."""
    found = u8(0)
    for j in range(SPAN):
        h = u8(period_word(key, u8(t) + u8(j)) * _FIRM)
        w_0 = u8(h ^ (h >> u8(32)))
        h = u8(h * _FIRM)
        w_1 = u8(h ^ (h >> u8(32)))
        found |= (u8((w_0 >> u8(24)) < bar_0) | u8((w_1 >> u8(24)) < bar_1)) << u8(j)
    return found


@loop
def next_in_words(key, span, waiting, levels):
    """The next period in which a firm may explore, or the last of many in which none does.

    Chances are taken as they are at the beginning of 32 periods, so a firm does not quite always explore then.

    Args:
        key: The session's key.
        span: The number of the 32 periods that were looked through last.
        waiting: Bits of those of its periods, still to come, in which a firm may explore.
        levels: `levels_by_span(...)`; beyond it chances are below 2^-40, where a test succeeds with that chance.

    Returns:
        The period, its span, and the bits of that span's periods after it.
    """
    last = span + _REACH
    while waiting == u8(0):
        if span == last:
            return i8(span * SPAN + SPAN - 1), span, waiting
        span += 1
        place = min(span, len(levels) - 1)
        bar_0, bar_1 = u8(np.ceil(levels[place, 0] * 2.0**40)), u8(np.ceil(levels[place, 1] * 2.0**40))
        waiting = _may_explore(key, span * SPAN, bar_0, bar_1)
    first = i8(0)
    while (waiting >> u8(first)) & u8(1) == u8(0):
        first += 1
    return span * SPAN + first, span, u8(waiting & (waiting - u8(1)))


@loop
def levels_in(t, levels, fade):
    """Both firms' chances of exploring in a period."""
    place = min(t // SPAN, len(levels) - 1)
    level_0, level_1 = levels[place, 0], levels[place, 1]
    for _ in range(t % SPAN):
        level_0, level_1 = level_0 * fade[0], level_1 * fade[1]
    return level_0, level_1
