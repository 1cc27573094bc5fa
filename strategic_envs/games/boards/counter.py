"""Random numbers by counting: 32 bits for each board and round, a pure function of the seed.

Nothing is stored, so a draw can be repeated, and boards can be cut into pieces in any way. The mixer is a bijection of
32-bit words: xor-shift, multiply, xor-shift, multiply, xor-shift, with the constants 0x21F0AAAD and 0x735A2D97 that a
search for the least bias found (C. Wellons and T. Ettinger, "hash-prospector", 2018-2023).
"""

from __future__ import annotations

import functools

import torch
from jaxtyping import Int
from torch import Tensor

from strategic_envs.seeding import child_seed

__all__ = ["draw_words", "lane_words", "mix", "mix_words", "round_word", "round_words", "seed_words"]

_WORD = 0xFFFFFFFF
_ODD = 0x9E3779B9  # 2^32 divided by the golden ratio


def mix(word: int) -> int:
    """The mixer on a Python integer below 2^32.

    Example:
        >>> mix(0), mix(1) != mix(2)
        (0, True)
    """
    word ^= word >> 16
    word = word * 0x21F0AAAD & _WORD
    word ^= word >> 15
    word = word * 0x735A2D97 & _WORD
    return word ^ word >> 15


@functools.lru_cache(maxsize=64)
def seed_words(seed: int) -> tuple[int, int]:
    """Two words of a seed: one for the lanes, one for the rounds."""
    words = child_seed(seed, "boards")
    return words & _WORD, words >> 31


def round_word(seed: int, turn: int) -> int:
    """The word of a round under a seed; rounds repeat after 2^32.

    Example:
        >>> round_word(0, 1) == round_word(0, 1) != round_word(0, 2)
        True
    """
    return mix(turn * _ODD + seed_words(seed)[1] & _WORD)


def round_words(seed: int, turns: range) -> Int[Tensor, " rounds"]:
    """The words of many rounds, int64 below 2^32."""
    counts = torch.arange(turns.start, turns.stop)
    return mix_words(counts * _ODD + seed_words(seed)[1] & _WORD)


def mix_words(word: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    """The mixer on int64 tensors of words."""
    word = word ^ word >> 16
    word = word * 0x21F0AAAD & _WORD
    word = word ^ word >> 15
    word = word * 0x735A2D97 & _WORD
    return word ^ word >> 15


def lane_words(lanes: int, seed: int, device: torch.device | str = "cpu") -> Int[Tensor, " lanes"]:
    """The words `(lanes,)` of the boards under a seed, int64 below 2^32; no two are alike."""
    return mix_words(torch.arange(lanes, device=device) ^ seed_words(seed)[0])


def draw_words(lane: Int[Tensor, " lanes"], word: int) -> Int[Tensor, " lanes"]:
    """The random words `(lanes,)` of a round."""
    return mix_words(lane ^ word)
