"""Learning curves of networks: training loss and test accuracy, one line a method, with the spread over its seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from strategic_envs.errors import require
from strategic_envs.plots.curves import draw_curves
from strategic_envs.plots.figure import new_figure, share_legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LearningCurves", "plot_training"]


@dataclass(frozen=True, eq=False)
class LearningCurves:
    """What S networks gave at E moments; NaN after a network has diverged.

    Args:
        epochs: The moments, in epochs, `(E,)`.
        loss: Training loss, `(E, S)`.
        accuracy: Test accuracy as a share, `(E, S)`.
        seconds: Training time up to each moment, `(E, S)`, if it is to be drawn.
    """

    epochs: ArrayLike
    loss: ArrayLike
    accuracy: ArrayLike
    seconds: ArrayLike | None = None


def plot_training(
    curves: Mapping[str, LearningCurves],
    *,
    title: str = "",
    marks: Mapping[str, float] | None = None,
    dashed: Collection[str] = (),
    lowest: float | None = None,
) -> Figure:
    """Draws loss and accuracy against epochs and, where times are given, accuracy against them.

    Args:
        curves: By the method's name. The line is the median over the seeds, the band reaches from the smallest to the
            largest; a line ends where a seed diverged.
        title: What stands above the first panel.
        marks: Named levels of accuracy, as shares.
        dashed: The names whose lines are dashed.
        lowest: The smallest accuracy that is shown, as a share; all if not given.

    Returns:
        The figure.

    Raises:
        MissingExtraError: If matplotlib is not installed.

    Example:
        >>> two = LearningCurves([1, 2], [[1.0, 1.2], [0.3, 0.4]], [[0.8, 0.7], [0.9, 0.92]])
        >>> len(plot_training({"adam": two}).axes)
        2
    """
    timed = all(c.seconds is not None for c in curves.values())
    figure, panels = new_figure(1, 3 if timed else 2, width=4.6)
    epochs = {name: np.asarray(c.epochs, dtype=float) for name, c in curves.items()}
    losses = {name: (epochs[name], np.asarray(c.loss, dtype=float)) for name, c in curves.items()}
    percent = {name: 100 * np.asarray(c.accuracy, dtype=float) for name, c in curves.items()}
    levels = {name: 100 * level for name, level in (marks or {}).items()}
    draw_curves(panels[0], losses, title=title, xlabel="epoch", ylabel="training loss", dashed=dashed)
    by_epoch = {name: (epochs[name], values) for name, values in percent.items()}
    accuracy = {"ylabel": "test accuracy, %", "log": False, "levels": levels, "dashed": dashed}
    draw_curves(panels[1], by_epoch, xlabel="epoch", **accuracy)
    if timed:
        by_second = {name: (_middle(np.asarray(c.seconds, dtype=float)), percent[name]) for name, c in curves.items()}
        draw_curves(panels[2], by_second, xlabel="seconds of training", **accuracy)
        panels[2].set_xscale("log")
        ticks = require("matplotlib.ticker", "plots", "Drawing")
        panels[2].xaxis.set_major_locator(ticks.LogLocator(subs=(1, 2, 5)))
        panels[2].xaxis.set_major_formatter(ticks.FormatStrFormatter("%g"))
        panels[2].xaxis.set_minor_formatter(ticks.NullFormatter())
    if lowest is not None:
        for panel in panels[1:]:
            panel.set_ylim(bottom=100 * lowest)
    share_legend(figure, panels)
    return figure


def _middle(seconds: np.ndarray) -> np.ndarray:
    """The median over the seeds that got so far."""
    seconds = seconds.reshape(len(seconds), -1)
    return np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in seconds])
