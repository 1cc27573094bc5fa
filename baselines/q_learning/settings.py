"""How the firms learn: step size, exploration, first values, and when a session is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["QLearning"]


@dataclass(frozen=True)
class QLearning:
    """Tabular Q-learning of all firms at once (AER 2020, section II).

    Args:
        alpha: The learning rate, one number for all firms or one a firm, in (0, 1].
        beta: The rate at which exploration fades: a firm explores in period t = 0, 1, ... with chance exp(-beta t). One
            number, or one a firm.
        window: A session has converged when no firm's greedy price has changed for so many periods.
        cap: A session that has not converged after so many periods is kept and flagged.

    Example:
        >>> QLearning().alpha
        0.15
    """

    alpha: float | Sequence[float] = 0.15
    beta: float | Sequence[float] = 4e-6
    window: int = 100_000
    cap: int = 1_000_000_000
