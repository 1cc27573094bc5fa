"""Zero-sum matrix games that grow by rows and columns, solved again from where they were solved before.

That is the work of a double oracle: its game grows by a row and a column an iteration, and the basis that solved it
last is some pivots away from the next one, where a linear program from scratch needs hundreds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from strategic_envs.errors import InvalidGameError
from strategic_envs.solvers.scaled import Array, ZeroSumSolution
from strategic_envs.solvers.simplex import Tableau
from strategic_envs.solvers.zero_sum import solve_zero_sum

__all__ = ["GrowingGame"]

Lines = Array | Sequence[Sequence[float] | Array]

_REFRESH = 40  # solutions until the tableau is computed anew, against rounding errors that add up
_LOW, _HIGH = -1.5, 4.0  # scaled payoffs outside make new scales


class GrowingGame:
    """A zero-sum matrix game to which rows and columns are added.

    It starts as one entry. After `add` the next `solve` begins at the last solution.

    Args:
        entry: The payoff to the row player at the first row and column.

    Raises:
        InvalidGameError: If it is not finite.

    Example:
        >>> game = GrowingGame(1.0)
        >>> game.add(columns=[[-1.0]], rows=[[-1.0, 1.0]])
        >>> solution = game.solve()
        >>> solution.row.numpy().round(9).tolist(), round(solution.value, 9), solution.solved
        ([0.5, 0.5], 0.0, True)
    """

    def __init__(self, entry: float) -> None:
        if not np.isfinite(entry):
            raise InvalidGameError(f"growing game: got the entry {entry}, expected a finite number")
        self._payoffs = np.full((4, 4), float(entry))
        self._rows = self._columns = 1
        self._middle, self._half = float(entry), 0.0  # of the scaled payoffs in the tableau
        self._tableau = Tableau(np.zeros((1, 1)))
        self._solutions = 0

    @property
    def matrix(self) -> Array:
        """The payoffs so far, `(m, n)`."""
        return self._payoffs[: self._rows, : self._columns]

    @property
    def pivots(self) -> int:
        """How many pivots were made since the payoffs were last scaled."""
        return self._tableau.pivots

    def add(self, *, columns: Lines = (), rows: Lines = ()) -> None:
        """Adds columns, then rows.

        Args:
            columns: The new columns `(c, m)`: their payoffs at every row there is.
            rows: The new rows `(r, n)`: their payoffs at every column, the new ones included.

        Raises:
            InvalidGameError: If a shape does not fit or a payoff is not finite; nothing of it is added then.
        """
        new_columns = [_checked(line, self._rows) for line in columns]
        new_rows = [_checked(line, self._columns + len(new_columns)) for line in rows]
        self._payoffs = _roomy(self._payoffs, (self._rows + len(new_rows), self._columns + len(new_columns)))
        for line in new_columns:
            self._payoffs[: self._rows, self._columns] = line
            self._columns += 1
            self._enter(line, self._tableau.add_column)
        for line in new_rows:
            self._payoffs[self._rows, : self._columns] = line
            self._rows += 1
            self._enter(line, self._tableau.add_row)

    def solve(self, tolerance: float = 1e-9) -> ZeroSumSolution:
        """A Nash equilibrium of the game so far; `solved` says whether its NashConv is within the tolerance.

        Args:
            tolerance: In payoff units. When rounding is in the way, the tableau is computed anew; then other methods
                are tried; the best pair seen is returned.
        """
        self._solutions += 1
        if self._half == 0.0:
            self._rescale()
        found = self._read(tolerance)
        if not found.solved or self._solutions % _REFRESH == 0:
            self._tableau.refresh()
            found = self._read(tolerance)
        if not found.solved:
            self._rescale()
            found = self._read(tolerance)
        if not found.solved:
            other = solve_zero_sum(self.matrix, tolerance=max(tolerance / (self._half or 1.0), 1e-15))
            found = min(found, other, key=lambda solution: solution.nash_conv)
        return found

    def _enter(self, line: Array, add: Callable[[Array], None]) -> None:
        """Gives the tableau a scaled line, or notes that it needs new scales."""
        scaled = (line - self._middle) / (self._half or 1.0)
        if self._half and scaled.min() >= _LOW and scaled.max() <= _HIGH:
            add(scaled)
        else:
            self._half = 0.0

    def _rescale(self) -> None:
        low, high = float(self.matrix.min()), float(self.matrix.max())
        self._middle, self._half = low / 2 + high / 2, high / 2 - low / 2
        self._tableau = Tableau((self.matrix - self._middle) / (self._half or 1.0))

    def _read(self, tolerance: float) -> ZeroSumSolution:
        self._tableau.solve()
        row, column = (np.nan_to_num(x) for x in self._tableau.strategies())
        against_row, against_column = row @ self.matrix, self.matrix @ column
        lower, upper = float(against_row.min()), float(against_column.max())
        solved = upper - lower <= tolerance and row.sum() > 0.5 and column.sum() > 0.5
        value = float(row @ against_column)
        return ZeroSumSolution(
            torch.from_numpy(row), torch.from_numpy(column), value, lower, upper, "growing simplex", bool(solved)
        )


def _checked(line: Array | Sequence[float], length: int) -> Array:
    payoffs = np.asarray(line, dtype=np.float64)
    if payoffs.shape != (length,) or not np.isfinite(payoffs).all():
        raise InvalidGameError(f"growing game: got a line of shape {payoffs.shape}, expected {length} finite payoffs")
    return payoffs


def _roomy(array: Array, shape: tuple[int, int]) -> Array:
    """The array, or a larger copy, that has room for this shape."""
    if array.shape[0] >= shape[0] and array.shape[1] >= shape[1]:
        return array
    larger = np.zeros([max(have, 2 * want) for have, want in zip(array.shape, shape, strict=True)])
    larger[: array.shape[0], : array.shape[1]] = array
    return larger
