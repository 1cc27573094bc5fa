"""A network as a picture: links as wide as their flows, in the colours of their costs.

It draws on axes that it is given, so that figures (`strategic_envs.plots.flows`) and the frames of an environment are
the same picture. All shapes are in the units of the layout, where a typical link has length one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategic_envs.games.routing.layout import layout
from strategic_envs.games.routing.network import Network, Node

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Picture", "draw_network", "picture_of", "places"]

Points = NDArray[np.float64]

_INK, _EMPTY = "#333333", "#C9C9C9"
_RADIUS = 0.13  # of a node
_WIDEST, _THINNEST = 0.15, 0.018  # of links with the largest flow, and with hardly any
_BEND = 0.34  # how far apart parallel links bend, as a share of their length
_LANE = 0.012  # between the two directions of a road
_LABELLED = 12  # up to so many links say their flow and cost
_NAMED = 60  # up to so many nodes say their name
_WIDE = 9.0  # the extent from which on everything is drawn larger
_FEW = 12  # trips that are shown as such
_STEPS = 24  # points along a link


@dataclass(frozen=True)
class Picture:
    """What is drawn.

    Args:
        tails: Where each link begins, numbers of nodes, `(E,)`.
        heads: Where it ends, `(E,)`.
        positions: Where the nodes stand, `(N, 2)`.
        loads: The flow on each link, `(E,)`.
        costs: What each link costs at that flow, `(E,)`.
        names: What the nodes are called; their numbers from 1 when not given.
        ends: Origins and destinations `(o, d)`, which are darker while they are few.
    """

    tails: ArrayLike
    heads: ArrayLike
    positions: ArrayLike
    loads: ArrayLike
    costs: ArrayLike
    names: Sequence[str] | None = None
    ends: Sequence[tuple[int, int]] = ()


def places(network: Network, trips: Sequence[tuple[Node, Node]] = ()) -> Points:
    """Where the nodes of a network stand `(N, 2)`, a typical link being one unit long: as given, or by `layout`.

    Args:
        network: The network.
        trips: Origins and destinations; while they are few, they go from left to right.
    """
    tails, heads = network.tails.numpy(), network.heads.numpy()
    if network.positions is None:
        few = trips if len(trips) <= _FEW else ()
        return layout(tails, heads, len(network.nodes), ends=[(network.index(o), network.index(d)) for o, d in few])
    place: Points = network.positions.numpy()
    length = np.linalg.norm(place[heads] - place[tails], axis=1)
    return place / (float(np.median(length[length > 0])) if (length > 0).any() else 1.0)


def picture_of(
    network: Network,
    loads: ArrayLike,
    costs: ArrayLike,
    *,
    trips: Sequence[tuple[Node, Node]] = (),
    positions: Points | None = None,
) -> Picture:
    """A network with its flows.

    Args:
        network: The network.
        loads: The flow on each link `(E,)`.
        costs: What each link costs at that flow `(E,)`.
        trips: Origins and destinations.
        positions: What `places` gave, if it was asked already.
    """
    return Picture(
        network.tails.numpy(),
        network.heads.numpy(),
        places(network, trips) if positions is None else positions,
        loads,
        costs,
        names=[str(node) for node in network.nodes],
        ends=[(network.index(o), network.index(d)) for o, d in trips] if len(trips) <= _FEW else (),
    )


def draw_network(axes: Axes, picture: Picture, *, limits: tuple[float, float] | None = None) -> Any:
    """Draws a network with its flows.

    Args:
        axes: Where to draw.
        picture: What to draw.
        limits: The costs at the two ends of the colours; the cheapest and the dearest link when not given.

    Returns:
        What a colour bar is made for.

    Raises:
        ValueError: If the arrays do not fit together.

    Example:
        >>> from matplotlib.figure import Figure
        >>> axes = Figure().subplots()
        >>> pigou = Picture([0, 0], [1, 1], [(0, 0), (1, 0)], loads=[0, 1], costs=[1, 1])
        >>> draw_network(axes, pigou) is not None, [text.get_text() for text in axes.texts]
        (True, ['1', '2', '0 at 1', '1 at 1'])
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import Normalize

    tails, heads = (np.asarray(t, dtype=np.int64) for t in (picture.tails, picture.heads))
    place, load, cost = (np.asarray(t, dtype=np.float64) for t in (picture.positions, picture.loads, picture.costs))
    if not tails.shape == heads.shape == load.shape == cost.shape or place.ndim != 2 or place.shape[1] != 2:
        raise ValueError(
            f"got tails {tails.shape}, heads {heads.shape}, loads {load.shape}, costs {cost.shape} and positions "
            f"{place.shape}, expected one number a link and (nodes, 2)"
        )
    colours = ScalarMappable(Normalize(*_ends(limits or (float(cost.min()), float(cost.max())))), _colours())
    curves, roads = _curves(tails, heads, place)
    wider = max(1.0, float(np.ptp(place, axis=0).max()) / _WIDE)  # so that something is seen of a large network
    share = load / max(float(load.max()), 1e-300)
    used = share > 1e-9
    widest, thinnest = wider * (_WIDEST / 2 if roads else _WIDEST), wider * _THINNEST
    width = np.where(used, thinnest + (widest - thinnest) * share, thinnest)
    if roads:
        curves = [_aside(c, wider * _LANE + w / 2) for c, w in zip(curves, width, strict=True)]
    order = np.argsort(width, kind="stable")[::-1]  # the thinner above the wider
    shapes = [_arrow(curves[e], float(width[e])) for e in order]
    filled = [colours.to_rgba(cost[e]) if used[e] else _EMPTY for e in order]
    edges = "white" if len(place) <= _NAMED else "none"
    axes.add_collection(PolyCollection(shapes, facecolors=filled, edgecolors=edges, linewidths=0.4, zorder=2))
    _draw_nodes(axes, picture, place)
    if len(tails) <= _LABELLED:
        for curve, w, x, c in zip(curves, width, load, cost, strict=True):
            _label(axes, curve, w, place.mean(0), f"{_short(x)} at {_short(c)}")
    axes.set_aspect("equal")
    every = np.concatenate([*curves, place]) if curves else place
    margin = _RADIUS + (0.35 if len(tails) <= _LABELLED else 0.15)
    axes.set_xlim(every[:, 0].min() - margin, every[:, 0].max() + margin)
    axes.set_ylim(every[:, 1].min() - margin, every[:, 1].max() + margin)
    axes.set_axis_off()
    return colours


