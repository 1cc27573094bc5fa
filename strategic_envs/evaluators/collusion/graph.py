"""Play without exploration as a graph in which every state has one successor, and what play is worth from everywhere.

Two facts make this cheap. A successor is linear in the prices: `shift[s] + sum_i a_i stride[i]`, where `shift[s]` is
what remains of state s when its oldest period is forgotten. And values of a fixed plan need no matrix: every walk ends
in a cycle, whose value is a geometric series, and the states before it follow backwards. Import this module late: numba
takes half a second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from strategic_envs.games.pricing.tables import PricingTables
from strategic_envs.solvers.compiled import exact_loop

__all__ = ["Codec", "codec", "cycle_from", "evaluate", "lead_to", "relative", "successors"]


@exact_loop
def relative(change, base):
    """A change as a share of what it is measured by; of nothing, a whole one in its direction."""
    if base != 0.0:
        return change / abs(base)
    return np.sign(change) * 1.0


class Codec(NamedTuple):
    """How prices move states: `shift (S,)`, and per firm the `stride` of its digit and its `place` in a joint price."""

    shift: np.ndarray
    stride: np.ndarray
    place: np.ndarray


def codec(tables: PricingTables) -> Codec:
    """The numbers that turn prices into the next state and into the number of the joint price.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> codec(pricing().frozen()).stride.tolist()
        [15, 1]
    """
    n, k, b = tables.n, tables.memory, tables.base
    shift = tables.follow(np.arange(tables.n_states), np.zeros((tables.n_states, n), np.int64))
    firms = np.arange(n)[::-1]
    stride = b ** (k * firms + k - 1) if k else np.zeros(n, np.int64)
    return Codec(shift.astype(np.int64), stride.astype(np.int64), (tables.m**firms).astype(np.int64))


@exact_loop
def successors(shift, stride, place, strategy, after, joint):
    """Writes the next state and the joint price of every state when all firms follow `strategy (n, S)`."""
    for s in range(len(shift)):
        code, number = shift[s], np.int64(0)
        for i in range(len(stride)):
            code += strategy[i, s] * stride[i]
            number += strategy[i, s] * place[i]
        after[s], joint[s] = code, number


@exact_loop
def evaluate(after, reward, delta, value, mark, path):
    """Writes the discounted value of every state: exact up to rounding, one pass over the states.

    `mark` and `path` are scratch, `(S,)` integers.
    """
    mark[:] = -1
    for start in range(len(after)):
        s, top = start, 0
        while mark[s] < 0:
            mark[s] = start
            path[top] = s
            top += 1
            s = after[s]
        if mark[s] == start and top > 0:  # this walk met itself: a new cycle, from s to the end of the path
            total, weight, at = 0.0, 1.0, top - 1
            while True:
                total = reward[path[at]] + delta * total
                weight *= delta
                if path[at] == s:
                    break
                at -= 1
            value[s] = total / (1.0 - weight)
            for back in range(top - 1, at, -1):
                value[path[back]] = reward[path[back]] + delta * value[after[path[back]]]
            top = at
        for back in range(top - 1, -1, -1):
            value[path[back]] = reward[path[back]] + delta * value[after[path[back]]]


@exact_loop
def cycle_from(after, state, mark, cycle):
    """Writes the cycle that play reaches from a state, from where it is entered on, and returns its length.

    `mark` is scratch, `(S,)` integers.
    """
    mark[:] = 0
    s = state
    while mark[s] == 0:
        mark[s] = 1
        s = after[s]
    entry, length = s, 0
    while True:
        cycle[length] = s
        length += 1
        s = after[s]
        if s == entry:
            return length


@exact_loop
def lead_to(after, end, path):
    """Writes, for every state, the number of the cycle it leads to (numbered from 0), and returns how many there are.

    `path` is scratch, `(S,)` integers.
    """
    end[:] = -2
    count = 0
    for start in range(len(after)):
        s, top = start, 0
        while end[s] == -2:
            end[s] = -1  # on the present walk
            path[top] = s
            top += 1
            s = after[s]
        number = end[s]
        if number == -1:
            number, count = count, count + 1
        for at in range(top):
            end[path[at]] = number
    return count
