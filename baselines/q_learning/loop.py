"""One session as a loop over periods: the reference that every other executor equals bit for bit.

A period (AER 2020, section II): every firm chooses a price, greedy or exploring; the prices become the next state;
every firm that learns moves the cell it played,

    Q(s, a) <- Q(s, a) + alpha (profit + delta max Q(s', .) - Q(s, a)),

where the maximum is that from before this period's write. The greedy price of each state and its value are kept beside
the table: the greedy price changes when another cell becomes better (or as good, at a lower price: of the best prices
the lowest is greedy), and when the greedy cell falls its row is searched again. No value-changing optimisation and no
fused multiply-add: equal draws give equal bytes.

Import this module late: numba takes half a second.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

from strategic_envs.baselines.q_learning import draws_compiled, replay
from strategic_envs.baselines.q_learning.draws import CELLS, FIRM
from strategic_envs.baselines.q_learning.draws_compiled import (
    explores,
    firm_word,
    next_exploration,
    period_word,
    price,
    uniform,
    word,
)
from strategic_envs.baselines.q_learning.replay import draw
from strategic_envs.solvers.compiled import exact_loop

__all__ = [
    "BOLTZMANN",
    "PER_PERIOD",
    "REPLAY",
    "THINNED",
    "Draws",
    "Market",
    "Rule",
    "Values",
    "advance",
    "first_values",
]

PER_PERIOD, THINNED, BOLTZMANN, REPLAY = range(4)
_FIRM, _CELLS = np.uint64(FIRM), np.uint64(CELLS)
_NEARLY = 2.0**-52  # cells as near to the best tie with it, where ties are broken at random
T, STATE, MARKET, CALM, VISITED = range(5)  # what the clock holds
u8, i8 = np.uint64, np.int64


class Market(NamedTuple):
    """The game: profits `(D, J, n)`, who is present `(D, n)`, cumulative chances `(D, D)` of the next market state."""

    profit: np.ndarray
    present: np.ndarray
    chain: np.ndarray
    base: int


class Rule(NamedTuple):
    """How firms learn: rates `(n,)`, the discount factor, each period's factor of the exploration level `(n,)`."""

    alpha: np.ndarray
    delta: np.floating
    fade: np.ndarray
    learns: np.ndarray
    window: int


class Values(NamedTuple):
    """The tables `(n, S, m)`, and of each row the best value and the greedy price `(n, S)`."""

    q: np.ndarray
    best: np.ndarray
    greedy: np.ndarray


class Draws(NamedTuple):
    """The session's key, the next exploration of each firm or the stream to replay, and the table of hazards."""

    key: np.uint64
    state: np.ndarray
    hazards: Any


def _part(function: Callable[..., Any]) -> Any:
    return numba.njit(inspect.unwrap(function), error_model="numpy")


@_part
def _lowest_best(row):
    """The value and the place of the first of the highest numbers."""
    top, place = row[0], u8(0)
    for c in range(1, len(row)):
        if row[c] > top:
            top, place = row[c], u8(c)
    return top, place


@_part
def _tied_best(row, w):
    """The highest number, and by a random word one of the places that are as good up to rounding."""
    top = row.max()
    tied = 0
    for c in range(len(row)):
        tied += row[c] >= top - _NEARLY
    left = price(w, tied)
    for c in range(len(row)):
        if row[c] >= top - _NEARLY:
            if left == 0:
                return top, u8(c)
            left -= 1
    return top, u8(0)


@_part
def _soft_choice(row, best, temperature, u):
    """A place with chances in proportion to `exp(value / temperature)`, by a number in [0, 1)."""
    total = 0.0
    for c in range(len(row)):
        total += np.exp((row[c] - best) / temperature)
    left = u * total
    for c in range(len(row)):
        left -= np.exp((row[c] - best) / temperature)
        if left < 0.0:
            return u8(c)
    return u8(len(row) - 1)