def _ends(limits: tuple[float, float]) -> tuple[float, float]:
    """The ends of the colours, also where all costs are the same: then in the middle."""
    low, high = limits
    room = 0.5 * abs(low) or 1.0
    return (low, high) if high > low else (low - room, low + room)


def _colours() -> Any:
    """From calm to hot, told apart by colour-blind readers too, and never as pale as paper."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("costs", ["#0072B2", "#56B4E9", "#E6B95C", "#E0752D", "#A8281E"])


def _curves(tails: NDArray[np.int64], heads: NDArray[np.int64], place: Points) -> tuple[list[Points], bool]:
    """The middle line of every link, and whether two directions share their roads as in a city.

    Links between the same two nodes bend away from each other; where there is one each way, they stay straight and keep
    to the right.
    """
    between: dict[tuple[int, int], list[int]] = defaultdict(list)
    for e, (t, h) in enumerate(zip(tails.tolist(), heads.tolist(), strict=True)):
        between[min(t, h), max(t, h)].append(e)
    roads = all(
        len(links) == 1 or (len(links) == 2 and tails[links[0]] == heads[links[1]]) for links in between.values()
    ) and any(len(links) == 2 for links in between.values())
    found: dict[int, Points] = {}
    for (a, _), links in between.items():
        for k, e in enumerate(links):
            bend = 0.0 if roads else (k - (len(links) - 1) / 2) * _BEND
            found[e] = _curve(place[tails[e]], place[heads[e]], bend if tails[e] == a else -bend)
    return [found[e] for e in range(len(tails))], roads


def _curve(start: Points, end: Points, bend: float) -> Points:
    """A parabola from node to node, cut where the nodes' discs begin; `bend` is its height over its length."""
    chord = end - start
    length = float(np.linalg.norm(chord))
    if length == 0:  # a link from a node to itself
        angle = np.linspace(-0.4 * np.pi, 1.4 * np.pi, _STEPS)[:, None]
        return start + 1.6 * _RADIUS * np.concatenate([np.cos(angle), np.sin(angle) + 1.2], axis=1)
    t = np.linspace(0.0, 1.0, 8 * _STEPS)[:, None]
    normal = np.array([-chord[1], chord[0]])
    line = start + t * chord + 4 * t * (1 - t) * bend * normal
    away = np.minimum(np.linalg.norm(line - start, axis=1), np.linalg.norm(line - end, axis=1))
    kept = line[away >= min(_RADIUS * 1.1, 0.3 * length)]
    return kept[np.linspace(0, len(kept) - 1, _STEPS).round().astype(int)]


