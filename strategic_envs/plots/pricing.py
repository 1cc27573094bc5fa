"""Pictures of price competition: answers to a price cut, maps over learning parameters, profit gains, price cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from strategic_envs.plots.figure import COLOURS, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_heat_map", "draw_histogram", "draw_impulse_response", "draw_levels", "draw_price_cycles"]

_LINE, _TEXT = "#777777", "#555555"
_DASHED, _DOTTED = (0, (5, 2)), (0, (2, 2))


def draw_impulse_response(
    axes: Axes,
    deviator: ArrayLike,
    rival: ArrayLike,
    *,
    spread: tuple[ArrayLike, ArrayLike] | None = None,
    beside: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    levels: Mapping[str, float] | None = None,
    title: str = "",
    ylabel: str = "price",
) -> None:
    """Draws prices around a deviation: period 0 is before it, in period 1 the deviator leaves its strategy.

    Args:
        axes: Where to draw.
        deviator: The deviator's prices in periods 0, 1, ..., `(T,)`.
        rival: Its rivals' prices, `(T,)`.
        spread: The lower and upper edge of a band around each of the two, `(2, T)`.
        beside: By name, further pairs of paths; drawn thin and dashed, in the same two colours.
        levels: Named horizontal lines, such as Nash and monopoly prices.
        title: What stands above.
        ylabel: What the prices are called, with their unit.

    Raises:
        ValueError: If the two paths differ in length.

    Example:
        >>> from strategic_envs.plots import new_figure
        >>> axes = new_figure()[1][0]
        >>> draw_impulse_response(axes, [1.8, 1.6, 1.57], [1.8, 1.8, 1.56], levels={"Nash": 1.47})
        >>> axes.get_xlabel()
        'periods (the deviation is in period 1)'
    """
    pairs = {"": (deviator, rival), **(beside or {})}
    for name, pair in pairs.items():
        for k, (who, path) in enumerate(zip(("deviator", "rival"), pair, strict=True)):
            values = np.asarray(path, dtype=float)
            if len(values) != len(np.asarray(pair[0])):
                raise ValueError(
                    f"got {len(np.asarray(pair[0]))} prices of the deviator and {len(values)} of the rival"
                )
            steps = np.arange(len(values))
            if name:
                axes.plot(steps, values, color=COLOURS[1 - k], linestyle=_DASHED, linewidth=1.1, label=f"{who}, {name}")
                continue
            marker = "os"[k]
            axes.plot(
                steps, values, color=COLOURS[1 - k], marker=marker, markersize=4, linewidth=1.8, label=who, zorder=4
            )
            if spread is not None:
                low, high = np.asarray(spread[k], dtype=float)
                axes.fill_between(steps, low, high, color=COLOURS[1 - k], alpha=0.13, linewidth=0, zorder=2)
    draw_levels(axes, levels or {}, horizontal=True)
    axes.grid(color="#E8E8E8", linewidth=0.7)
    axes.set_xticks(np.arange(0, len(np.asarray(deviator)), 2 if len(np.asarray(deviator)) > 12 else 1))
    dress(axes, title=title, xlabel="periods (the deviation is in period 1)", ylabel=ylabel)


def draw_heat_map(
    axes: Axes,
    values: ArrayLike,
    rows: ArrayLike,
    columns: ArrayLike,
    *,
    xlabel: str = "",
    ylabel: str = "",
    label: str = "",
    title: str = "",
    limits: tuple[float, float] | None = None,
) -> None:
    """Draws a table of numbers as colours, with their scale beside it; few cells have their numbers written in.

    Args:
        axes: Where to draw.
        values: The numbers `(A, B)`; nan leaves a cell grey.
        rows: What the rows stand for `(A,)`, upwards.
        columns: What the columns stand for `(B,)`.
        xlabel: What stands below.
        ylabel: What stands at the left.
        label: What the scale is called.
        title: What stands above.
        limits: The ends of the scale; the smallest and largest number if not given.

    Raises:
        ValueError: If the table is not of that size.

    Example:
        >>> from strategic_envs.plots import new_figure
        >>> figure, (axes,) = new_figure()
        >>> draw_heat_map(axes, [[0.1, 0.2], [0.3, 0.4]], [0.05, 0.15], [1.0, 2.0], label="profit gain")
        >>> len(figure.axes)
        2
    """
    table, up, along = (np.asarray(a, dtype=float) for a in (values, rows, columns))
    if table.shape != (len(up), len(along)):
        raise ValueError(f"got a table {table.shape}, expected {len(up)} rows and {len(along)} columns")
    axes.set_facecolor("#DDDDDD")
    known = table[np.isfinite(table)]
    low, high = limits or ((known.min(), known.max()) if len(known) else (0.0, 1.0))
    image = axes.imshow(
        table, origin="lower", aspect="auto", cmap="viridis", vmin=low, vmax=high, interpolation="nearest"
    )
    axes.figure.colorbar(image, ax=axes, label=label)
    for axis, marks in ((axes.yaxis, up), (axes.xaxis, along)):
        every = max(1, -(-len(marks) // 10))
        places = np.arange(every - 1 if every > 1 else 0, len(marks), every)
        axis.set_ticks(places, [f"{marks[p]:.3g}" for p in places])
    if table.size <= 120:
        for (r, c), value in np.ndenumerate(table):
            dark = (value - low) < 0.55 * (high - low)
            if np.isfinite(value):
                text = f"{value:.2f}".replace("0.", ".", 1)
                axes.text(c, r, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    dress(axes, title=title, xlabel=xlabel, ylabel=ylabel, legend=False)


def draw_histogram(
    axes: Axes,
    values: ArrayLike,
    *,
    levels: Mapping[str, float] | None = None,
    bins: ArrayLike | int = 30,
    xlabel: str = "",
    ylabel: str = "share of sessions",
    title: str = "",
    colour: str = COLOURS[0],
) -> None:
    """Draws how often values come up, as shares, with reference values as vertical lines.

    Args:
        axes: Where to draw.
        values: The numbers `(B,)`; those that are not finite are left out.
        levels: Named vertical lines, such as the profit gains of grid equilibria.
        bins: How many bins, or their edges.
        xlabel: What stands below.
        ylabel: What stands at the left.
        title: What stands above.
        colour: The bars' colour.

    Example:
        >>> from strategic_envs.plots import new_figure
        >>> axes = new_figure()[1][0]
        >>> draw_histogram(axes, [0.8, 0.9, 0.85], levels={"random": 0.497}, bins=5)
        >>> len(axes.patches)
        5
    """
    found = np.asarray(values, dtype=float).reshape(-1)
    found = found[np.isfinite(found)]
    counts, edges = np.histogram(found, bins=bins)
    shares = counts / max(len(found), 1)
    axes.bar(
        edges[:-1], shares, np.diff(edges), align="edge", color=colour, alpha=0.85, edgecolor="white", linewidth=0.5
    )
    top = float(shares.max(initial=0.0)) or 1.0
    axes.set_ylim(0, 1.12 * top)
    draw_levels(axes, levels or {}, horizontal=False)
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.7)
    dress(axes, title=title, xlabel=xlabel, ylabel=ylabel)


def draw_price_cycles(
    axes: Axes,
    cycles: Sequence[ArrayLike],
    *,
    levels: Mapping[str, float] | None = None,
    title: str = "",
    xlabel: str = "price of firm 0",
    ylabel: str = "price of firm 1",
) -> None:
    """Draws the prices at which sessions of two firms end: a dot a pair of prices, as large as its share of time.

    Thin lines join the prices of a cycle of several periods in their order.

    Args:
        axes: Where to draw.
        cycles: Each session's cycle of prices `(L, 2)`; a session that rests has L = 1.
        levels: Named prices, drawn as lines in both directions.
        title: What stands above.
        xlabel: What stands below.
        ylabel: What stands at the left.

    Raises:
        ValueError: If a cycle is not of pairs of prices.

    Example:
        >>> from strategic_envs.plots import new_figure
        >>> axes = new_figure()[1][0]
        >>> draw_price_cycles(axes, [[[1.8, 1.8]], [[1.7, 1.8], [1.8, 1.7]]], levels={"Nash": 1.47})
        >>> len(axes.collections)
        1
    """
    share: dict[tuple[float, float], float] = {}
    for cycle in cycles:
        path = np.asarray(cycle, dtype=float)
        if path.ndim != 2 or path.shape[1] != 2:
            raise ValueError(f"got a cycle of shape {path.shape}, expected (L, 2): the prices of two firms")
        for one, two in path.tolist():
            share[one, two] = share.get((one, two), 0.0) + 1 / (len(path) * len(cycles))
        if len(path) > 1:
            around = np.vstack([path, path[:1]])
            axes.plot(*around.T, color=COLOURS[1], alpha=max(0.05, min(0.5, 20 / len(cycles))), linewidth=0.7, zorder=2)
    where = np.array(list(share)).reshape(-1, 2)
    sizes = np.array(list(share.values()))
    axes.scatter(*where.T, s=3000 * sizes, color=COLOURS[0], alpha=0.75, linewidth=0, zorder=3)
    draw_levels(axes, levels or {}, horizontal=True, left=True)
    for value in (levels or {}).values():
        axes.axvline(value, color=_LINE, linewidth=1.0, linestyle=_DOTTED, zorder=1)
    axes.set_aspect("equal")
    dress(axes, title=title, xlabel=xlabel, ylabel=ylabel)


def draw_levels(axes: Axes, levels: Mapping[str, float], *, horizontal: bool, left: bool = False) -> None:
    """Draws named reference lines, the names inside the axes.

    Args:
        axes: Where to draw.
        levels: The values by name.
        horizontal: Whether the lines lie; else they stand.
        left: Whether the names of lines that lie are at their left ends.

    Example:
        >>> from strategic_envs.plots import new_figure
        >>> axes = new_figure()[1][0]
        >>> draw_levels(axes, {"Nash": 1.47}, horizontal=True)
        >>> len(axes.lines)
        1
    """
    for name, level in levels.items():
        if horizontal:
            axes.axhline(level, color=_LINE, linewidth=1.0, linestyle=_DOTTED, zorder=1)
            place = {"xycoords": ("axes fraction", "data"), "xytext": (0, 3), "va": "bottom"}
            place["ha"] = "left" if left else "right"
            text = axes.annotate(
                name, (0.01 if left else 0.99, level), fontsize=8, color=_TEXT, textcoords="offset points", **place
            )
        else:
            axes.axvline(level, color=_LINE, linewidth=1.0, linestyle=_DOTTED, zorder=4)
            place = {"xycoords": ("data", "axes fraction"), "xytext": (-3, -1), "ha": "right", "va": "top"}
            text = axes.annotate(
                name, (level, 0.99), fontsize=8, color=_TEXT, rotation=90, textcoords="offset points", **place
            )
        text.set_in_layout(False)  # it lies inside the axes, and must not push them together
