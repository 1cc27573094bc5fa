"""The small game inside a double oracle: the strategies held, the entries read, and its solution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from strategic_envs.agents.double_oracle.finite.access import PayoffAccess
from strategic_envs.solvers.growing import GrowingGame
from strategic_envs.solvers.zero_sum import ZeroSumSolution, solve_zero_sum

__all__ = ["RestrictedGame"]

_ROUNDING = 1e-13  # of the largest payoff: no solution of a small game need be better than this


class RestrictedGame:
    """What both players hold, and the payoffs between.

    With `full`, whole lines are read: the payoffs of every row against each column held, and of every column against
    each row held. No entry is asked for twice.

    Args:
        access: Where entries come from.
        start: The first row and column.
        full: Whether whole lines are read, or only the entries between strategies held.
    """

    def __init__(self, access: PayoffAccess, start: tuple[int, int], *, full: bool) -> None:
        self.access, self.full = access, full
        self.held: tuple[list[int], list[int]] = ([start[0]], [start[1]])
        self._sets: tuple[set[int], set[int]] = ({start[0]}, {start[1]})
        self._sharpened = False
        self.scale = 0.0
        """The largest payoff between strategies held, in absolute value."""
        if full:
            m, n = access.shape
            assert m is not None and n is not None
            self.masks = tuple(np.arange(size) == s for size, s in zip((m, n), start, strict=True))
            self._lines = [np.empty((4, m)), np.empty((4, n))]  # A[:, C] and A[R, :], a line a strategy held
            self._lines[0][0] = access.column(start[1])
            self._lines[1][0] = self._read(1, start[0], known=1)
            self._small = GrowingGame(float(self._lines[0][0, start[0]]))
        else:
            self._small = GrowingGame(access.entry(*start))
        self._note(self.matrix)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many strategies each player holds."""
        return len(self.held[0]), len(self.held[1])

    @property
    def matrix(self) -> np.ndarray:
        """The payoffs between the strategies held."""
        return self._small.matrix

    def solve(self, tolerance: float) -> ZeroSumSolution:
        """A Nash equilibrium of the small game, ten times nearer than the tolerance of the large one."""
        wanted = max(tolerance / 10, _ROUNDING * self.scale)
        if not self._sharpened:
            return self._small.solve(wanted)
        found = [self._small.solve(0.0), solve_zero_sum(torch.from_numpy(self.matrix.copy()), tolerance=wanted)]
        return min(found, key=lambda s: s.nash_conv)

    def sharpen(self) -> bool:
        """Lets `solve` do what it can until something is added; False if it did so already."""
        before, self._sharpened = self._sharpened, True
        return not before

    def payoffs(self, player: int, weights: np.ndarray) -> np.ndarray:
        """The payoffs to player 0 of all of a player's strategies against the opponent's mixture of those it holds."""
        return weights @ self._lines[player][: len(weights)]

    def new(self, player: int, strategies: Sequence[int]) -> list[int]:
        """Those that are not held yet."""
        return [s for s in dict.fromkeys(strategies) if s not in self._sets[player]]

    def add(self, rows: Sequence[int], columns: Sequence[int]) -> None:
        """Adds strategies, none of which is held, and reads what is missing."""
        for c in columns:
            self._small.add(columns=[self._note(self._take(0, c))])
            self._hold(1, c)
        for r in rows:
            self._small.add(rows=[self._note(self._take(1, r))])
            self._hold(0, r)
        self._sharpened = self._sharpened and not (rows or columns)

    def played(self, player: int, weights: Tensor) -> tuple[int, ...]:
        """The numbers of the strategies with a positive weight."""
        return tuple(self.held[player][k] for k in weights.nonzero().flatten().tolist())

    def _note(self, payoffs: np.ndarray) -> np.ndarray:
        self.scale = max(self.scale, float(np.abs(payoffs).max()))
        return payoffs

    def _hold(self, player: int, strategy: int) -> None:
        self.held[player].append(strategy)
        self._sets[player].add(strategy)
        if self.full:
            self.masks[player][strategy] = True

    def _take(self, player: int, opposing: int) -> np.ndarray:
        """What all strategies that a player holds get against a new one of the opponent."""
        if not self.full:
            block = (self.held[0], [opposing]) if player == 0 else ([opposing], self.held[1])
            return self.access.block(*block).reshape(-1)
        count = len(self.held[1 - player])
        lines = self._lines[player]
        if count == len(lines):
            self._lines[player] = lines = np.concatenate([lines, np.empty_like(lines)])
        lines[count] = self._read(player, opposing, known=len(self.held[player]))
        return lines[count][self.held[player]]

    def _read(self, player: int, opposing: int, known: int) -> np.ndarray:
        """A whole line: what is known from the other player's lines, and the rest from the source."""
        held = np.asarray(self.held[player][:known])
        rest = np.flatnonzero(~self.masks[player])
        line = np.empty(len(self.masks[player]))
        line[held] = self._lines[1 - player][:known, opposing]
        block = (rest, [opposing]) if player == 0 else ([opposing], rest)
        line[rest] = self.access.block(*block).reshape(-1)
        return line
