"""How a run can end."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Outcome"]


class Outcome(IntEnum):
    """How a run ended; `str` gives the name that tables show.

    `MAX_STEPS`: all steps were taken. `CONVERGED`: the gap fell below the tolerance, or the method reached its end.
    `DIVERGED`, `NONFINITE`: an iterate became huge, NaN or infinite. `FAILED`: the method gave up, and says why.

    Example:
        >>> str(Outcome.MAX_STEPS)
        'max_steps'
    """

    MAX_STEPS = 0
    CONVERGED = 1
    DIVERGED = 2
    NONFINITE = 3
    FAILED = 4

    def __str__(self) -> str:
        return self.name.lower()
