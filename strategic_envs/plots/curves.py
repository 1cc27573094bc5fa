"""Gaps against steps: one line an agent, with the spread over its seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from strategic_envs.plots.figure import COLOURS, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_curves", "plot_curves"]

Series = Mapping[str, tuple[ArrayLike, ArrayLike]]
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))


def plot_curves(
    series: Series,
    *,
    title: str = "",
    xlabel: str = "step",
    ylabel: str = "exploitability",
    log: bool = True,
    floor: float = 1e-12,
    levels: Mapping[str, float] | None = None,
) -> Figure:
    """A picture of gaps against steps.

    Args:
        series: By the agent's name, steps `(T,)` and values `(T,)`, or `(T, S)` for S seeds: then the line is the
            median and the band reaches from the smallest to the largest. Values that are not finite are left out.
        title: What stands above.
        xlabel: What the steps are called.
        ylabel: What the values are called.
        log: Whether the values have a logarithmic axis.
        floor: On a logarithmic axis, smaller values are drawn here.
        levels: Named horizontal lines, such as a bound.

    Returns:
        The figure.

    Raises:
        ValueError: If steps and values differ in length.
        MissingExtraError: If matplotlib is not installed.

    Example:
        >>> len(plot_curves({"a": ([0, 1, 2], [1.0, 0.1, 0.01])}).axes)
        1
    """
    figure, (axes,) = new_figure(width=6.0)
    draw_curves(axes, series, title=title, xlabel=xlabel, ylabel=ylabel, log=log, floor=floor, levels=levels)
    return figure


def draw_curves(
    axes: Axes,
    series: Series,
    *,
    title: str = "",
    xlabel: str = "step",
    ylabel: str = "exploitability",
    log: bool = True,
    floor: float = 1e-12,
    levels: Mapping[str, float] | None = None,
    colours: Mapping[str, str] | None = None,
    dashed: Collection[str] = (),
) -> None:
    """Draws into given axes what `plot_curves` draws into a new figure.

    Args:
        axes: Where to draw.
        series: By name, steps and values as in `plot_curves`.
        title: What stands above.
        xlabel: What the steps are called.
        ylabel: What the values are called.
        log: Whether the values have a logarithmic axis.
        floor: On a logarithmic axis, smaller values are drawn here.
        levels: Named horizontal lines.
        colours: The colour of each name, where it should not be the next of the palette.
        dashed: The names whose lines are dashed.
    """
    for k, (name, (steps, values)) in enumerate(series.items()):
        colour = (colours or {}).get(name, COLOURS[k % len(COLOURS)])
        dash = _DASHES[1] if name in dashed else _DASHES[k // len(COLOURS) % len(_DASHES)]
        _draw_line(axes, name, steps, values, floor if log else -np.inf, colour, dash)
    for name, level in (levels or {}).items():
        axes.axhline(level, color="#777777", linewidth=1.0, linestyle=(0, (2, 2)), zorder=2)
        place = {"xycoords": ("axes fraction", "data"), "xytext": (0, 3), "textcoords": "offset points"}
        text = axes.annotate(name, (0.99, level), ha="right", va="bottom", fontsize=8, color="#555555", **place)
        text.set_in_layout(False)  # it lies inside the axes, and must not push them together
    if log:
        axes.set_yscale("log")
    axes.grid(color="#E8E8E8", linewidth=0.7)
    dress(axes, title=title, xlabel=xlabel, ylabel=ylabel)


def _draw_line(
    axes: Axes, name: str, steps: ArrayLike, values: ArrayLike, floor: float, colour: str, dash: Sequence[object] | str
) -> None:
    t, y = np.asarray(steps, dtype=float).reshape(-1), np.asarray(values, dtype=float)
    y = y.reshape(len(y), -1)
    if len(t) != len(y):
        raise ValueError(f"{name}: got {len(t)} steps and {len(y)} values, expected as many of both")
    kept = np.isfinite(y).all(-1) & np.isfinite(t)
    t, y = t[kept], np.maximum(y[kept], floor)
    if not len(t):
        return
    marker = "o" if len(t) == 1 else None
    middle = np.median(y, axis=-1)
    axes.plot(t, middle, color=colour, linestyle=dash, linewidth=1.8, label=name, marker=marker, zorder=3)  # pyright: ignore[reportArgumentType]
    if y.shape[-1] > 1:
        axes.fill_between(t, y.min(-1), y.max(-1), color=colour, alpha=0.18, linewidth=0, zorder=2)
