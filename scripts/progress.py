"""How far a long run of sessions is: a bar with the rate and the time left, or a line a stage where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from strategic_envs.scripts.tables import console

if TYPE_CHECKING:
    from strategic_envs.baselines.q_learning.progress import Progress as Finished

__all__ = ["Meter", "meter"]


class _Rate(ProgressColumn):
    """Million session-steps a second, since the stage began."""

    def render(self, task: Any) -> Text:
        """The rate of a stage."""
        rate = task.fields["rate"]
        return Text(f"{rate / 1e6:.0f} M session-steps/s" if rate else "", style="cyan")


class Meter:
    """Shows stages one after another; made by `meter`.

    Args:
        progress: What draws the bars; None prints a line when a stage is done.
        say: Prints a line.
    """

    def __init__(self, progress: Progress | None, say: Callable[[str], None]) -> None:
        self._progress, self._say = progress, say

    def __call__(self, stage: str, total: int) -> Callable[[Finished], None]:
        """Begins a stage of so many sessions; what it returns is called whenever one has finished."""
        bar = None if self._progress is None else self._progress.add_task(stage, total=total, rate=0.0)

        def done(finished: Finished) -> None:
            if self._progress is not None and bar is not None:
                self._progress.update(bar, completed=finished.done, rate=finished.rate)
            elif finished.done >= total:
                rate = f"{finished.rate / 1e6:.0f} M session-steps/s" if finished.steps else "read from the folder"
                self._say(f"{stage}: {total} sessions, {rate}, {finished.seconds:.1f} s")

        return done


@contextmanager
def meter() -> Iterator[Meter]:
    """A meter on the terminal's error stream.

    Example:
        >>> with meter() as stages:
        ...     done = stages("sessions", 10)
    """
    out = console(stderr=True)
    if not out.is_terminal:
        yield Meter(None, lambda text: out.print(text, highlight=False))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=out) as progress:
        yield Meter(progress, lambda text: out.print(text, highlight=False))
