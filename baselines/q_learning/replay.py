"""The random numbers of the authors' program, so that their published sessions can be played again bit for bit.

Two multiplicative congruential streams, `x <- 40014 x mod 2147483563` and `y <- 40692 y mod 2147483399`, are combined
through 32 shuffled slots (P. L'Ecuyer, CACM 31, 1988; C. Bays and S. D. Durham, ACM TOMS 2, 1976). A session draws from
a stream of its own, four numbers a period for two firms, used or not: whether firm 1 and 2 explore, then their prices.
First prices come from one stream for all sessions in their order. Import this module late: numba takes half a second.
"""

from __future__ import annotations

import inspect
from typing import Any

import numba
import numpy as np
from jaxtyping import Int

__all__ = ["draw", "first_states", "stream"]

_X, _Y = 2147483563, 2147483399
_LARGEST = 1.0 - 1.2e-7
_WARM_UP = 40


def stream(number: int) -> Int[np.ndarray, " 35"]:
    """The stream of a number: x, y, the last output and the 32 slots.

    Example:
        >>> round(float(draw(stream(1))), 6)
        0.285381
    """
    state = np.empty(35, np.int64)
    x = number
    for left in range(_WARM_UP - 1, -1, -1):  # the last value comes to lie in slot 0, the one before in slot 1
        x = 40014 * x % _X
        if left < 32:
            state[3 + left] = x
    state[0], state[1], state[2] = x, number, x
    return state


def _draw(state):
    """The next number in (0, 1) of a stream."""
    x = 40014 * state[0] % _X
    y = 40692 * state[1] % _Y
    slot = 3 + state[2] // 67108862
    out = state[slot] - y
    state[slot] = x
    if out < 1:
        out += _X - 1
    state[0], state[1], state[2] = x, y, out
    return min(out * (1.0 / _X), _LARGEST)


draw: Any = numba.njit(inspect.unwrap(_draw), error_model="numpy")


def first_states(last: int, n: int, memory: int, m: int) -> Int[np.ndarray, " sessions"]:
    """The first states of sessions 1 to `last`: prices lag by lag, in each lag firm by firm.

    Example:
        >>> first_states(3, 2, 1, 15).shape
        (3,)
    """
    numbers = stream(1)
    states = np.zeros(last, np.int64)
    for r in range(last):
        for lag in range(memory):
            for firm in range(n):
                price = int(m * draw(numbers))
                states[r] += price * m ** (memory * (n - 1 - firm) + memory - 1 - lag)
    return states
