"""Quantile plots of the sizes of weights: a straight line is a lognormal, and others stand beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from strategic_envs.errors import InvalidSettingError
from strategic_envs.plots.figure import COLOURS, dress, new_figure, share_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_quantiles", "plot_quantiles"]

_POINTS = 200  # of a curve
_FEWEST = 20
_REACH = 3.6  # standard deviations to either side
_EULER = 0.5772156649015329


def draw_quantiles(
    axes: Axes,
    samples: Mapping[str, ArrayLike],
    *,
    title: str = "",
    colours: Mapping[str, str] | None = None,
    controls: bool = True,
) -> None:
    """Draws the quantiles of `ln|w|`, in standard deviations from its mean, against those of a Gaussian.

    Quantiles of a lognormal lie on the diagonal. The controls are exact curves: Gaussian and Laplace weights bend down
    at the left, because they have many entries near zero.

    Args:
        axes: Where to draw.
        samples: By name, weights of any shape. Signs are ignored and zeros left out.
        title: What stands above.
        colours: The colour of each name, where it should not be the next of the palette.
        controls: Whether to draw lognormal, Gaussian and Laplace weights.

    Raises:
        InvalidSettingError: If a sample has fewer than 20 entries that are not zero, one that is not finite, or entries
            of one size only.

    Example:
        >>> figure, (axes,) = new_figure()
        >>> draw_quantiles(axes, {"first layer": np.random.default_rng(0).normal(size=(20, 30))})
        >>> [line.get_label() for line in axes.lines]
        ['lognormal', 'Gaussian', 'Laplace', 'first layer']
    """
    from scipy.special import ndtri

    if controls:
        p = (np.arange(_POINTS) + 0.5) / _POINTS
        p = np.concatenate([np.geomspace(1e-4, p[0], 30)[:-1], p, 1 - np.geomspace(p[0], 1e-4, 30)[1:]])
        _control(axes, p, ndtri(p), "lognormal", "-")
        gaussian = (np.log(ndtri((1 + p) / 2)) + (_EULER + math.log(2)) / 2) / math.sqrt(math.pi**2 / 8)
        _control(axes, p, gaussian, "Gaussian", (0, (5, 2)))
        laplace = (np.log(-np.log1p(-p)) + _EULER) / math.sqrt(math.pi**2 / 6)
        _control(axes, p, laplace, "Laplace", (0, (1, 1.2)))
    for k, (name, weights) in enumerate(samples.items()):
        y = _standardised(name, weights)
        rank = np.unique(np.concatenate([np.geomspace(1, len(y) / 2, _POINTS // 2), [len(y) / 2]]).astype(int))
        rank = np.unique(np.concatenate([rank - 1, len(y) - rank]))  # dense where the tails are
        colour = (colours or {}).get(name, COLOURS[k % len(COLOURS)])
        look = {"linestyle": "none", "marker": "o", "markersize": 3.2, "markeredgewidth": 0, "alpha": 0.75}
        axes.plot(ndtri((rank + 0.5) / len(y)), y[rank], color=colour, label=name, zorder=3, **look)  # pyright: ignore[reportArgumentType]
    axes.set(xlim=(-_REACH, _REACH), ylim=(-2 * _REACH, _REACH))
    axes.grid(color="#E8E8E8", linewidth=0.7)
    ylabel = "quantiles of ln|w|, standardised"
    dress(axes, title=title, xlabel="quantiles of a Gaussian", ylabel=ylabel)


def plot_quantiles(
    layers: Mapping[str, Mapping[str, ArrayLike]], *, columns: int = 3, colours: Mapping[str, str] | None = None
) -> Figure:
    """A picture with one quantile plot a layer, and one legend.

    Args:
        layers: By the layer's name, what `draw_quantiles` draws, such as the trained weights and those at
            initialisation.
        columns: How many plots stand side by side.
        colours: The colour of each name.

    Returns:
        The figure.

    Raises:
        InvalidSettingError: If there is no layer, or a sample cannot be drawn.
        MissingExtraError: If matplotlib is not installed.

    Example:
        >>> w = np.random.default_rng(0).normal(size=500)
        >>> len(plot_quantiles({"first": {"trained": w}, "second": {"trained": w**3}}).axes)
        2
    """
    if not layers or columns < 1:
        raise InvalidSettingError(f"got {len(layers)} layers and columns={columns}, expected at least one of both")
    columns = min(columns, len(layers))
    rows = -(-len(layers) // columns)
    figure, panels = new_figure(rows, columns, width=3.6, height=3.3)
    for axes, (layer, samples) in zip(panels, layers.items(), strict=False):
        draw_quantiles(axes, samples, title=layer, colours=colours)
    for axes in panels[len(layers) :]:
        axes.remove()
    for k, axes in enumerate(panels[: len(layers)]):
        if k % columns:
            axes.set_ylabel("")
        if k + columns < len(layers):
            axes.set_xlabel("")
    share_legend(figure, panels[: len(layers)])
    return figure


def _control(axes: Axes, p: np.ndarray, y: np.ndarray, name: str, dash: object) -> None:
    from scipy.special import ndtri

    axes.plot(ndtri(p), y, color="#555555", linestyle=dash, linewidth=1.2, label=name, zorder=2)  # pyright: ignore[reportArgumentType]


def _standardised(name: str, weights: ArrayLike) -> np.ndarray:
    x = np.abs(np.asarray(weights, dtype=np.float64).reshape(-1))
    if not np.isfinite(x).all():
        raise InvalidSettingError(f"{name}: got a weight that is NaN or infinite, expected finite ones")
    y = np.sort(np.log(x[x > 0]))
    if len(y) < _FEWEST or y[0] == y[-1]:
        raise InvalidSettingError(
            f"{name}: got {len(y)} entries that are not zero, expected {_FEWEST} of different sizes at least"
        )
    return (y - y.mean()) / y.std()
