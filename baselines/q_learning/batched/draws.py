"""The draws of many sessions for blocks of periods: the words of `q_learning/draws.py`, firms first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt64

from strategic_envs.baselines.q_learning.batched.rules import Array
from strategic_envs.baselines.q_learning.draws import price_of, uniform_of, word_tensor, words

__all__ = ["Block", "PeriodDraws", "ThinnedDraws"]


class Block(NamedTuple):
    """Draws of T periods: who explores, at which prices, and a number in [0, 1) that moves the market state."""

    explore: Bool[Array, "T n A"]
    price: Int[Array, "T n A"]
    chance: Float[Array, "T A"]


@dataclass
class PeriodDraws:
    """Exploration tested in every period, by words that the array library computes itself.

    Args:
        keys: The sessions' keys `(B,)`.
        m: The number of prices.
        level: The chance that each firm explores in period 0 `(n,)`.
        fade: What it is multiplied with each period `(n,)`.
        like: An array of the library and the device that do the work.
        markets: Whether there are several market states.
    """

    keys: UInt64[np.ndarray, " B"]
    m: int
    level: Float[np.ndarray, " n"]
    fade: Float[np.ndarray, " n"]
    like: Any
    markets: bool

    def __post_init__(self) -> None:
        self._period, self._level = 0, self.level

    def block(self, period: int, count: int, live: Int[np.ndarray, " A"]) -> Block:
        """The draws of `count` periods from `period` on, for some of the sessions; periods must not go back."""
        ladder = np.vstack([self._level, np.tile(self.fade, (period - self._period + count, 1))])
        ladder = np.cumprod(ladder, axis=0)[period - self._period :]  # one product a period: the bits of the plain loop
        self._period, self._level = period, ladder[0]
        limit, n = ladder[:count, :, None] * 2.0**40, len(self.level)
        if isinstance(self.like, np.ndarray):
            word = self._words(period, count, live, n).transpose(0, 2, 1).copy()
            explore = (word >> np.uint64(24)).astype(np.float64) < limit
            return Block(explore, price_of(word, self.m), self.chance(period, count, live))
        device = self.like.device
        keys = torch.from_numpy(self.keys[live].view(np.int64)).to(device).expand(count, -1)
        t = torch.arange(period, period + count, device=device)[:, None]
        word = word_tensor(keys, t, n).transpose(1, 2).contiguous()
        explore = (word >> 24 & (1 << 40) - 1).double() < torch.from_numpy(limit).to(device)
        chance = torch.from_numpy(self.chance(period, count, live)).to(device)
        return Block(explore, (word & (1 << 24) - 1) * self.m >> 24, chance)

    def chance(self, period: int, count: int, live: Int[np.ndarray, " A"]) -> Float[np.ndarray, "T A"]:
        """The numbers that choose the market states after `count` periods: words of the periods that these are for."""
        if not self.markets:
            return np.zeros((count, len(live)))
        return uniform_of(self._words(period + 1, count, live, len(self.level) + 1)[..., -1])

    def _words(self, period: int, count: int, live: Int[np.ndarray, " A"], firms: int) -> UInt64[np.ndarray, "T A n"]:
        keys = np.broadcast_to(self.keys[live], (count, len(live)))
        return words(keys, np.arange(period, period + count)[:, None], firms)


@dataclass
class ThinnedDraws:
    """Exploration tested in every period at first, then drawn as gaps between explorations (`draws_compiled.py`).

    Args:
        early: The draws of periods before the gaps begin, and of the market states.
        cap: The last period that matters.
    """

    early: PeriodDraws
    cap: int

    def __post_init__(self) -> None:
        from strategic_envs.baselines.q_learning.batched import gaps  # late: numba takes half a second
        from strategic_envs.baselines.q_learning.draws_compiled import hazards

        self._gaps = gaps
        self._table = hazards(self.early.level, self.early.fade, self.cap)
        self._next = gaps.first(self.early.keys, self._table, len(self.early.level))

    def block(self, period: int, count: int, live: Int[np.ndarray, " A"]) -> Block:
        """The draws of the next periods, `count` or fewer; prices are 0 where nobody explores."""
        if period < self._table.start:
            return self.early.block(period, min(count, self._table.start - period), live)
        explore = np.zeros((count, len(self.early.level), len(live)), dtype=bool)
        price = np.zeros(explore.shape, dtype=np.int64)
        self._gaps.fill(self.early.keys, self._table, live, self._next, period, self.early.m, explore, price)
        block = Block(explore, price, self.early.chance(period, count, live))
        if isinstance(self.early.like, np.ndarray):
            return block
        return Block(*(torch.from_numpy(part).to(self.early.like.device) for part in block))
