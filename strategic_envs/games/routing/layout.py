"""Where the nodes of a network stand in a picture, when nobody says: as far apart as they are along the links.

Stress majorisation (Gansner, Koren and North, "Graph drawing by stress majorization", 2004): positions y minimise
`sum_{i<j} (|y_i - y_j| - d_ij)^2 / d_ij^2` for the shortest-path distances d, from the classical scaling of d. Nothing
is drawn at random, so a network always looks the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["layout"]

_PASSES = 200
_STILL = 1e-5  # of the stress: a pass that gains less is the last


def layout(
    tails: ArrayLike,
    heads: ArrayLike,
    nodes: int,
    *,
    lengths: ArrayLike | None = None,
    ends: Sequence[tuple[int, int]] = (),
) -> NDArray[np.float64]:
    """Positions of the nodes `(nodes, 2)`, a typical link being one unit long.

    Args:
        tails: Where each link begins, numbers `0..nodes-1`, `(E,)`.
        heads: Where it ends, `(E,)`.
        nodes: How many nodes there are.
        lengths: How long each link should look, positive numbers; all alike when not given.
        ends: Origins and destinations `(o, d)`: the picture is turned so that trips go from left to right.

    Example:
        >>> (layout([0, 0, 2, 2, 3], [2, 3, 1, 3, 1], 4, ends=[(0, 1)]).round(2) + 0.0).tolist()
        [[-0.88, 0.0], [0.88, 0.0], [0.0, 0.47], [0.0, -0.47]]
    """
    tail, head = np.asarray(tails, dtype=np.int64), np.asarray(heads, dtype=np.int64)
    if nodes < 2 or not len(tail):
        return np.stack([np.arange(nodes, dtype=np.float64), np.zeros(nodes)], axis=1)
    distance = _distances(tail, head, nodes, lengths)
    position = _majorised(_scaled(distance), distance)
    return _turned(position - position.mean(0), ends) / _typical(position, tail, head)


def _distances(
    tail: NDArray[np.int64], head: NDArray[np.int64], nodes: int, lengths: ArrayLike | None
) -> NDArray[np.float64]:
    """Shortest-path distances, whichever way links go; parts that nothing joins are put beside each other."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import shortest_path

    length = np.ones(len(tail)) if lengths is None else np.asarray(lengths, dtype=np.float64)
    length = np.maximum(length, 1e-3 * max(length.max(), 1e-12))  # of a link of no length something is to be seen
    there = np.full((nodes, nodes), np.inf)
    np.minimum.at(there, (tail, head), length)  # the shorter of parallel links
    there = np.minimum(there, there.T)
    np.fill_diagonal(there, np.inf)
    row, column = np.nonzero(np.isfinite(there))
    graph = coo_matrix((there[row, column], (row, column)), shape=(nodes, nodes))
    distance: NDArray[np.float64] = shortest_path(graph.tocsr(), directed=False)
    furthest = distance[np.isfinite(distance)].max(initial=0.0)
    return np.where(np.isfinite(distance), distance, 1.2 * max(furthest, 1e-12))


def _scaled(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Classical scaling: the two main axes of the points whose distances these would be."""
    squared = distance**2
    centred = -0.5 * (squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean())
    value, vector = np.linalg.eigh(centred)
    axes = vector[:, -2:] * np.sqrt(np.maximum(value[-2:], 1e-6 * max(value[-1], 1e-12)))
    largest = np.abs(axes).argmax(0)
    return axes * np.where(axes[largest, [0, 1]] < 0, -1.0, 1.0)  # of eigenvectors only the line is determined


def _majorised(position: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    apart = distance > 0
    weight = np.where(apart, 1 / np.where(apart, distance, 1.0) ** 2, 0.0)
    inverse = np.linalg.pinv(np.diag(weight.sum(1)) - weight, hermitian=True)
    before = np.inf
    for _ in range(_PASSES):
        now = np.hypot(*(position.T[:, :, None] - position.T[:, None]))
        stress = float((weight * (now - distance) ** 2).sum())
        if before - stress <= _STILL * stress:
            break
        before = stress
        pull = np.where(now > 0, weight * distance / np.where(now > 0, now, 1.0), 0.0)
        position = inverse @ ((np.diag(pull.sum(1)) - pull) @ position)
    return position


def _turned(position: NDArray[np.float64], ends: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Rotated so that trips go to the right, or the longer side lies flat; then the first node off the axis is up."""
    along = np.sum([position[d] - position[o] for o, d in ends], axis=0) if len(ends) else np.zeros(2)
    if np.linalg.norm(along) < 1e-6 * np.abs(position).max():
        along = np.linalg.svd(position, full_matrices=False)[2][0]
        along = along * (-1.0 if along[np.abs(along).argmax()] < 0 else 1.0)
    x, y = along / np.linalg.norm(along)
    turned = position @ np.array([[x, -y], [y, x]]) + 0.0  # no minus zeros
    off = np.flatnonzero(np.abs(turned[:, 1]) > 1e-6 * np.abs(turned).max())
    return turned * np.array([1.0, -1.0]) if len(off) and turned[off[0], 1] < 0 else turned


def _typical(position: NDArray[np.float64], tail: NDArray[np.int64], head: NDArray[np.int64]) -> float:
    length = np.linalg.norm(position[head] - position[tail], axis=1)
    return float(np.median(length[length > 0])) if (length > 0).any() else 1.0
