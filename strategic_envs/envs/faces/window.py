"""A window that shows the pictures of an environment, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategic_envs.errors import require

__all__ = ["Window"]


class Window:
    """A window on this machine's screen. It opens with the first picture; copies and pickles begin closed.

    Args:
        title: What stands above it.

    Raises:
        MissingExtraError: If pygame is not installed.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._screen: Any = None
        self._pygame()

    def _pygame(self) -> Any:
        return require("pygame", "render", f"The window of {self.title}")

    def __getstate__(self) -> dict[str, Any]:
        return {"title": self.title, "_screen": None}  # a window stays on the machine that opened it

    def show(self, image: NDArray[np.uint8]) -> None:
        """Shows a picture `(height, width, 3)`."""
        pygame = self._pygame()
        if self._screen is None:
            pygame.display.init()
            pygame.display.set_caption(self.title)
            self._screen = pygame.display.set_mode(image.shape[1::-1])
        pygame.surfarray.blit_array(self._screen, image.swapaxes(0, 1))
        pygame.event.pump()
        pygame.display.flip()

    def close(self) -> None:
        """Closes the window, if it is open."""
        if self._screen is not None:
            self._pygame().display.quit()
            self._screen = None
