"""Explorations drawn as gaps, written into blocks of periods. Import late: numba takes half a second."""

from __future__ import annotations

import inspect
from typing import Any

import numba
import numpy as np

from strategic_envs.baselines.q_learning.draws_compiled import next_exploration, price, word

__all__ = ["fill", "first"]

i8 = np.int64


def _first(keys, table, n):
    """The first exploration `(n, B)` of every firm in every session."""
    found = np.empty((n, len(keys)), np.int64)
    for i in range(n):
        for b in range(len(keys)):
            found[i, b] = next_exploration(keys[b], i, i8(table.start) - 1, table)
    return found


def _fill(keys, table, live, following, period, m, explore, draw):
    """Marks the explorations of a block and their prices; `following` `(n, B)` leaves those before the block behind.

    A block may be drawn again from one of its later periods, when sessions have ended: so only explorations before its
    first period are given up.
    """
    count, n, lanes = explore.shape
    for i in range(n):
        for a in range(lanes):
            b = live[a]
            t = following[i, b]
            while t < period:
                t = next_exploration(keys[b], i, t, table)
            following[i, b] = t
            while t < period + count:
                explore[t - period, i, a] = True
                draw[t - period, i, a] = price(word(keys[b], t, i), m)
                t = next_exploration(keys[b], i, t, table)


first: Any = numba.njit(inspect.unwrap(_first))
fill: Any = numba.njit(inspect.unwrap(_fill))
