"""What happened when a player was asked for a move, and the count of it over many questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean, median

__all__ = ["FAULTS", "Attempt", "Message", "NoAnswerError", "Tally", "Turn"]

Message = dict[str, str]
"""`role` (`system`, `user` or `assistant`) and `content`."""

FAULTS = {
    "unparsable": "an answer that names no cell, or several",
    "illegal": "a cell that is taken or does not exist",
    "timeout": "no answer in time",
    "refused": "no connection",
    "http": "an HTTP status that is no success",
    "malformed": "a reply without an answer in it",
    "error": "the player raised an error",
    "not_asked": "not asked, because the questions before all failed",
}
"""What can go wrong with one attempt."""


class NoAnswerError(Exception):
    """A model that could not be asked, or gave no answer. It costs its player the game and never stops a run.

    Args:
        kind: One of `FAULTS`.
        message: What happened, in one line.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind, self.message = kind, message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Attempt:
    """One question and what came of it.

    Args:
        kind: `"ok"`, or one of `FAULTS`.
        answer: What was answered; None if nothing was.
        explain: What was wrong.
        seconds: How long it took.
    """

    kind: str
    answer: str | None = None
    explain: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Turn:
    """What a player did when it was its turn.

    Args:
        state: The code of the state.
        action: What it chose; None is a forfeit.
        attempts: All attempts of a player that is asked; empty for one that is not.
    """

    state: int
    action: int | None
    attempts: tuple[Attempt, ...] = ()

    @property
    def reason(self) -> str:
        """Why there is no move; empty if there is one.

        Example:
            >>> Turn(0, None, (Attempt("timeout", explain="no answer within 5 s"),)).reason
            'timeout: no answer within 5 s'
        """
        if self.action is not None:
            return ""
        last = self.attempts[-1] if self.attempts else Attempt("error", explain="no answer")
        return f"{last.kind}: {last.explain}"


@dataclass(frozen=True)
class Tally:
    """The count of what happened over many turns.

    Args:
        questions: Turns that were asked for.
        first_time: Turns that were legal at the first attempt.
        forfeits: Turns without a legal move.
        attempts: How many attempts there were of each kind.
        seconds_mean: The mean time of an attempt that was answered or failed; 0 if there was none.
        seconds_median: The median of the same.
        seconds_max: The longest.
    """

    questions: int
    first_time: int
    forfeits: int
    attempts: dict[str, int] = field(default_factory=dict)
    seconds_mean: float = 0.0
    seconds_median: float = 0.0
    seconds_max: float = 0.0

    @classmethod
    def of(cls, turns: Iterable[Turn]) -> Tally:
        """Counts turns.

        Example:
            >>> turns = [Turn(0, 4, (Attempt("illegal"), Attempt("ok"))), Turn(1, None, (Attempt("refused"),))]
            >>> tally = Tally.of(turns)
            >>> tally.questions, tally.first_time, tally.forfeits, tally.attempts["illegal"]
            (2, 0, 1, 1)
        """
        turns = list(turns)
        kinds = Counter(attempt.kind for turn in turns for attempt in turn.attempts)
        times = [a.seconds for turn in turns for a in turn.attempts if a.kind != "not_asked"] or [0.0]
        return cls(
            questions=len(turns),
            first_time=sum(turn.action is not None and len(turn.attempts) <= 1 for turn in turns),
            forfeits=sum(turn.action is None for turn in turns),
            attempts={kind: kinds[kind] for kind in ("ok", *FAULTS)},
            seconds_mean=fmean(times),
            seconds_median=median(times),
            seconds_max=max(times),
        )

    def row(self) -> dict[str, float]:
        """The numbers by name."""
        counts = {f"attempts_{kind}": count for kind, count in self.attempts.items()}
        own = {"questions": self.questions, "legal_first_time": self.first_time, "forfeited": self.forfeits}
        times = {name: getattr(self, name) for name in ("seconds_mean", "seconds_median", "seconds_max")}
        return {**own, **counts, **times}
