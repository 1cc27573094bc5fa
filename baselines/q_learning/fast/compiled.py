"""The two phases of sessions after one another, as one compiled function. Import late: numba is slow to load."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from strategic_envs.baselines.q_learning import draws_compiled
from strategic_envs.baselines.q_learning.fast import exploring, occasions, rows, settling
from strategic_envs.baselines.q_learning.fast.exploring import LANES, TABLE, explore_together, new_greedy_prices
from strategic_envs.baselines.q_learning.fast.settling import put_back, settle, take_out
from strategic_envs.solvers.compiled import exact_loop

__all__ = ["play_sessions"]


@functools.cache
def play_sessions() -> Any:
    """The compiled function, kept on disk for the next process where that is possible.

    It is called as `play(q, profit, keys, states, visited, clock, last, certain, greedy, first, switch, rule,
    occasions)`, with the arguments of `settle`; `first` are the chances of exploring in period 0, `switch` is the
    period in which the second phase begins. The number of sessions is a multiple of four.
    """
    stamp = _sources()  # part of the key under which numba keeps the function

    def play(q, profit, keys, states, visited, clock, last, certain, greedy, first, switch, rule, occasions):
        m, alpha, delta, window, _ = rule
        fade = occasions[3]
        count = len(keys)
        piece = max(1, min(window // 8, 1 << 14))
        for b in range(count):
            new_greedy_prices(q[b * TABLE : (b + 1) * TABLE], m, greedy[b * 256 : (b + 1) * 256])
        for one in range(0, count, LANES):
            level = first.copy()
            t = 0
            while t < switch:
                until = min(t + piece, switch)
                these = slice(one, one + LANES)
                tables = q[one * TABLE : (one + LANES) * TABLE]
                explore_together(
                    tables, profit, keys[these], states[these], visited[these], t, until, level, fade, m, alpha, delta
                )
                for b in range(one, one + LANES):
                    mine = q[b * TABLE : (b + 1) * TABLE]
                    if new_greedy_prices(mine, m, greedy[b * 256 : (b + 1) * 256]):
                        if until - last[b] > window:  # perhaps it converged unseen
                            clock[b] = -1
                        last[b] = t
                t = until
            for b in range(one, one + LANES):
                if t - last[b] >= window:
                    clock[b] = -1
        kept = np.empty(count * 1024, q.dtype)
        for b in range(count):
            take_out(q[b * TABLE : (b + 1) * TABLE], kept[b * 1024 : (b + 1) * 1024], m)
            if clock[b] < 0:
                last[b] = -window  # ends at once
            clock[b] = switch
        settle(q, greedy, kept, profit, keys, states, visited, clock, last, certain, rule, occasions)
        for b in range(count):
            put_back(
                q[b * TABLE : (b + 1) * TABLE], greedy[b * 256 : (b + 1) * 256], kept[b * 1024 : (b + 1) * 1024], m
            )
        return stamp

    return exact_loop(play)


@functools.cache
def _sources() -> int:
    """A number that changes with the text of the modules that are compiled in: numba looks at this file only."""
    texts = [
        Path(str(module.__file__)).read_bytes() for module in (draws_compiled, exploring, occasions, rows, settling)
    ]
    return int.from_bytes(hashlib.sha256(b"".join(texts)).digest()[:6], "little")
