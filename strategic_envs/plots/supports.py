"""How a support grows: what a player plays in each iteration of a double oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from strategic_envs.plots.figure import COLOURS, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_supports"]


def draw_supports(
    axes: Axes,
    played: Mapping[str, Sequence[Sequence[float]]],
    *,
    known: Sequence[float] = (),
    title: str = "",
    xlabel: str = "iteration",
    ylabel: str = "strategy",
) -> None:
    """Draws a dot for every strategy that is played in an iteration, a column of dots an iteration.

    Args:
        axes: Where to draw.
        played: By the player's name, for each iteration the strategies it plays: numbers.
        known: Where dashed lines run, such as at the support of an equilibrium.
        title: What stands above.
        xlabel: What the iterations are called.
        ylabel: What the strategies are called.

    Example:
        >>> from strategic_envs.plots.figure import new_figure
        >>> _, (axes,) = new_figure()
        >>> draw_supports(axes, {"player 0": [[0.0], [0.0, 1.0]]})
        >>> axes.collections[0].get_offsets().tolist()
        [[1.0, 0.0], [2.0, 0.0], [2.0, 1.0]]
    """
    for k, (name, rounds) in enumerate(played.items()):
        # The players' dots stand side by side, so that equal strategies do not hide each other.
        shift = 0.0 if len(played) == 1 else 0.3 * (k / (len(played) - 1) - 0.5)
        pairs = [(t + 1 + shift, y) for t, points in enumerate(rounds) for y in points]
        colour, marker = COLOURS[k % len(COLOURS)], "os^D"[k % 4]
        steps, values = [t for t, _ in pairs], [y for _, y in pairs]
        axes.scatter(steps, values, s=16, color=colour, marker=marker, linewidths=0, label=name, zorder=3)
    for level in known:
        axes.axhline(level, color="#777777", linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
    axes.grid(color="#EEEEEE", linewidth=0.7)
    dress(axes, title=title, xlabel=xlabel, ylabel=ylabel, legend=len(played) > 1)
