"""Classifiers under attack: accuracy against the radius, and what the attacked inputs look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from strategic_envs.plots.curves import draw_curves
from strategic_envs.plots.figure import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_adversarial_examples", "plot_robustness"]


def plot_robustness(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]], *, radius: float | None = None, title: str = "", attack: str = ""
) -> Figure:
    """A picture of accuracy under attack against the radius of the attack.

    Args:
        series: By the classifier's name, radii `(R,)` and accuracies `(R,)`, or `(R, S)` for S seeds: then the line is
            the median and the band reaches from the smallest to the largest.
        radius: The radius that classifiers were trained against: a vertical line.
        title: What stands above.
        attack: How the attack is called, on the axis.

    Returns:
        The figure.

    Raises:
        MissingExtraError: If matplotlib is not installed.

    Example:
        >>> len(plot_robustness({"naive": ([0.0, 0.1], [0.98, 0.4])}, radius=0.1).axes)
        1
    """
    figure, (axes,) = new_figure(width=6.0)
    if radius is not None:
        axes.axvline(radius, color="#777777", linewidth=1.0, linestyle=(0, (2, 2)), zorder=2)
        at = {"xycoords": ("data", "axes fraction"), "xytext": (4, -2), "textcoords": "offset points"}
        axes.annotate("trained against", (radius, 0.99), va="top", fontsize=8, color="#555555", **at)
    ylabel = f"accuracy under {attack}" if attack else "accuracy under attack"
    draw_curves(axes, series, title=title, xlabel="radius (pixels lie in [0, 1])", ylabel=ylabel, log=False)
    axes.set_ylim(-0.02, 1.02)
    return figure


def plot_adversarial_examples(
    rows: Mapping[str, tuple[ArrayLike, Sequence[int]]], targets: Sequence[int], *, title: str = ""
) -> Figure:
    """A grid of images: a row a classifier, with what it takes each image for.

    Args:
        rows: By the row's name, grey images `(K, height, width)` in [0, 1] and the K predicted classes.
        targets: The true classes of the K images.
        title: What stands above.

    Returns:
        The figure; wrong predictions are in the colour of a warning, and marked with a cross.

    Raises:
        ValueError: If a row has not as many images and predictions as there are targets.
        MissingExtraError: If matplotlib is not installed.

    Example:
        >>> images = np.zeros((3, 8, 8))
        >>> len(plot_adversarial_examples({"clean": (images, [0, 1, 2])}, [0, 1, 1]).axes)
        3
    """
    columns = len(targets)
    figure, axes = new_figure(len(rows), columns, width=0.95, height=1.2)
    for r, (name, (images, predictions)) in enumerate(rows.items()):
        pictures = np.asarray(images, dtype=float)
        if len(pictures) != columns or len(predictions) != columns:
            raise ValueError(
                f"{name}: got {len(pictures)} images and {len(predictions)} predictions, expected {columns} of both"
            )
        for k in range(columns):
            _draw_example(axes[r * columns + k], pictures[k], int(predictions[k]), right=predictions[k] == targets[k])
        axes[r * columns].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    figure.suptitle(title, fontsize=10, color="#333333", x=0.01, ha="left")
    return figure


def _draw_example(axes: Axes, image: np.ndarray, prediction: int, *, right: bool) -> None:
    axes.imshow(image, cmap="gray_r", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color("#BBBBBB")
    text = f"{prediction}" if right else f"{prediction} \N{MULTIPLICATION SIGN}"
    axes.set_title(text, fontsize=10, pad=2, color="#333333" if right else COLOURS[1])
