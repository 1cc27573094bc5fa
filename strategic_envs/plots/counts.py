"""A table of counts as a picture: the darker a cell, the more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from strategic_envs.plots.figure import dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_counts"]

_DARK = 0.55  # of the range: from here the text is white


def draw_counts(
    axes: Axes,
    counts: ArrayLike,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    notes: Sequence[Sequence[str]] | None = None,
    largest: float = 100.0,
    title: str = "",
) -> None:
    """Draws one square a cell, with its number in it.

    Args:
        axes: Where to draw.
        counts: The numbers, `(len(rows), len(columns))`.
        rows: What stands at the left of each row.
        columns: What stands above each column.
        notes: A short text a cell, shown below its number.
        largest: The number that is darkest.
        title: What stands above.

    Raises:
        ValueError: If the counts do not have that shape.

    Example:
        >>> from strategic_envs.plots.figure import new_figure
        >>> _, (axes,) = new_figure()
        >>> draw_counts(axes, [[0, 100]], rows=["game"], columns=["gradient", "extragradient"])
        >>> [text.get_text() for text in axes.texts]
        ['0', '100']
    """
    values = np.asarray(counts, dtype=float)
    if values.shape != (len(rows), len(columns)):
        raise ValueError(f"got counts of shape {values.shape}, expected {(len(rows), len(columns))}: a row a label")
    axes.imshow(values, cmap="Blues", vmin=0, vmax=largest * 1.15, aspect="auto")
    axes.set_xticks(range(len(columns)), list(columns), rotation=30, ha="left")
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(rows)), list(rows))
    for (i, j), value in np.ndenumerate(values):
        note = notes[i][j] if notes is not None else ""
        colour = "white" if value > _DARK * largest else "#333333"
        text = f"{value:g}\n{note}" if note else f"{value:g}"
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
    dress(axes, title=title, legend=False)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
