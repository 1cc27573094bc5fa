"""The price grids of the firms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from strategic_envs.errors import InvalidGameError

__all__ = ["accumulated_grid", "even_grid", "grid_ends"]

Ends = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]


def grid_ends(
    nash: Float[np.ndarray, "D n"],
    monopoly: Float[np.ndarray, "D n"],
    xi: float,
    bounds: Sequence[float | None] | None,
    floor: float | None = None,
) -> Ends:
    """The lowest and highest price of each firm.

    `p^N - xi (p^M - p^N)` and `p^M + xi (p^M - p^N)` with the firm's own anchors. With several market states p^N is the
    lowest Nash price and p^M the highest monopoly price of all states in which every firm is present, as in the
    authors' program, so that one grid serves all states.

    Args:
        nash: Nash prices by market state; nan where a firm is absent.
        monopoly: Monopoly prices, in the same way.
        xi: How far the grid reaches beyond the anchors, as a share of their distance.
        bounds: A lowest and a highest price that replace these; None leaves that end as it is.
        floor: No price is lower than this.

    Raises:
        InvalidGameError: If a grid has no width.
    """
    full = ~np.isnan(nash).any(1)
    lowest, highest = nash[full].min(0), monopoly[full].max(0)
    low, high = lowest - xi * (highest - lowest), highest + xi * (highest - lowest)
    if floor is not None:
        low, high = np.maximum(low, floor), np.maximum(high, floor)
    for end, bound in zip((low, high), bounds or (), strict=False):
        if bound is not None:
            end[:] = bound
    if not (low < high).all():
        i = int(np.flatnonzero(~(low < high))[0])
        raise InvalidGameError(
            f"pricing: the grid of firm {i} would reach from {low[i]:.6g} to {high[i]:.6g}, which has no width "
            f"(Nash price {lowest[i]:.6g}, monopoly price {highest[i]:.6g}): pass bounds=(low, high)"
        )
    return low, high


def even_grid(ends: Ends, m: int) -> Float[np.ndarray, "n m"]:
    """The grid of m equally spaced prices a firm.

    Example:
        >>> even_grid((np.array([1.0]), np.array([2.0])), 3).tolist()
        [[1.0, 1.5, 2.0]]
    """
    low, high = ends
    return low[:, None] + np.arange(m) / (m - 1) * (high - low)[:, None]


def accumulated_grid(ends: Ends, m: int) -> Float[np.ndarray, "n m"]:
    """The same prices to rounding, each the one before plus the step; the last is the end itself.

    Example:
        >>> accumulated_grid((np.array([1.0]), np.array([2.0])), 3).tolist()
        [[1.0, 1.5, 2.0]]
    """
    low, high = ends
    grid = np.empty((len(low), m))
    grid[:, 0], step = low, (high - low) / (m - 1)
    for k in range(1, m):
        grid[:, k] = grid[:, k - 1] + step
    grid[:, -1] = high
    return grid
