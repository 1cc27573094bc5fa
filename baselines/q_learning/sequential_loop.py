"""The compiled loop of `sequential.py`. Import late: numba takes half a second.

No fused multiply-add and no reordering of sums: a loop in plain Python gives the same bytes.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from strategic_envs.baselines.q_learning import draws_compiled
from strategic_envs.baselines.q_learning.draws import START
from strategic_envs.baselines.q_learning.draws_compiled import explores, price, word
from strategic_envs.solvers.compiled import exact_loop

__all__ = ["HIGHEST", "LOWEST", "RANDOM", "greedy_place", "sequential_loop", "sources"]

LOWEST, HIGHEST, RANDOM = range(3)
"""Which of equally good prices is greedy."""


def _part(function: Callable[..., Any]) -> Any:
    return numba.njit(inspect.unwrap(function), error_model="numpy")


@_part
def greedy_place(row, ties, w):
    """The place of the highest number of a row; w is the random word that breaks a tie, where it is random."""
    place, tied = 0, 1
    for b in range(1, len(row)):
        if row[b] > row[place]:
            place, tied = b, 1
        elif row[b] == row[place]:
            tied += 1
            if ties == HIGHEST:
                place = b
    if ties == RANDOM and tied > 1:
        left = price(w, tied)
        for b in range(len(row)):
            if row[b] == row[place]:
                if left == 0:
                    return b
                left -= 1
    return place


@functools.cache
def sequential_loop() -> Any:
    """The compiled loop over the periods of many sessions.

    It is called as `play(keys, profit, alpha, delta, fade, periods, ties, strategy, last, kept, earned)` and writes to
    the last four: greedy prices `(B, 2, m)`, last prices `(B, 2)`, values `(B or 0, 2, m, m)`, mean profits by block of
    periods `(B, blocks, 2)`.
    """
    stamp = sources()

    def play(keys, profit, alpha, delta, fade, periods, ties, strategy, last, kept, earned):
        m, blocks, _ = len(profit), earned.shape[1], stamp
        for c in range(len(keys)):
            key = keys[c]
            q = np.zeros((2, m, m))  # [firm, rival's standing price, own price]
            charged = np.array([price(word(key, START, i), m) for i in range(2)])
            faced = np.zeros(2, np.int64)  # the rival's price when a firm set its own
            length = np.zeros(blocks, np.int64)
            eps = 1.0
            for t in range(periods):
                i = t & 1
                now = charged[1 - i]
                row = q[i, now]
                if t >= 2:
                    a, s = charged[i], faced[i]
                    top = row[greedy_place(row, LOWEST, np.uint64(0))]
                    target = profit[a, s] + delta * profit[a, now] + delta * delta * top
                    q[i, s, a] = (1.0 - alpha) * q[i, s, a] + alpha * target
                w = word(key, t, i)
                if explores(w, eps):
                    charged[i] = price(w, m)
                else:
                    charged[i] = greedy_place(row, ties, word(key, t, 3 + i) if ties == RANDOM else w)
                faced[i] = now
                eps *= fade
                if blocks > 0:
                    block = t * blocks // periods
                    length[block] += 1
                    earned[c, block, 0] += profit[charged[0], charged[1]]
                    earned[c, block, 1] += profit[charged[1], charged[0]]
            for block in range(blocks):
                earned[c, block] /= length[block]
            for i in range(2):
                last[c, i] = charged[i]
                for s in range(m):
                    strategy[c, i, s] = greedy_place(q[i, s], HIGHEST if ties == HIGHEST else LOWEST, np.uint64(0))
            if len(kept) > 0:
                kept[c] = q

    return exact_loop(play)


@functools.cache
def sources() -> int:
    """A number that changes with the text of the draws, which a loop is made of too: numba looks at one file only."""
    text = Path(str(draws_compiled.__file__)).read_bytes()
    return int.from_bytes(hashlib.sha256(text).digest()[:6], "little")
