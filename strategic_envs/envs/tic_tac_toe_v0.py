"""Tic-tac-toe: player_0 is X and moves first; +1 for a win, -1 for a loss, 0 for a draw.

An action is a cell, numbered 0..8 row by row. A player observes 27 numbers (its own cells, the other's, the empty ones)
and a mask of the empty cells on its turn. An illegal move raises an error and changes nothing. The environment checks
order, bounds and legality itself, with the exceptions of PettingZoo's wrappers, so `env()` and `raw_env()` are alike.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from strategic_envs.envs.faces.turn_based import TurnBasedEnv
from strategic_envs.errors import require
from strategic_envs.games.tic_tac_toe import TicTacToe, board_text

__all__ = ["MODES", "SUMMARY", "env", "game", "raw_env"]

SUMMARY = "Tic-tac-toe with action masks; every state, value and best response is known exactly."
MODES = ("aec",)

_CELL = 100  # pixels
_PAPER, _INK, _X, _O = (250, 248, 240), (60, 60, 60), (200, 60, 50), (40, 90, 180)

game = TicTacToe  # the game itself; it has no options


class TicTacToeEnv(TurnBasedEnv):
    """The environment; see `raw_env`."""

    metadata: ClassVar[dict[str, Any]] = {
        **TurnBasedEnv.metadata,
        "name": "tic_tac_toe_v0",
        "render_modes": ["human", "ansi", "rgb_array"],
    }

    def __init__(self, *, render_mode: str | None = None) -> None:
        super().__init__(game(), render_mode=render_mode, tabulate=True)
        if render_mode == "human":
            require("pygame", "render", "The window of tic_tac_toe_v0")
        self._screen: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_screen": None}  # a window stays on the machine that opened it

    def _text(self) -> str:
        return board_text(self.state_code)

    def render(self) -> str | NDArray[np.uint8] | None:
        """The board: text in mode `"ansi"`, an image `(300, 300, 3)` in `"rgb_array"`, a window in `"human"`."""
        self._check_begun("render")
        if self.render_mode == "rgb_array":
            return board_image(self.state_code)
        if self.render_mode == "human":
            self._show(board_image(self.state_code))
            return None
        return super().render()

    def _show(self, image: NDArray[np.uint8]) -> None:
        pygame: Any = require("pygame", "render", "The window of tic_tac_toe_v0")
        if self._screen is None:
            pygame.display.init()
            pygame.display.set_caption("tic-tac-toe")
            self._screen = pygame.display.set_mode(image.shape[1::-1])
        pygame.surfarray.blit_array(self._screen, image.swapaxes(0, 1))
        pygame.event.pump()
        pygame.display.flip()

    def close(self) -> None:
        """Closes the window, if there is one."""
        if self._screen is not None:
            pygame: Any = require("pygame", "render", "The window of tic_tac_toe_v0")
            pygame.display.quit()
            self._screen = None


def board_image(state: int) -> NDArray[np.uint8]:
    """A picture of a board, `(300, 300, 3)`.

    Example:
        >>> board_image(0).shape
        (300, 300, 3)
    """
    size = 3 * _CELL
    image = np.full((size, size, 3), _PAPER, dtype=np.uint8)
    for line in (_CELL, 2 * _CELL):
        image[line - 2 : line + 2], image[:, line - 2 : line + 2] = _INK, _INK
    y, x = np.mgrid[:_CELL, :_CELL] - (_CELL - 1) / 2
    cross = (np.minimum(abs(x - y), abs(x + y)) < 8) & (np.maximum(abs(x), abs(y)) < 0.3 * _CELL)
    ring = abs(np.hypot(x, y) - 0.27 * _CELL) < 6
    for cell in range(9):
        row, column = divmod(cell, 3)
        tile = image[row * _CELL : (row + 1) * _CELL, column * _CELL : (column + 1) * _CELL]
        if state >> cell & 1:
            tile[cross] = _X
        if state >> (cell + 9) & 1:
            tile[ring] = _O
    return image


def raw_env(*, render_mode: str | None = None) -> TicTacToeEnv:
    """The turn-based environment.

    Args:
        render_mode: None, `"ansi"`, `"rgb_array"` or `"human"` (needs the extra `render`).

    Raises:
        InvalidGameError: If there is no such render mode.
        MissingExtraError: If the window is asked for and pygame is not installed.

    Example:
        >>> env = raw_env(render_mode="ansi")
        >>> env.reset()
        >>> env.step(4)
        >>> env.last()[0]["action_mask"].tolist()
        [1, 1, 1, 1, 0, 1, 1, 1, 1]
        >>> env.render().splitlines()
        ['...', '.X.', '...']
    """
    return TicTacToeEnv(render_mode=render_mode)


def env(*, render_mode: str | None = None) -> TicTacToeEnv:
    """The same as `raw_env`: there is nothing left to wrap."""
    return raw_env(render_mode=render_mode)