def _normals(curve: Points) -> Points:
    slope = np.gradient(curve, axis=0)
    slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-300)
    return np.stack([-slope[:, 1], slope[:, 0]], axis=1)


def _aside(curve: Points, by: float) -> Points:
    return curve - by * _normals(curve)


def _arrow(curve: Points, width: float) -> Points:
    """A ribbon along the curve that ends in a head."""
    steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    left = np.concatenate([np.cumsum(steps[::-1])[::-1], [0.0]])  # the way to the end
    head = min(max(1.1 * width, 0.07), 0.4 * left[0])
    body = np.append(left > head, False)[:-1]
    body[0] = True
    normal, last = _normals(curve), int(np.flatnonzero(body)[-1])
    neck, tip = curve[last], curve[-1]
    across = normal[last] * max(0.85 * width, 0.035)
    sides = curve[body] + normal[body] * width / 2, curve[body] - normal[body] * width / 2
    return np.concatenate([sides[0], [neck + across, tip, neck - across], sides[1][::-1]])


def _draw_nodes(axes: Axes, picture: Picture, place: Points) -> None:
    from matplotlib.collections import EllipseCollection

    ends = {node for pair in picture.ends for node in pair}
    dark = ends if 2 * len(ends) <= len(place) or len(place) <= 4 else set()
    large = len(place) <= _NAMED
    size = 2 * _RADIUS if large else 1.2 * _RADIUS
    faces = ["#4A4A4A" if n in dark else "white" for n in range(len(place))]
    round_ = EllipseCollection(
        size, size, 0, units="xy", offsets=place, transOffset=axes.transData, facecolors=faces, edgecolors=_INK
    )
    round_.set(linewidths=0.9, zorder=3)
    axes.add_collection(round_)
    names = picture.names or [str(n + 1) for n in range(len(place))]
    for n, (x, y) in enumerate(place if large else ()):
        colour = "white" if n in dark else _INK
        axes.text(x, y, names[n], ha="center", va="center_baseline", fontsize=8, color=colour, zorder=4)


def _label(axes: Axes, curve: Points, width: float, centre: Points, text: str) -> None:
    """Says something beside the middle of a link: on the outer side of its bend, or of the picture."""
    middle, normal = curve[_STEPS // 2], _normals(curve)[_STEPS // 2]
    bend, out = (float((middle - p) @ normal) for p in ((curve[0] + curve[-1]) / 2, centre))
    side = 1.0 if normal[1] > 1e-6 or (abs(normal[1]) <= 1e-6 and normal[0] > 0) else -1.0  # above, or to the right
    for lean in (out, bend):
        side = float(np.sign(lean)) if abs(lean) > 1e-2 else side
    x, y = middle + side * normal * (width / 2 + 0.06)
    right, up = side * normal
    across = "center" if abs(up) > 0.94 else ("left" if right > 0 else "right")
    down = "center" if abs(up) < 0.3 else ("bottom" if up > 0 else "top")
    axes.text(x, y, text, ha=across, va=down, fontsize=8.5, color=_INK, zorder=5)


def _short(value: float) -> str:
    """Four digits at most, whole numbers as such."""
    return f"{value:.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.3g}"
