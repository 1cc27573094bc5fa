"""Coverage of starts: from where on a square learning converges, and to which point."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.plots.figure import COLOURS, dress, new_figure
from strategic_envs.plots.trajectories import square

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_coverage", "plot_coverage"]

_SOLVED = "solved"
_GREYS = {"resting": "#6B7280", "moving": "#D1D5DB", "diverged": "#111111", "nonfinite": "#111111", "failed": "#9F1239"}
_WORDS = {"resting": "rests at no solution", "moving": "still moving"}
_OTHERS = "#FDE68A"  # solutions beyond those that the palette can tell apart


class _Label(NamedTuple):
    """What a start is coloured by: its text in the legend, and its colour."""

    text: str
    colour: str


def plot_coverage(
    game: VIGame,
    starts: Sequence[Tensor],
    ends: Sequence[Tensor],
    verdicts: Sequence[str],
    *,
    title: str | None = None,
    labels: tuple[str, str] = ("player 0", "player 1"),
) -> Figure:
    """A map of starts, each coloured by what became of it.

    Args:
        game: A game of two players with one bounded number each.
        starts: The starts, a profile of tensors `(*batch, 1)`; a grid shows best.
        ends: Where they ended, of the same shapes: `final` of a run.
        verdicts: What became of each, batch dimensions flattened: `verdicts()` of a run. Starts that are `solved` are
            coloured by their end, others by their verdict.
        title: What stands above; the game's name when it is not given.
        labels: What the axes are called.

    Returns:
        The figure.

    Raises:
        InvalidGameError: If the game cannot be drawn on a square.
        ValueError: If starts, ends and verdicts are not of one number.
        MissingExtraError: If matplotlib is not installed.

    Example:
        >>> from strategic_envs.games.nonconcave import f1
        >>> corners = [torch.tensor([[-3.0], [3.0]]), torch.tensor([[-3.0], [3.0]])]
        >>> ends = [torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [1.0]])]
        >>> figure = plot_coverage(f1(3.0), corners, ends, ["solved", "moving"])
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['to (0, 0): 1', 'still moving: 1']
    """
    figure, (axes,) = new_figure()
    draw_coverage(axes, game, starts, ends, verdicts, title=title, labels=labels)
    return figure


def draw_coverage(
    axes: Axes,
    game: VIGame,
    starts: Sequence[Tensor],
    ends: Sequence[Tensor],
    verdicts: Sequence[str],
    *,
    title: str | None = None,
    labels: tuple[str, str] = ("player 0", "player 1"),
    same: float = 0.02,
) -> None:
    """Draws into given axes what `plot_coverage` draws into a new figure.

    Args:
        axes: Where to draw.
        game: A game of two players with one bounded number each.
        starts: The starts, a profile of tensors `(*batch, 1)`.
        ends: Where they ended.
        verdicts: What became of each.
        title: What stands above; the game's name when it is not given.
        labels: What the axes are called.
        same: Solutions that are so near to each other, as a share of the widths of the square, are one.
    """
    (low_x, high_x), (low_y, high_y) = square(game)
    first, last = _rows(starts), _rows(ends)
    if first.shape != last.shape or len(first) != len(verdicts):
        raise ValueError(
            f"coverage on {game.name}: got {len(first)} starts, {len(last)} ends and {len(verdicts)} verdicts, "
            "expected one number of each: the starts, and final and verdicts() of one run"
        )
    widths = torch.tensor([high_x - low_x, high_y - low_y], dtype=torch.float64)
    found, solutions = _labelled(last, verdicts, widths, same)
    size = _size(len(first))
    for label, count in sorted(Counter(found).items(), key=lambda item: (item[0].colour not in COLOURS, -item[1])):
        chosen = first[[label == other for other in found]]
        style = {"s": size, "marker": "s", "linewidths": 0, "color": label.colour, "zorder": 2}
        axes.scatter(chosen[:, 0].numpy(), chosen[:, 1].numpy(), label=f"{label.text}: {count}", **style)
    for x, y in solutions:
        axes.plot([x], [y], "o", color="#F0E442", markeredgecolor="#333333", markersize=8, zorder=4, clip_on=False)
    axes.set_xlim(low_x, high_x)
    axes.set_ylim(low_y, high_y)
    axes.set_aspect((high_x - low_x) / (high_y - low_y))
    dress(axes, title=game.name if title is None else title, xlabel=labels[0], ylabel=labels[1], legend=False)
    legend = axes.legend(fontsize=9, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set(sizes=[40.0])  # however large the marks of the map are


def _rows(profile: Sequence[Tensor]) -> Tensor:
    return torch.stack([t.detach().cpu().double().reshape(-1) for t in profile], dim=-1)


def _size(count: int) -> float:
    """The area of a mark, in square points, with which a grid of so many nearly fills the picture."""
    return min(400.0, (200.0 / max(count, 1) ** 0.5) ** 2)


def _labelled(
    ends: Tensor, verdicts: Sequence[str], widths: Tensor, same: float
) -> tuple[list[_Label], list[tuple[float, float]]]:
    """The label of each start, and the solutions that have a colour of their own, most visited first."""
    centres: list[Tensor] = []
    visited: list[int] = []
    for end, verdict in zip(ends, verdicts, strict=True):
        near = [k for k, c in enumerate(centres) if bool(((end - c).abs() <= same * widths).all())]
        if verdict == _SOLVED and not near:
            centres.append(end)
        visited.append(-1 if verdict != _SOLVED else near[0] if near else len(centres) - 1)
    ranked = [k for k, _ in Counter(k for k in visited if k >= 0).most_common(len(COLOURS))]
    colours = {k: _Label(f"to {_text(centres[k], widths)}", COLOURS[rank]) for rank, k in enumerate(ranked)}
    others = _Label("to other solutions", _OTHERS)
    rest = {v: _Label(_WORDS.get(v, v), _GREYS.get(v, "#D1D5DB")) for v in verdicts}
    found = [rest[v] if k < 0 else colours.get(k, others) for k, v in zip(visited, verdicts, strict=True)]
    return found, [(float(centres[k][0]), float(centres[k][1])) for k in ranked]


def _text(point: Tensor, widths: Tensor) -> str:
    """A point to about a hundredth of the square's widths, zero without a sign."""
    digits = [2 - math.floor(math.log10(float(w))) for w in widths]
    first, second = (round(float(v), d) + 0.0 for v, d in zip(point, digits, strict=True))
    return f"({first:.4g}, {second:.4g})"
