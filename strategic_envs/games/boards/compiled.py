"""The rules and the draws as loops that numba compiles: every loop over boards becomes vector instructions.

Words are kept in 32 bits on purpose, each operation cast back: numba would promote them to 64 bits, which halves the
speed, and a word that is not cut off indexes out of range. A board is `X | O << 9`; a set of cells has 9 bits.
Import this module late: numba takes half a second.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

__all__ = ["draw_moves", "make_moves", "play_on"]

u4, i8 = np.uint32, np.int64


def _part(function: Callable[..., Any]) -> Any:
    return numba.njit(inspect.unwrap(function), inline="always")


def _loop(function: Callable[..., Any]) -> Any:
    return numba.njit(inspect.unwrap(function), error_model="numpy", nogil=True)


@_part
def mix(word):
    """The mixer of `counter.py`."""
    word = u4(word ^ (word >> u4(16)))
    word = u4(word * u4(0x21F0AAAD))
    word = u4(word ^ (word >> u4(15)))
    word = u4(word * u4(0x735A2D97))
    return u4(word ^ (word >> u4(15)))


@_part
def line(cells):
    """1 if a set of cells holds a line, else 0: rows, columns, both diagonals."""
    rows = cells & (cells >> u4(1)) & (cells >> u4(2)) & u4(0o111)
    columns = cells & (cells >> u4(3)) & (cells >> u4(6)) & u4(0o7)
    down = cells & (cells >> u4(4)) & (cells >> u4(8)) & u4(1)
    up = (cells >> u4(2)) & (cells >> u4(4)) & (cells >> u4(6)) & u4(1)
    return u4(min(u4(rows | columns | down | up), u4(1)))


@_part
def size(cells):
    """How many cells a set holds."""
    pairs = u4((cells & u4(0o525)) + ((cells >> u4(1)) & u4(0o125)))
    fours = u4((pairs & u4(0x333)) + ((pairs >> u4(2)) & u4(0x333)))
    return u4((fours & u4(15)) + ((fours >> u4(4)) & u4(15)) + (fours >> u4(8)))


@_part
def pick(cells, count, word):
    """One of the `count` cells of a set as a set, by a random word; no cell of none.

    The share of the word, `floor(2^-27 count (word >> 5))`, says how many cells to drop from below; each has the same
    chance up to 1e-7.
    """
    left = u4(u4(u4(word >> u4(5)) * count) >> u4(27))
    for _ in range(8):
        drop = u4(min(left, u4(1)))
        left = u4(left - drop)
        cells = u4(cells & u4(cells - drop))  # without its lowest cell, if one is to be dropped
    return u4(cells & u4(u4(0) - cells))


@_part
def number(cell):
    """The number 0..8 of the only cell of a set."""
    low = u4(min(u4(cell & u4(0b010101010)), u4(1))) | u4(u4(min(u4(cell & u4(0b011001100)), u4(1))) << u4(1))
    return u4(low | u4(u4(min(u4(cell & u4(0b011110000)), u4(1))) << u4(2)) | u4((cell >> u4(8)) << u4(3)))


@_loop
def draw_moves(legal_bits, lane_seed, word, action):
    """Writes a uniform legal action of each board, -1 where there is none."""
    chosen = np.empty(len(action), np.int32)  # widened at the end: a loop is as narrow as its widest number is wide
    for i in range(len(action)):
        cells = u4(legal_bits[i])
        count = size(cells)
        cell = pick(cells, count, mix(u4(mix(u4(u4(i) ^ lane_seed)) ^ word)))
        chosen[i] = np.int32(number(cell)) - np.int32(count == u4(0))
    for i in range(len(action)):
        action[i] = chosen[i]


@_loop
def make_moves(state, action, restart, after, mover, legal_bits, legal, terminated, rewards):
    """Writes what follows the actions, and says whether one of them is illegal (then all that was written is void).

    A board that is over stays as it is, with no reward, if its action is -1.
    """
    wrong = u4(0)
    for i in range(len(state)):
        x, o = u4(u4(state[i]) & u4(511)), u4(u4(state[i]) >> u4(9))
        taken = u4(x | o)
        ended = u4(line(x) | line(o) | u4(taken == u4(511)))
        passes = u4(ended & u4(action[i] == -1))
        cell = u4(u4(1) << u4(u4(action[i]) & u4(15)))
        illegal = u4(ended | u4(action[i] < 0) | u4(action[i] > 8) | u4((taken & cell) != u4(0)))
        wrong = u4(wrong | u4(illegal & u4(passes ^ u4(1))))

        turn = u4(size(taken) & u4(1))
        cell = u4(cell * u4(passes ^ u4(1)))
        own = u4((o if turn != u4(0) else x) | cell)
        wins = u4(line(own) & u4(passes ^ u4(1)))
        over = u4(wins | passes | u4(u4(taken | cell) == u4(511)))
        stop = u4(over & restart)
        board = u4(u4(state[i]) | u4(cell << u4(turn * u4(9))))
        after[i] = i8(u4(0) if stop != u4(0) else board)
        mover[i] = i8(u4(0) if stop != u4(0) else u4(turn ^ passes ^ u4(1)))
        free = u4(0) if over != u4(0) else u4(u4(511) & ~u4(taken | cell))
        legal_bits[i] = np.int16(u4(511) if stop != u4(0) else free)
        terminated[i] = over != u4(0)
        gain = np.int32(wins) * (np.int32(1) - np.int32(2) * np.int32(turn))
        rewards[0, i] = np.float32(gain)
        rewards[1, i] = np.float32(-gain)
    for cell in range(9):  # a pass for each cell: the boards lie side by side in memory
        row = legal[cell]
        for i in range(len(state)):
            row[i] = ((legal_bits[i] >> cell) & 1) != 0
    return wrong != u4(0)


@_loop
def play_on(board, lane, words, restart):
    """Moves every board once for each of the words; returns the counts of moves, wins of X, wins of O and draws.

    A board is `mover's cells | other's cells << 9 | empty cells << 18`, as a number of 32 bits. A board that is over
    starts again if `restart` is 1, and otherwise stays over (no empty cells).
    """
    moves, crosses, noughts, draws = i8(0), i8(0), i8(0), i8(0)
    for t in range(len(words)):
        made, x_wins, o_wins, drawn = u4(0), u4(0), u4(0), u4(0)
        for i in range(len(board)):
            own, other = u4(board[i] & u4(511)), u4((board[i] >> u4(9)) & u4(511))
            count = u4(board[i] >> u4(18))
            live = u4(min(count, u4(1)))
            free = u4(u4(511) & ~u4(own | other))
            own = u4(own | u4(pick(free, count, mix(u4(lane[i] ^ words[t]))) * live))
            wins, is_x = u4(line(own) & live), u4(count & u4(1))
            full = u4(count == u4(1))
            made = u4(made + live)
            x_wins = u4(x_wins + u4(wins & is_x))
            o_wins = u4(o_wins + u4(wins & u4(is_x ^ u4(1))))
            drawn = u4(drawn + u4(full & u4(wins ^ u4(1))))
            onward = u4(other | u4(own << u4(9)) | u4(u4(count - live) << u4(18)))
            board[i] = u4(u4(9 << 18) * restart) if u4(wins | full) != u4(0) else onward
        moves, crosses, noughts, draws = moves + i8(made), crosses + i8(x_wins), noughts + i8(o_wins), draws + i8(drawn)
    return moves, crosses, noughts, draws
