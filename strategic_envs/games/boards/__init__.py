"""Tic-tac-toe at full speed: thousands of boards in one call, compiled on the CPU, torch operations elsewhere.

`Boards` is the batched step; `random_play` is uniform random play inside one compiled call. Both draw the same
counter-based random numbers, give the same bytes for the same seed on every device, and follow the rules of
`strategic_envs.games.tic_tac_toe.TicTacToe` to the bit.
"""

from __future__ import annotations

from strategic_envs.games.boards.batch import Boards
from strategic_envs.games.boards.random_play import RandomPlay, random_play

__all__ = ["Boards", "RandomPlay", "random_play"]
