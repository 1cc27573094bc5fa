"""Payoffs that are read entry by entry: a double oracle asks for what it needs and for nothing twice.

A matrix is one source of entries; a function of row and column numbers is another, for games too large to write down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.kinds.normal_form import NormalFormGame

__all__ = ["PayoffAccess", "as_access"]

_CONSTANT_SUM = 1e-9  # relative to the largest payoff


class PayoffAccess:
    """The payoffs to player 0 of a two-player zero-sum game, by row and column number.

    Args:
        entries: A function of row numbers `(r, 1)` and column numbers `(1, c)`, int64, that returns their payoffs
            `(r, c)`.
        shape: The numbers of rows and columns; None where there is no largest number.
        name: What errors call the game.

    Raises:
        InvalidSettingError: If a number of strategies is below one.

    Example:
        >>> access = PayoffAccess(lambda i, j: np.sign(i - j), (None, None), name="larger")
        >>> access.block([3, 5], [4]).tolist(), access.read
        ([[-1.0], [1.0]], 2)
    """

    def __init__(
        self,
        entries: Callable[[np.ndarray, np.ndarray], np.ndarray],
        shape: tuple[int | None, int | None],
        *,
        name: str = "payoffs",
    ) -> None:
        if len(shape) != 2 or any(size is not None and size < 1 for size in shape):
            raise InvalidSettingError(f"{name}: got shape {shape}, expected two numbers >= 1, None for no bound")
        self._entries, self.shape, self.name = entries, (shape[0], shape[1]), name
        self.read = 0
        """How many entries were asked for so far."""

    def block(self, rows: Sequence[int] | np.ndarray, columns: Sequence[int] | np.ndarray) -> np.ndarray:
        """The payoffs at these rows and columns, `(r, c)`, float64.

        Raises:
            InvalidGameError: If an entry is not a finite number, or the source returns another shape.
        """
        i, j = np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)
        found = np.asarray(self._entries(i[:, None], j[None, :]), dtype=np.float64)
        if found.shape != (len(i), len(j)):
            raise InvalidGameError(
                f"{self.name}: got payoffs of shape {found.shape} for {len(i)} rows and {len(j)} columns, "
                f"expected {(len(i), len(j))}"
            )
        if not np.isfinite(found).all():
            a, b = np.argwhere(~np.isfinite(found))[0]
            raise InvalidGameError(
                f"{self.name}: the payoff of player_0 at row {i[a]}, column {j[b]} is {found[a, b]}, "
                "expected a finite number"
            )
        self.read += found.size
        return found

    def entry(self, row: int, column: int) -> float:
        """One payoff."""
        return float(self.block([row], [column])[0, 0])

    def row(self, row: int) -> np.ndarray:
        """The payoffs of one row against every column, `(n,)`."""
        return self.block([row], self._all(1))[0]

    def column(self, column: int) -> np.ndarray:
        """The payoffs of every row against one column, `(m,)`."""
        return self.block(self._all(0), [column])[:, 0]

    def _all(self, player: int) -> np.ndarray:
        size = self.shape[player]
        if size is None:
            raise InvalidSettingError(f"{self.name}: player_{player} has no largest strategy, so not all can be read")
        return np.arange(size)


def as_access(payoffs: PayoffAccess | NormalFormGame | Tensor | np.ndarray | Sequence[Sequence[float]]) -> PayoffAccess:
    """Any description of a two-player zero-sum game as access to its entries.

    Args:
        payoffs: A matrix of payoffs to player 0 `(m, n)`, a `NormalFormGame` of two players whose payoffs sum to a
            constant, or a `PayoffAccess`, which is returned.

    Raises:
        InvalidGameError: If the matrix is ragged, empty or not finite, or the game is not of that kind.

    Example:
        >>> as_access([[1.0, -1.0], [-1.0, 1.0]]).row(1).tolist()
        [-1.0, 1.0]
    """
    if isinstance(payoffs, PayoffAccess):
        return payoffs
    name = payoffs.name if isinstance(payoffs, NormalFormGame) else "double oracle"
    matrix = _zero_sum(payoffs) if isinstance(payoffs, NormalFormGame) else _matrix(payoffs)
    return PayoffAccess(lambda i, j: matrix[i, j], (matrix.shape[0], matrix.shape[1]), name=name)


def _zero_sum(game: NormalFormGame) -> np.ndarray:
    if game.n_players != 2:
        raise InvalidGameError(
            f"{game.name}: got {game.n_players} players; a double oracle solves games of two. The ERM variant and PSRO "
            "play with more"
        )
    payoffs = game.payoffs.detach().cpu().double().numpy()
    total = payoffs.sum(0)
    if np.ptp(total) > _CONSTANT_SUM * max(1.0, float(np.abs(payoffs).max())):
        raise InvalidGameError(
            f"{game.name}: got payoffs whose sum runs from {total.min():.6g} to {total.max():.6g}, expected a zero-sum "
            "game (a constant sum); the ERM variant finds coarse correlated equilibria of any game"
        )
    return payoffs[0]


def _matrix(payoffs: Tensor | np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
    try:
        matrix = torch.as_tensor(payoffs, dtype=torch.float64).detach().cpu().numpy()
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidGameError(f"double oracle: expected one rectangular matrix of numbers: {error}") from error
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InvalidGameError(f"double oracle: got payoffs of shape {matrix.shape}, expected (rows, columns)")
    if not np.isfinite(matrix).all():
        i, j = np.argwhere(~np.isfinite(matrix))[0]
        raise InvalidGameError(
            f"double oracle: the payoff of player_0 at row {i}, column {j} is {matrix[i, j]}, expected a finite number"
        )
    return matrix
