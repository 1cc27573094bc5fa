"""What the reproductions of DGNOpt share: numbers over seeds, learning curves, checks of options."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from strategic_envs.agents.dgnopt.experiments.training import Run
from strategic_envs.plots.training import LearningCurves
from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.tables import console

__all__ = ["check_counts", "curves", "mean", "percent", "row", "saying", "spread"]


def mean(values: Sequence[float | None]) -> float:
    """The mean of the numbers there are; NaN if one is missing or not finite."""
    numbers = [math.nan if value is None else value for value in values]
    return float(np.mean(numbers)) if numbers else math.nan


def spread(values: Sequence[float | None]) -> float:
    """The standard deviation over seeds; NaN for one seed, or where a number is missing."""
    numbers = [math.nan if value is None else value for value in values]
    return float(np.std(numbers, ddof=1)) if len(numbers) > 1 else math.nan


def percent(runs: Sequence[Run]) -> str:
    """Test accuracy as `96.4 +- 0.5`, over the runs that did not diverge; `-` if all did.

    Example:
        >>> from strategic_envs.agents.dgnopt.experiments.training import Epoch
        >>> percent([Run("sgd", {}, s, (Epoch(1, 0.1, 0.95 + s / 100, 1.0, 1.0),), "finished") for s in range(2)])
        '95.50 +- 0.71'
    """
    shares = [100 * run.accuracy for run in runs if not run.diverged]
    if not shares:
        return "-"
    return f"{mean(shares):.2f}" + (f" +- {spread(shares):.2f}" if len(shares) > 1 else "")


def row(
    quantity: str, ours: Any, expected: Any, source: str, within: bool | None = None, **further: Any
) -> dict[str, Any]:
    """One row of a reproduction."""
    return {"quantity": quantity, "ours": ours, "expected": expected, **further, "source": source, "within": within}


def curves(runs: Sequence[Run], *, timed: bool = False) -> LearningCurves:
    """The learning curves of several seeds; NaN after a run has ended.

    Args:
        runs: One a seed, with rows at the same moments.
        timed: Whether the time of training is given too.
    """
    longest = max(runs, key=lambda run: len(run.rows)).rows

    def table(name: str) -> np.ndarray:
        found = np.full((len(longest), len(runs)), np.nan)
        for k, run in enumerate(runs):
            found[: len(run.rows), k] = [getattr(r, name) for r in run.rows]
        return found

    return LearningCurves(
        [r.epoch for r in longest], table("loss"), table("accuracy"), table("seconds") if timed else None
    )


def check_counts(options: Any, least: Mapping[str, float]) -> None:
    """Refuses numbers that are too small.

    Args:
        options: The options of a reproduction.
        least: By the option's name, the smallest number that it may be; an option that is None is not checked.

    Raises:
        InputError: Naming the option.
    """
    for name, smallest in least.items():
        value = getattr(options, name)
        if value is not None and not value >= smallest:
            kind = "a whole number from" if isinstance(smallest, int) else "a number from"
            raise InputError(f"got --{name.replace('_', '-')} {value}, expected {kind} {smallest}")


@contextmanager
def saying() -> Iterator[Callable[[str], None]]:
    """Prints a line on the error stream for every run that has ended."""
    out = console(stderr=True)
    yield lambda text: out.print(text, highlight=False)
