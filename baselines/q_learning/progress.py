"""How far a run of many sessions is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """What is known when a session has finished.

    Args:
        number: The number of the session that has finished.
        done: How many sessions have finished, those read from a folder included.
        total: How many there will be.
        read: How many of those done were read from a folder.
        steps: Session-steps (periods of one session) played in this run.
        seconds: Wall-clock seconds since the start of this run.

    Example:
        >>> Progress(number=4, done=5, total=10, read=0, steps=8_000_000, seconds=0.5)
        Progress(5 of 10 sessions, 16.0 M session-steps/s, 0.5 s left)
    """

    number: int
    done: int
    total: int
    read: int
    steps: int
    seconds: float

    @property
    def rate(self) -> float:
        """Session-steps a second."""
        return self.steps / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float:
        """Seconds until the end if sessions go on to take as long as those of this run."""
        played = self.done - self.read
        return (self.total - self.done) * self.seconds / played if played else float("inf")

    def __repr__(self) -> str:
        rate = f"{self.rate / 1e6:.1f} M session-steps/s"
        return f"Progress({self.done} of {self.total} sessions, {rate}, {self.seconds_left:.3g} s left)"
