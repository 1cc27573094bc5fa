"""Pictures of prices over time: those that stand until they are changed, and those of many periods of learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from strategic_envs.plots.figure import COLOURS, dress
from strategic_envs.plots.pricing import draw_levels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_price_clouds", "draw_standing_prices"]

_DASHED = (0, (4, 1.5))


def draw_standing_prices(
    axes: Axes,
    prices: ArrayLike,
    *,
    levels: Mapping[str, float] | None = None,
    title: str = "",
    xlabel: str = "period",
    ylabel: str = "price",
) -> None:
    """Draws firms that change prices in turn: a step a change, and a dot where a firm sets its price.

    Args:
        axes: Where to draw.
        prices: The price that is set in each period, by the firms in turn, `(T,)`.
        levels: Named horizontal lines.
        title: What stands above.
        xlabel: What stands below.
        ylabel: What stands at the left.

    Raises:
        ValueError: If there are fewer than three prices.

    Example:
        >>> from strategic_envs.plots import new_figure
        >>> axes = new_figure()[1][0]
        >>> draw_standing_prices(axes, [0.8, 0.7, 0.6, 0.5, 0.8])
        >>> len(axes.lines)
        2
    """
    path = np.asarray(prices, dtype=float)
    if path.ndim != 1 or len(path) < 3:
        raise ValueError(f"got prices of shape {path.shape}, expected (T,) with T >= 3")
    for firm in range(2):
        periods, own = np.arange(firm, len(path), 2), path[firm::2]
        steps = np.append(periods, periods[-1] + 2)
        axes.plot(
            steps,
            np.append(own, own[-1]),
            drawstyle="steps-post",
            color=COLOURS[firm],
            linestyle="-" if firm == 0 else _DASHED,
            linewidth=1.8,
            marker="os"[firm],
            markersize=4,
            markevery=slice(0, len(own)),
            label=f"firm {firm}",
            zorder=3 + firm,
        )
    draw_levels(axes, levels or {}, horizontal=True)
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.7)
    dress(axes, title=title, xlabel=xlabel, ylabel=ylabel)


def draw_price_clouds(
    axes: Axes,
    prices: ArrayLike,
    *,
    levels: Mapping[str, float] | None = None,
    title: str = "",
    xlabel: str = "period",
    ylabel: str = "price",
) -> None:
    """Draws the prices of firms over many periods as dots, those of each firm in its colour.

    Args:
        axes: Where to draw.
        prices: The prices `(T, n)`; nan leaves a period out.
        levels: Named horizontal lines.
        title: What stands above.
        xlabel: What stands below.
        ylabel: What stands at the left.

    Example:
        >>> from strategic_envs.plots import new_figure
        >>> axes = new_figure()[1][0]
        >>> draw_price_clouds(axes, [[8.0, 9.0], [7.0, 7.0]])
        >>> len(axes.collections)
        2
    """
    paths = np.asarray(prices, dtype=float)
    for firm, path in enumerate(paths.T):
        axes.scatter(np.arange(len(path)), path, s=4, color=COLOURS[firm], alpha=0.5, linewidth=0, zorder=3)
        axes.plot([], [], color=COLOURS[firm], marker="o", linestyle="", markersize=5, label=f"firm {firm}")
    draw_levels(axes, levels or {}, horizontal=True)
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.7)
    dress(axes, title=title, xlabel=xlabel, ylabel=ylabel)
