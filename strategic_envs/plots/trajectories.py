"""The field of a two-player game on a square, and how learning moves through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.plots.figure import COLOURS, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_trajectories", "plot_trajectories", "square"]

_MARKS = {"nash": "*", "first_order_nash": "o"}
_NAMES = {"nash": "Nash equilibrium", "first_order_nash": "first-order equilibrium"}


def plot_trajectories(
    game: VIGame,
    paths: Mapping[str, Sequence[Tensor]],
    *,
    title: str | None = None,
    labels: tuple[str, str] = ("player 0", "player 1"),
    density: float = 1.1,
) -> Figure:
    """A picture of the ascent field of a game with trajectories through it.

    Args:
        game: A game of two players with one bounded number each.
        paths: By name, a profile of tensors `(T, *batch, 1)`: T points of each path. Paths of one name share a colour.
        title: What stands above; the game's name when it is not given.
        labels: What the axes are called.
        density: How dense the field lines are.

    Returns:
        The figure.

    Raises:
        InvalidGameError: If the game cannot be drawn on a square.
        MissingExtraError: If matplotlib is not installed.

    Example:
        >>> from strategic_envs.games.nonconcave import f1
        >>> from strategic_envs.profile import Profile
        >>> path = Profile([torch.zeros(2, 1), torch.ones(2, 1)])
        >>> len(plot_trajectories(f1(), {"nothing": path}).axes)
        1
    """
    figure, (axes,) = new_figure()
    draw_trajectories(axes, game, paths, title=title, labels=labels, density=density)
    return figure


def draw_trajectories(
    axes: Axes,
    game: VIGame,
    paths: Mapping[str, Sequence[Tensor]],
    *,
    title: str | None = None,
    labels: tuple[str, str] = ("player 0", "player 1"),
    density: float = 1.1,
    colours: Mapping[str, str] | None = None,
) -> None:
    """Draws into given axes what `plot_trajectories` draws into a new figure.

    Args:
        axes: Where to draw.
        game: A game of two players with one bounded number each.
        paths: By name, a profile of tensors `(T, *batch, 1)`.
        title: What stands above; the game's name when it is not given.
        labels: What the axes are called.
        density: How dense the field lines are.
        colours: The colour of each name, where it should not be the next of the palette.
    """
    (low_x, high_x), (low_y, high_y) = square(game)
    xs = torch.linspace(low_x, high_x, 41, dtype=torch.float64)
    ys = torch.linspace(low_y, high_y, 41, dtype=torch.float64)
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    v = game.field([x.unsqueeze(-1), y.unsqueeze(-1)])
    lines = {"density": density, "color": "#C9CED6", "linewidth": 0.8, "arrowsize": 0.8, "zorder": 1}
    axes.streamplot(xs.numpy(), ys.numpy(), v[0].squeeze(-1).numpy(), v[1].squeeze(-1).numpy(), **lines)
    chosen = dict(zip(paths, COLOURS * (len(paths) // len(COLOURS) + 1), strict=False)) | dict(colours or {})
    for name, path in paths.items():
        _draw_paths(axes, name, path, chosen[name])
    if paths:
        _draw_ends(axes)
    _draw_equilibria(axes, game)
    margin_x, margin_y = 0.03 * (high_x - low_x), 0.03 * (high_y - low_y)
    axes.set_xlim(low_x - margin_x, high_x + margin_x)
    axes.set_ylim(low_y - margin_y, high_y + margin_y)
    axes.set_aspect("equal")
    dress(axes, title=game.name if title is None else title, xlabel=labels[0], ylabel=labels[1], legend=False)
    if axes.get_legend_handles_labels()[1]:
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13), "ncols": 2}
        axes.legend(fontsize=9, frameon=False, numpoints=1, **below)


def square(game: VIGame) -> tuple[tuple[float, float], tuple[float, float]]:
    """The lower and upper bounds of the two players of a game that can be drawn on a square.

    Raises:
        InvalidGameError: If the game is not of two players with one bounded number each.

    Example:
        >>> from strategic_envs.games.nonconcave import f1
        >>> square(f1(3.0))
        ((-3.0, 3.0), (-3.0, 3.0))
    """
    if game.dims != (1, 1) or not all(s.bounded for s in game.sets):
        raise InvalidGameError(
            f"{game.name}: got players of dimensions {game.dims}, expected two players with one bounded number each: "
            "draw a gap against the step instead"
        )
    first, second = ((float(low), float(high)) for low, high in (s.bounds() for s in game.sets))
    return first, second


def _draw_paths(axes: Axes, name: str, path: Sequence[Tensor], colour: str) -> None:
    x, y = (t.detach().cpu().double().squeeze(-1).reshape(len(t), -1).numpy() for t in path)
    for k in range(x.shape[1]):
        label = name if k == 0 else None
        axes.plot(x[:, k], y[:, k], color=colour, linewidth=1.6, alpha=0.9, label=label, zorder=3)
        axes.plot(x[0, k], y[0, k], "o", color="white", markeredgecolor=colour, markersize=5, zorder=4)
        axes.plot(x[-1, k], y[-1, k], "s", color=colour, markeredgecolor="white", markersize=7, zorder=5)


def _draw_ends(axes: Axes) -> None:
    """Legend entries for what the marks at both ends of a path mean."""
    axes.plot([], [], "o", color="white", markeredgecolor="#555555", markersize=5, label="start")
    axes.plot([], [], "s", color="#555555", markeredgecolor="white", markersize=7, label="end")


def _draw_equilibria(axes: Axes, game: VIGame) -> None:
    drawn: set[tuple[float, float]] = set()
    for kind in ("nash", "first_order_nash"):
        label: str | None = _NAMES[kind]
        for equilibrium in game.known().equilibria:
            if equilibrium.kind != kind or not equilibrium.is_pure:
                continue
            point = (float(equilibrium.points[0][0, 0]), float(equilibrium.points[1][0, 0]))
            if point in drawn:
                continue
            drawn.add(point)
            size = 13 if kind == "nash" else 9
            style = {"markerfacecolor": "#F0E442", "markeredgecolor": "#333333", "linestyle": "none", "zorder": 6}
            axes.plot(*point, _MARKS[kind], markersize=size, label=label, **style)
            label = None
