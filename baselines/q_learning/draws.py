"""The random numbers of a session: 64-bit words keyed by (seed, session, period, firm), and nothing stored.

A draw can be repeated in any order, so sessions can be batched, cut, resumed or moved to another device. With all
arithmetic modulo 2^64, `x >> k` without sign, `G = 0x9E3779B97F4A7C15`, `C = 0xD6E8FEB86659FD93` and
`A = 0xD1342543DE82EF95`:

    key  = scrambled(child_seed(seed, "pricing sessions") + (session + 1) G)
    h    = key + period G;  h = (h ^ h >> 32) C;  h = h ^ h >> 32        once for all firms
    w    = h A^(firm + 1);  word = w ^ w >> 32                           firm = 0, 1, ...

The firms of a period are thus successive states of a multiplicative generator (its multiplier is Steele and Vigna's,
2021, whose lattice is good in up to eight dimensions), started from a scrambled counter. What is drawn from a word:

* **exploration** from its upper 40 bits: the firm explores iff `word >> 24 < eps_t 2^40`, where `eps_0 = 1` and
  `eps_{t+1} = eps_t exp(-beta)` in float64;
* **a price** (or any choice among m) from its lower 24 bits: `(word mod 2^24) m >> 24`;
* **a number in [0, 1)** from its upper 53 bits, where a word serves only that: `(word >> 11) 2^-53`.

Which words are whose, with n firms:

* firm i's exploration and price, or its Boltzmann choice: `(period, i)`; the market state of a period: `(period, n)`;
  a tie between best prices of firm i: `(period, n + 1 + i)`;
* the price of firm i that the first state holds `lag` periods back: `(2^62 + lag, i)`;
* a random first value of firm i: `(2^61 + cell, i)` with `cell = state m + price`;
* the gaps between explorations of thinned draws (`draws_compiled.py`): from `(2^60, i)` upwards.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int, UInt64
from numpy.typing import ArrayLike
from torch import Tensor

from strategic_envs.seeding import child_seed

__all__ = [
    "CELLS",
    "GAPS",
    "START",
    "exploration_threshold",
    "price_of",
    "scrambled",
    "session_key",
    "session_keys",
    "uniform_of",
    "word_tensor",
    "words",
]

STEP = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio: the counter's step
FIRST = 0xD6E8FEB86659FD93
FIRM = 0xD1342543DE82EF95
START = 1 << 62
"""The period of the words that choose the first state."""
CELLS = 1 << 61
"""The first period of the words that choose random first values."""
GAPS = 1 << 60
"""The first period of the words that choose gaps between explorations."""
_WORD = (1 << 64) - 1


def scrambled(word: int) -> int:
    """A bijection of 64-bit words in which every bit depends on every bit.

    Example:
        >>> scrambled(0), scrambled(1) != scrambled(2)
        (0, True)
    """
    for _ in range(3):
        word = (word ^ word >> 32) * FIRST & _WORD
    return word ^ word >> 32


def session_key(seed: int, session: int) -> int:
    """The 64-bit key of a session under a seed.

    Raises:
        ValueError: If the seed is negative or no integer.

    Example:
        >>> session_key(0, 1) == session_key(0, 1) != session_key(1, 0)
        True
    """
    return scrambled(child_seed(seed, "pricing sessions") + (int(session) + 1) * STEP & _WORD)


def session_keys(seed: int, sessions: ArrayLike) -> UInt64[np.ndarray, " B"]:
    """The keys `(B,)` of many sessions.

    Example:
        >>> bool(session_keys(0, range(3))[2] == session_key(0, 2))
        True
    """
    word = np.asarray(sessions, np.int64).astype(np.uint64).reshape(-1) + np.uint64(1)
    word = word * np.uint64(STEP) + np.uint64(child_seed(seed, "pricing sessions"))
    for _ in range(3):
        word = (word ^ word >> np.uint64(32)) * np.uint64(FIRST)
    return word ^ word >> np.uint64(32)


def words(key: UInt64[np.ndarray, "*keys"], period: ArrayLike, firms: int) -> UInt64[np.ndarray, "*batch firms"]:
    """The words `(..., firms)` of firms 0, 1, ... of sessions in a period (or in one period a session).

    Args:
        key: The sessions' keys.
        period: One period, or periods that broadcast against the keys.
        firms: How many firms.

    Example:
        >>> words(session_keys(0, range(3)), 7, 2).shape
        (3, 2)
    """
    count = np.asarray(period, np.int64).astype(np.uint64).reshape(-1) if np.ndim(period) == 0 else np.asarray(period)
    h = key + count.astype(np.uint64) * np.uint64(STEP)
    h = (h ^ h >> np.uint64(32)) * np.uint64(FIRST)
    h = h ^ h >> np.uint64(32)
    power = np.array([pow(FIRM, i + 1, 1 << 64) for i in range(firms)], np.uint64)
    w = h[..., None] * power
    return w ^ w >> np.uint64(32)


def word_tensor(key: Int[Tensor, "*keys"], period: int | Tensor, firms: int) -> Int[Tensor, "*batch firms"]:
    """The same words as int64 bit patterns, on the keys' device.

    Args:
        key: The sessions' keys as int64 bit patterns: `torch.from_numpy(session_keys(...).view(np.int64))`.
        period: One period, or a tensor of periods that broadcasts against the keys.
        firms: How many firms.

    Example:
        >>> keys = session_keys(0, range(3))
        >>> ours = word_tensor(torch.from_numpy(keys.view(np.int64)), 7, 2)
        >>> bool((ours.numpy().view(np.uint64) == words(keys, 7, 2)).all())
        True
    """
    h = key + (period * _signed(STEP) if isinstance(period, Tensor) else _signed(period * STEP & _WORD))
    h = (h ^ (h >> 32 & 0xFFFFFFFF)) * _signed(FIRST)
    h = h ^ (h >> 32 & 0xFFFFFFFF)
    power = torch.tensor([_signed(pow(FIRM, i + 1, 1 << 64)) for i in range(firms)], device=key.device)
    w = h[..., None] * power
    return w ^ (w >> 32 & 0xFFFFFFFF)


def exploration_threshold(eps: float) -> float:
    """What `word >> 24` is compared with: a firm explores iff the former is smaller, as float64 or as integers.

    Example:
        >>> exploration_threshold(1.0) == 2**40
        True
    """
    return eps * 2.0**40


def price_of(word: UInt64[np.ndarray, "*batch"], m: int) -> Int[np.ndarray, "*batch"]:
    """The price indices below m, from the lower 24 bits of words."""
    return ((word & np.uint64(0xFFFFFF)) * np.uint64(m) >> np.uint64(24)).astype(np.int64)


def uniform_of(word: UInt64[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """Numbers in [0, 1), from the upper 53 bits of words."""
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
