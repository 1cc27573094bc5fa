"""The words of `draws.py` inside compiled loops, and explorations drawn as gaps. Import late: numba is slow to load.

**Thinned draws.** Late in a session nearly all exploration tests fail. Where every firm's eps is at most 1/64, the
periods in which a firm explores can be drawn directly, with the same distribution: candidates come with the constant
chance `2^-K >= eps`, and a candidate is kept with chance `eps 2^K`. The number of periods that a candidate lets pass is
geometric, and the binary digits of a geometric number are independent: digit j is 1 with chance `x / (1 + x)`,
`x = (1 - 2^-K)^(2^j)`. So a gap takes comparisons of integers only, and is the same on every machine.
The test of a candidate period, and the price, come from the word of that period and firm, as they always do.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from jaxtyping import Float, Int, UInt64
from numpy.typing import ArrayLike

from strategic_envs.baselines.q_learning.draws import FIRM, FIRST, GAPS, STEP

__all__ = [
    "BLOCK",
    "NEVER",
    "Hazards",
    "explorations",
    "explores",
    "firm_word",
    "hazards",
    "next_exploration",
    "period_word",
    "price",
    "uniform",
    "word",
]

u8, i8, f8 = np.uint64, np.int64, np.float64
_STEP, _FIRST, _FIRM = u8(STEP), u8(FIRST), u8(FIRM)
_HALF, _LOW, _GAPS = u8(32), u8(0xFFFFFFFF), u8(GAPS)

BLOCK = 1024
"""Periods that share one entry of the table of hazards."""
NEVER = 1 << 59
"""The period of an exploration that does not come."""
_DIGITS = 58


def _part(function: Callable[..., Any]) -> Any:
    return numba.njit(inspect.unwrap(function), inline="always")


@_part
def period_word(key, period):
    """What the firms of a period share: `firm_word` makes a firm's word of it."""
    h = u8(u8(key) + u8(u8(period) * _STEP))
    h = u8(u8(h ^ (h >> _HALF)) * _FIRST)
    return u8(h ^ (h >> _HALF))


@_part
def firm_word(h, firm):
    """The word of a firm: costs `firm + 1` multiplications, so loops over firms may prefer `h *= FIRM` themselves."""
    for _ in range(firm + 1):
        h = u8(h * _FIRM)
    return u8(h ^ (h >> _HALF))


@_part
def word(key, period, firm):
    """The word of a session's key, a period and a firm: `draws.words`."""
    return firm_word(period_word(key, period), firm)


@_part
def explores(w, eps):
    """Whether a word explores at this eps: by its upper 40 bits."""
    return f8(w >> u8(24)) < eps * 1099511627776.0


@_part
def price(w, m):
    """The price index below m in the lower 24 bits of a word."""
    return i8(u8(u8(w & u8(0xFFFFFF)) * u8(m)) >> u8(24))


@_part
def uniform(w):
    """The number in [0, 1) in the upper 53 bits of a word."""
    return f8(w >> u8(11)) * 1.1102230246251565e-16


class Hazards(NamedTuple):
    """What thinned draws look up; a named tuple, because numba takes it as it is.

    `eps = eps_at[t // 1024, i] * decay[t % 1024, i]` is the chance that firm i explores in period t, at most
    `2^-level[t // 1024, i]`. `digit[K, j]` is the chance of digit j of a gap, times 2^32. Draws are thinned from the
    period `start` on; before it every period has its own test.
    """

    start: int
    eps_at: Float[np.ndarray, "blocks n"]
    decay: Float[np.ndarray, "1024 n"]
    level: Int[np.ndarray, "blocks n"]
    digit: UInt64[np.ndarray, "levels digits"]


def hazards(first: ArrayLike, factor: ArrayLike, cap: int) -> Hazards:
    """The table for firms that explore in period t with chance `first_i factor_i^t`, for periods up to a cap.

    Args:
        first: The chances in period 0, in [0, 1], one a firm.
        factor: By what each period multiplies them, in [0, 1], one a firm.
        cap: The last period that matters.

    Example:
        >>> table = hazards([1.0, 1.0], np.exp([-4e-6, -4e-6]), 10**9)
        >>> table.start // 1024, bool(table.eps_at[table.start // 1024, 0] <= 1 / 64)
        (1016, True)
    """
    start, ratio = np.asarray(first, np.float64), np.asarray(factor, np.float64)
    slowest = float(ratio.max())
    last = cap if slowest >= 1.0 else min(cap, math.ceil(45.0 / -math.log(max(slowest, 1e-20))))  # then eps < 2^-64
    blocks = last // BLOCK + 2
    decay = np.cumprod(np.vstack([np.ones_like(ratio), np.tile(ratio, (BLOCK, 1))]), axis=0)
    eps_at = np.cumprod(np.vstack([start, np.tile(decay[BLOCK], (blocks - 1, 1))]), axis=0)
    _, exponent = np.frexp(np.maximum(eps_at, 2.0**-50))  # eps < 2^exponent
    level = np.clip(-exponent, 0, 50).astype(np.int64)
    small = (eps_at <= 1 / 64).all(axis=1)
    begins = BLOCK * int(small.argmax()) if small.any() else NEVER
    digit = np.zeros((51, _DIGITS), np.uint64)
    for k in range(1, 51):
        chance = 1.0 - 2.0**-k
        for j in range(k + 6):
            digit[k, j] = math.ceil(chance / (1.0 + chance) * 2.0**32)
            chance = chance * chance
    return Hazards(begins, eps_at, decay[:BLOCK].copy(), level, digit)


def _next_exploration(key, firm, after, table):
    """The first period beyond `after` in which a firm explores, with thinned draws; `NEVER` if there is none.

    A pure function of the key, the firm and the period. Only for `after >= table.start - 1`.

    Args:
        key: The session's key, uint64.
        firm: The firm's number.
        after: A period: the last exploration of this firm, or `table.start - 1` for its first one.
        table: `hazards(...)`.
    """
    t = i8(after)
    blocks = len(table.eps_at)
    while True:
        block = (t + 1) >> 10
        if block >= blocks:
            return i8(NEVER)
        level = table.level[block, firm]
        gap, w = i8(0), u8(0)
        for j in range(level + 6):  # two digits a word
            if j & 1 == 0:
                w = word(key, _GAPS + u8(t * 32 + (j >> 1)), firm)
            gap |= i8((w & _LOW) < table.digit[level, j]) << j
            w = w >> _HALF
        t += gap + 1
        block = t >> 10
        if block >= blocks:
            return i8(NEVER)
        eps = table.eps_at[block, firm] * table.decay[t & 1023, firm]
        if explores(word(key, t, firm), eps * f8(i8(1) << level)):
            return t


next_exploration: Any = numba.njit(inspect.unwrap(_next_exploration))


def _explorations(key, firm, table, until):
    """All periods from `table.start` to before `until` in which a firm explores: `next_exploration`, repeated.

    What the batched executors are fed.
    """
    found = [i8(0)][:0]
    t = next_exploration(key, firm, i8(table.start) - 1, table)
    while t < until:
        found.append(t)
        t = next_exploration(key, firm, t, table)
    return np.array(found, np.int64)


explorations: Any = numba.njit(inspect.unwrap(_explorations))
