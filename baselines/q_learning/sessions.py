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
        visited: The state in which the last period was played `(B,)`: the authors' program calls this the last state.
        gain: The mean profit gain of each block of `gain_every` periods `(B, blocks)`, nan after a session's end.
        gain_every: The length of such a block, 0 if no gains were recorded.
    """

    number: Int[np.ndarray, " B"]
    strategy: Int[np.ndarray, "B n S"]
    state: Int[np.ndarray, " B"]
    periods: Int[np.ndarray, " B"]
    converged: Bool[np.ndarray, " B"]
    window: int
    q: Float[np.ndarray, "B n S m"] | None = None
    visited: Int[np.ndarray, " B"] | None = None
    gain: Float[np.ndarray, "B blocks"] | None = None
    gain_every: int = 0

    def __len__(self) -> int:
        return len(self.number)

    @property
    def time_to_convergence(self) -> Int[np.ndarray, " B"]:
        """Periods before the convergence window."""
        return self.periods - self.window

    def first_gain_above(self, level: float = 0.5) -> Float[np.ndarray, " B"]:
        """The first period from which on no block's mean profit gain is at or below a level; nan where it ends below.

        Raises:
            ValueError: If no gains were recorded.

        Example:
            >>> from strategic_envs.baselines.q_learning import run_sessions
            >>> from strategic_envs.games.pricing import pricing
            >>> few = run_sessions(pricing(m=3), sessions=2, gain_every=10_000)
            >>> few.first_gain_above(0.0).shape
            (2,)
        """
        if self.gain is None:
            raise ValueError(
                "these sessions have no profit gains by block: run them with gain_every=10_000, for example"
            )
        low = self.gain <= level  # nan compares as False
        blocks = np.arange(1, self.gain.shape[1] + 1)
        settled = np.where(low, blocks, 0).max(axis=1)
        played = (~np.isnan(self.gain)).sum(axis=1)
        return np.where(settled < played, settled * float(self.gain_every), np.nan)
