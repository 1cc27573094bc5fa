"""What every picture shares: one look, no global state, files that are never half written.

Figures are `matplotlib.figure.Figure` objects made without pyplot, so drawing works without a screen, in threads and in
Ray workers. Matplotlib is imported when the first figure is made.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strategic_envs.errors import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "dress", "new_figure", "save", "share_legend"]

# Okabe and Ito's palette, told apart by colour-blind readers too; black and yellow left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")

_INK, _GRID = "#333333", "#E3E3E3"


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float = 5.2, height: float = 4.4
) -> tuple[Figure, list[Axes]]:
    """An empty figure with a grid of axes.

    Args:
        rows: Rows of axes.
        columns: Columns of axes.
        width: Width of one column in inches.
        height: Height of one row in inches.

    Returns:
        The figure and its axes, row by row.

    Raises:
        MissingExtraError: If matplotlib is not installed.

    Example:
        >>> figure, axes = new_figure(1, 2)
        >>> len(axes)
        2
    """
    module = require("matplotlib.figure", "plots", "Drawing")
    figure: Figure = module.Figure(figsize=(width * columns, height * rows), layout="constrained", facecolor="white")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.reshape(-1))


def dress(axes: Axes, *, title: str = "", xlabel: str = "", ylabel: str = "", legend: bool = True) -> None:
    """Gives axes their labels and the common look.

    Args:
        axes: The axes.
        title: What stands above.
        xlabel: What stands below.
        ylabel: What stands at the left.
        legend: Whether labelled things get a legend.
    """
    axes.set_title(title, fontsize=11, color=_INK, loc="left")
    axes.set_xlabel(xlabel, color=_INK)
    axes.set_ylabel(ylabel, color=_INK)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#999999")
    if legend and axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=9, frameon=True, framealpha=0.9, edgecolor=_GRID)


def share_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend below all panels in place of one in each; a name that several panels have stands there once.

    Args:
        figure: The figure.
        panels: Its axes.
    """
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(name, handle)
        legend = axes.get_legend()
        if legend is not None:
            legend.remove()
    columns = min(len(entries), 4) if len(panels) > 1 else 2
    if entries:
        below: dict[str, Any] = {"loc": "outside lower center", "ncols": columns, "frameon": False, "numpoints": 1}
        figure.legend(list(entries.values()), list(entries), **below)


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 150) -> Path:
    """Writes a figure to a file at once: readers see the old file or the new one, never half of it.

        The same figure gives the same bytes.

    Args:
            figure: The figure.
            path: The file; its suffix (`.png`, `.svg`, `.pdf`) decides the format. Missing folders are made.
            dpi: Dots per inch of a bitmap.

    Returns:
            The path of the file.

    Raises:
            ValueError: If the suffix is of no format that matplotlib writes; nothing is written then.

    Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     save(new_figure()[0], Path(folder) / "empty.png").name
            'empty.png'
    """
    path = Path(path)
    kind = path.suffix.removeprefix(".").lower()
    supported = figure.canvas.get_supported_filetypes()
    if kind not in supported:
        raise ValueError(f"got the file name {path.name!r}, expected a suffix out of {', '.join(sorted(supported))}")
    path.parent.mkdir(parents=True, exist_ok=True)
    quiet: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        figure.savefig(temporary, format=kind, dpi=dpi, metadata=quiet.get(kind))
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
