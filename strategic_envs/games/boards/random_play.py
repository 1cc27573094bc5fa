"""Uniform random play of thousands of boards inside one call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.boards import tensors
from strategic_envs.games.boards.counter import lane_words, round_word, round_words, seed_words

__all__ = ["RandomPlay", "random_play"]

_LONGEST = 9  # moves of a game
_DRAWN = 0b110_001_101 | 0b001_110_010 << 9  # the code of a full board without a line
_ROUNDS = 4096  # rounds whose words are made at once


@dataclass(frozen=True)
class RandomPlay:
    """What random play has come to.

    Args:
        moves: Moves made.
        x_wins: Games won by X.
        o_wins: Games won by O.
        draws: Games drawn.
    """

    moves: int
    x_wins: int
    o_wins: int
    draws: int

    @property
    def games(self) -> int:
        """Games finished: all that were begun."""
        return self.x_wins + self.o_wins + self.draws


def random_play(rounds: int, *, lanes: int = 4096, seed: int = 0, device: torch.device | str = "cpu") -> RandomPlay:
    """Plays uniform legal moves on many boards at once and counts how the games end.

    Every board makes `rounds` moves, a new game beginning where one ends, and then finishes the game it is in: games
    are counted whole, so the shares of wins and draws are unbiased (Wald's identity). In the first `rounds` moves the
    boards are those of `Boards.start(lanes)` under `step(draw(seed, turn), restart=True)`, turn by turn.

    Args:
        rounds: Moves of each board before it may stop.
        lanes: Boards played side by side.
        seed: The seed; the same seed gives the same counts on every device.
        device: `"cpu"` runs one compiled loop, other devices run torch operations.

    Raises:
        InvalidSettingError: If `rounds` or `lanes` is not positive.

    Example:
        >>> found = random_play(100, lanes=1024, seed=0)
        >>> abs(found.x_wins / found.games - 737 / 1260) < 0.02
        True
    """
    if rounds < 1 or lanes < 1:
        raise InvalidSettingError(f"random play: got rounds={rounds}, lanes={lanes}, expected whole numbers >= 1")
    if torch.device(device).type != "cpu":
        return _on_device(rounds, lanes, seed, torch.device(device))
    from strategic_envs.games.boards import compiled  # late, because numba is slow to import

    lane = lane_words(lanes, seed).numpy().astype(np.uint32)
    board, total = np.full(lanes, 9 << 18, dtype=np.uint32), np.zeros(4, dtype=np.int64)
    for first in range(0, rounds, _ROUNDS):
        turns = range(first, min(first + _ROUNDS, rounds))
        total += compiled.play_on(board, lane, round_words(seed, turns).numpy().astype(np.uint32), np.uint32(1))
    last = round_words(seed, range(rounds, rounds + _LONGEST)).numpy().astype(np.uint32)
    board[board == np.uint32(9 << 18)] = 0  # nobody begins another game
    total += compiled.play_on(board, lane, last, np.uint32(0))
    return RandomPlay(*total.tolist())


def _on_device(rounds: int, lanes: int, seed: int, device: torch.device) -> RandomPlay:
    boards = tensors.describe(torch.zeros(lanes, dtype=torch.int64, device=device))
    total = torch.zeros(4, dtype=torch.int64, device=device)
    lane_seed = seed_words(seed)[0]
    for turn in range(rounds + _LONGEST):
        state, restart = boards[0], turn < rounds
        if turn == rounds:  # nobody begins another game: an empty board counts as over
            state = torch.where(state == 0, _DRAWN, state)
            boards = tensors.describe(state)
        live = boards[3] != 0
        found = tensors.step(state, tensors.draw(boards[3], lane_seed, round_word(seed, turn)), restart)
        assert found is not None, "a drawn move is legal"
        boards = found
        total += _counts(live, boards[4], boards[5][..., 0])
    return RandomPlay(*total.tolist())


def _counts(live: Tensor, terminated: Tensor, gain: Tensor) -> Tensor:
    ended = live & terminated
    return torch.stack([live.sum(), (gain > 0).sum(), (gain < 0).sum(), (ended & (gain == 0)).sum()])