@functools.cache
def advance(n: int, memory: int, source: int, random_ties: bool, markets: bool, recorded: bool) -> Any:
    """The compiled loop for a number of firms, a memory, a source of draws and a rule for ties.

    The loop is called as `loop(market, rule, values, draws, clock, level, earned, until)`. It plays from period
    `clock[T]` to before `until`, or to the end of the convergence window, and leaves the clock, the exploration levels
    `(n,)` and the values as they are then.

    Args:
        n: The number of firms.
        memory: How many periods they remember.
        source: `PER_PERIOD`, `THINNED`, `BOLTZMANN` or `REPLAY`.
        random_ties: Whether equally good prices are chosen from at random.
        markets: Whether there are several market states.
        recorded: Whether profits are added to `earned` `(n,)`.
    """
    stamp = _sources()  # part of the key under which numba keeps the compiled loop on disk
    lowest = not random_ties and source != REPLAY  # a cell that rises to exactly the best becomes greedy if it is lower

    def loop(market, rule, values, draws, clock, level, earned, until):
        q, best, greedy = values.q, values.best, values.greedy
        profit, alpha, delta, key = market.profit, rule.alpha, rule.delta, draws.key
        m, base = u8(q.shape[2]), u8(market.base)
        t, s, d, calm, visited = clock[T], u8(clock[STATE]), u8(clock[MARKET]), clock[CALM], clock[VISITED]
        played = np.zeros(n, np.uint64)
        numbers = np.ones(2 * n)
        here = np.ones(n, np.bool_)
        while t < until and calm < rule.window:
            # every firm chooses
            h = period_word(key, t)
            if source == REPLAY:
                for i in range(2 * n):
                    numbers[i] = draw(draws.state)
            joint, following = u8(0), u8(0)
            for i in range(n):
                a = u8(greedy[i, s])
                h = u8(h * _FIRM)
                w = u8(h ^ (h >> u8(32)))
                if source == REPLAY:
                    if numbers[i] <= level[i]:
                        a = u8(numbers[n + i] * m)
                elif source == BOLTZMANN:
                    if level[i] > 0.0:
                        a = _soft_choice(q[i, s], best[i, s], level[i], uniform(w))
                elif source == THINNED and t >= draws.hazards.start:
                    if t == draws.state[i]:
                        a = u8(price(w, m))
                        draws.state[i] = next_exploration(key, i, t, draws.hazards)
                elif explores(w, level[i]):
                    a = u8(price(w, m))
                level[i] *= rule.fade[i]
                digit = a
                if markets:
                    here[i] = market.present[d, i]
                    if not here[i]:
                        a, digit = (
                            u8(0),
                            m,
                        )  # whoever is absent leaves a digit of its own, and its price is not looked at
                if memory > 1:
                    digit = _remembered(s, digit, i, n, memory, base)
                    following = following * base ** u8(memory) + digit
                elif memory == 1:
                    following = following * base + digit
                joint = joint * m + a
                played[i] = a

            # every firm that learns moves the cell it played
            moved = False
            for i in range(n):
                if recorded:
                    earned[i] += profit[d, joint, i]
                if rule.learns[i] and here[i]:
                    a = played[i]
                    old = q[i, s, a]
                    new = old + alpha[i] * (profit[d, joint, i] + delta * best[i, following] - old)
                    q[i, s, a] = new
                    if a == u8(greedy[i, s]):
                        if new >= best[i, s]:
                            best[i, s] = new
                        else:
                            if random_ties:
                                best[i, s], choice = _tied_best(q[i, s], word(key, t, n + 1 + i))
                            else:
                                best[i, s], choice = _lowest_best(q[i, s])
                            if choice != a:
                                greedy[i, s] = choice
                                moved = True
                    elif new > best[i, s] or (lowest and new == best[i, s] and a < u8(greedy[i, s])):
                        best[i, s] = new
                        greedy[i, s] = a
                        moved = True

            calm = 1 if moved else calm + 1
            visited = i8(s)
            s = following
            t += 1
            if markets:  # the word of the period that comes
                d = u8(_next_market(market.chain, d, uniform(word(key, t, n))))
        clock[T], clock[STATE], clock[MARKET], clock[CALM], clock[VISITED] = t, s, d, calm, visited
        return stamp

    return exact_loop(loop)


@_part
def _remembered(s, digit, i, n, memory, base):
    """What firm i leaves in the next state: its latest digit in front, its oldest forgotten."""
    reach = base ** u8(memory)
    own = s // reach ** u8(n - 1 - i) % reach
    return own // base + digit * base ** u8(memory - 1)


@_part
def _next_market(chain, d, u):
    """The first market state whose cumulative chance is above a number in [0, 1)."""
    last = chain.shape[1] - 1
    following = 0
    while following < last and u >= chain[d, following]:
        following += 1
    return following


@functools.cache
def first_values(random_ties: bool) -> Any:
    """The compiled function that readies values: `ready(values, key, spread)`.

    It adds `spread` times a number in [0, 1) to every cell, by the words of `(CELLS + s m + a, i)`, and finds the best
    value and the greedy price of each row; ties at random by the words of `(CELLS + s, n + 1 + i)`.
    """
    stamp = _sources()

    def ready(values, key, spread):
        q, best, greedy = values.q, values.best, values.greedy
        n, states, m = q.shape
        for i in range(n):
            for s in range(states):
                if spread > 0.0:
                    for a in range(m):
                        w = firm_word(period_word(key, _CELLS + u8(s * m + a)), i)
                        q[i, s, a] += spread * uniform(w)
                if random_ties:
                    w = firm_word(period_word(key, _CELLS + u8(s)), n + 1 + i)
                    best[i, s], greedy[i, s] = _tied_best(q[i, s], w)
                else:
                    best[i, s], greedy[i, s] = _lowest_best(q[i, s])
        return stamp

    return exact_loop(ready)


@functools.cache
def _sources() -> int:
    """A number that changes with the text of the modules that a loop is made of: numba looks at this file only."""
    texts = [Path(str(module.__file__)).read_bytes() for module in (draws_compiled, replay)]
    return int.from_bytes(hashlib.sha256(b"".join(texts)).digest()[:6], "little")
