"""The kernels: one thread plays one session. Import late: numba is slow to load.

Memory. Sessions are in different states, so the threads of a warp read different rows: with cells side by side across
sessions each would use 8 of the 32 bytes that one access fetches, and a search of a row would take m accesses. So a
session's tables lie together, and a row of m cells, with its highest value in cell m, is padded to whole 32-byte
sectors. What every thread has one of (clock, levels of exploration) lies side by side across sessions.

Rounding. The compiler joins a product and a sum into one operation that rounds once, and numba has no switch for that.
So sums and products of values are the library functions that are rounded by definition.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import cuda

from strategic_envs.baselines.q_learning import draws_compiled
from strategic_envs.baselines.q_learning.draws import CELLS
from strategic_envs.baselines.q_learning.draws_compiled import Hazards, explores, firm_word, period_word, price, uniform

__all__ = ["CALM", "MARKET", "SIMULATED", "STATE", "VISITED", "T", "advance", "collect", "padded", "ready"]

T, STATE, MARKET, CALM, VISITED = range(5)  # what a clock holds
SIMULATED = bool(numba.config.ENABLE_CUDASIM)  # pyright: ignore[reportAttributeAccessIssue] - set when numba loads
_CELLS = np.uint64(CELLS)
u8, i8 = np.uint64, np.int64


def _with_host_arrays(key, firm, after, table):
    """The compiled function from a simulated kernel, whose arrays are none that compiled functions take."""
    return draws_compiled.next_exploration(key, firm, after, Hazards(table.start, *(part.copy() for part in table[1:])))


next_exploration = _with_host_arrays if SIMULATED else draws_compiled.next_exploration


def padded(m: int, itemsize: int) -> int:
    """The length of a row of m cells and their highest value, in whole sectors of 32 bytes.

    Example:
        >>> padded(15, 8), padded(15, 4), padded(4, 8)
        (16, 16, 8)
    """
    sector = 32 // itemsize
    return -(-(m + 1) // sector) * sector


@functools.cache
def rounded(single: bool) -> tuple[Any, Any]:
    """A sum and a product of two values that are each rounded by themselves."""
    if SIMULATED:
        return operator.add, operator.mul
    from numba.cuda import libdevice

    return (libdevice.fadd_rn, libdevice.fmul_rn) if single else (libdevice.dadd_rn, libdevice.dmul_rn)


@functools.cache
def advance(n: int, memory: int, thinned: bool, markets: bool, single: bool) -> Any:
    """The kernel that plays sessions on, for a number of firms, a memory and a source of draws.

    The rule is that of `loop.py`. `lanes` are the sessions that go on; each plays to before period `until`, or to the
    end of its convergence window, and leaves its clock as it is then.
    """
    add, mul = rounded(single)
    kind = np.float32 if single else np.float64

    def kernel(lanes, until, window, m, base, delta, profit, present, chain, older, newest, alpha, fade, learns,
               start, eps_at, decay, steep, digit, keys, clock, level, following_draw, q, greedy):  # fmt: skip
        thread = cuda.grid(1)  # pyright: ignore[reportCallIssue]
        if thread >= lanes.size:
            return
        b = lanes[thread]
        key, joints = keys[b], profit.shape[1]
        table = Hazards(start, eps_at, decay, steep, digit)
        t, s, d, calm, visited = clock[T, b], clock[STATE, b], clock[MARKET, b], clock[CALM, b], clock[VISITED, b]
        chance = cuda.local.array(n, np.float64)
        gap = cuda.local.array(n, np.int64)
        choice = cuda.local.array(n, np.int64)
        top = cuda.local.array(n, kind)
        played = cuda.local.array(n, np.int64)
        for i in range(n):
            chance[i], gap[i] = level[i, b], following_draw[i, b]
            choice[i], top[i] = greedy[b, i, s], q[b, i, s, m]
        while t < until and calm < window:
            # every firm chooses
            h = u8(period_word(key, t))
            joint, after = i8(0), i8(0)
            for i in range(n):
                w = u8(firm_word(h, i))
                a = choice[i]
                if thinned and t >= start:
                    if t == gap[i]:
                        a = price(w, m)
                        gap[i] = next_exploration(key, i, t, table)
                elif explores(w, chance[i]):
                    a = price(w, m)
                chance[i] *= fade[i]
                here = True
                if markets:
                    here = present[d, i]
                played[i] = a
                joint = joint * m + (a if here else 0)
                after = after * base + (a if here else m)
            if memory != 1:
                after = older[s] + newest[d * joints + joint]

            # every firm that learns moves the cell it played
            moved = False
            for i in range(n):
                ahead, next_choice = q[b, i, after, m], i8(greedy[b, i, after])  # before anything is written
                here = learns[i]
                if markets:
                    here = here and present[d, i]
                if here:
                    a = played[i]
                    old = q[b, i, s, a]
                    target = add(profit[d, joint, i], mul(delta, ahead))
                    new = add(old, mul(alpha[i], add(target, -old)))
                    q[b, i, s, a] = new
                    if a == choice[i]:
                        if new >= top[i]:
                            top[i] = new
                        else:
                            best, place = q[b, i, s, 0], i8(0)
                            for c in range(1, m):
                                if q[b, i, s, c] > best:
                                    best, place = q[b, i, s, c], i8(c)
                            top[i] = best
                            if place != a:
                                choice[i], greedy[b, i, s], moved = place, place, True
                        q[b, i, s, m] = top[i]
                    elif new > top[i] or (new == top[i] and a < choice[i]):
                        q[b, i, s, m] = new
                        top[i], choice[i], greedy[b, i, s], moved = new, a, a, True
                if after != s:
                    top[i], choice[i] = ahead, next_choice
            calm = i8(1) if moved else calm + 1
            visited, s = s, after
            t += 1
            if markets:
                u, d_next = uniform(u8(firm_word(u8(period_word(key, t)), n))), 0
                while d_next < chain.shape[1] - 1 and u >= chain[d, d_next]:
                    d_next += 1
                d = i8(d_next)
        clock[T, b], clock[STATE, b], clock[MARKET, b], clock[CALM, b], clock[VISITED, b] = t, s, d, calm, visited
        for i in range(n):
            level[i, b], following_draw[i, b] = chance[i], gap[i]

    return _kernel(kernel)


@functools.cache
def ready(single: bool) -> Any:
    """The kernel that fills the tables before period 0: a thread a row.

    `first` `(1 or B, n, S, m)` are the values, to each of which `spread` times a number in [0, 1) is added, and `given`
    `(1 or B, n, S)` the greedy prices of firms that do not learn, -1 for all others.
    """
    add, mul = rounded(False)
    kind = np.float32 if single else np.float64

    def kernel(first, given, spread, keys, q, greedy):
        row = cuda.grid(1)  # pyright: ignore[reportCallIssue]
        sessions, n, states, _ = q.shape
        if row >= sessions * n * states:
            return
        b, i, s = row // (n * states), row // states % n, row % states
        m = first.shape[3]
        best, place = kind(0.0), i8(0)
        for a in range(m):
            value = first[b % first.shape[0], i, s, a]
            if spread > 0.0:
                u = uniform(u8(firm_word(u8(period_word(keys[b], _CELLS + u8(s * m + a))), i)))
                value = add(value, mul(spread, u))
            cell = kind(value)
            q[b, i, s, a] = cell
            if a == 0 or cell > best:
                best, place = cell, i8(a)
        q[b, i, s, m] = best
        fixed = i8(given[b % given.shape[0], i, s])
        greedy[b, i, s] = place if fixed < 0 else fixed

    return _kernel(kernel)


@functools.cache
def collect(with_values: bool) -> Any:
    """The kernel that copies the rows of some sessions, without what pads them, side by side: a thread a row."""

    def kernel(lanes, q, greedy, values, strategy):
        row = cuda.grid(1)  # pyright: ignore[reportCallIssue]
        _, n, states, _ = q.shape
        if row >= lanes.size * n * states:
            return
        e, i, s = row // (n * states), row // states % n, row % states
        strategy[e, i, s] = greedy[lanes[e], i, s]
        if with_values:
            for a in range(values.shape[3]):
                values[e, i, s, a] = q[lanes[e], i, s, a]

    return _kernel(kernel)


def _kernel(function: Callable[..., None]) -> Any:
    return cuda.jit(fastmath=False)(inspect.unwrap(function))
