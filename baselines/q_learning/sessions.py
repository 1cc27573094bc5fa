"""What sessions of learning leave behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["Sessions"]


@dataclass(frozen=True, eq=False)
class Sessions:
    """The ends of B sessions of n firms in a game of S states.

    Args:
        number: The session numbers `(B,)`; with the seed they are the keys of all random draws.
        strategy: Each firm's greedy price index in every state `(B, n, S)`, int16.
        state: The state after the last period `(B,)`, from which play would go on.
        periods: Periods played `(B,)`, the convergence window included.
        converged: Whether the session ended by itself `(B,)`; the others reached the cap.
        window: Length of the convergence window, which published times to convergence leave out.
        q: The tables `(B, n, S, m)`, if they were kept.
    """

    number: Int[np.ndarray, " B"]
    strategy: Int[np.ndarray, "B n S"]
    state: Int[np.ndarray, " B"]
    periods: Int[np.ndarray, " B"]
    converged: Bool[np.ndarray, " B"]
    window: int
    q: Float[np.ndarray, "B n S m"] | None = None

    def __len__(self) -> int:
        return len(self.number)

    @property
    def time_to_convergence(self) -> Int[np.ndarray, " B"]:
        """Periods before the convergence window."""
        return self.periods - self.window
