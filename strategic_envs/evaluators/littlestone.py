"""How hard a finite class of yes-or-no hypotheses is to learn online: Littlestone and threshold dimension.

The Littlestone dimension is the number of mistakes that the best deterministic learner cannot avoid (Littlestone 1988).
By the recursion: it is 0 for one hypothesis, and otherwise `max_x 1 + min(Ldim(H, h(x) = 0), Ldim(H, h(x) = 1))` over
the points x at which the class disagrees. The threshold dimension is the largest k with points and hypotheses so that
`h_i(x_j) = 1` exactly for j <= i. Each bounds the other by an exponential: `Ldim >= floor(log2 Tdim)` and
`Tdim >= floor(log2 Ldim)` (Shelah 1978, Hodges 1997; Alon, Livni, Malliaris and Moran 2019).

Sets of hypotheses and points are bits of an integer, and every set is looked at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from strategic_envs.errors import InvalidSettingError, InvalidStrategyError

__all__ = ["littlestone_dimension", "threshold_dimension"]

_LIMIT = 1_000_000


def littlestone_dimension(hypotheses: Tensor | np.ndarray | Sequence[Sequence[int]], *, limit: int = _LIMIT) -> int:
    """The Littlestone dimension of a finite class.

    Args:
        hypotheses: What each hypothesis says at each point, 0 or 1, `(H, X)`. Equal ones count once.
        limit: How many sets of hypotheses may be looked at. Thresholds need about H^2 / 2; a class without structure
            may need exponentially many.

    Returns:
        The dimension, at most `log2 H`.

    Raises:
        InvalidStrategyError: If there is no hypothesis, or an entry is not 0 or 1.
        InvalidSettingError: If the limit is exceeded.

    Example:
        >>> thresholds = [[int(x >= t) for x in range(1, 9)] for t in range(1, 9)]
        >>> littlestone_dimension(thresholds)
        3
    """
    rows = _distinct(hypotheses)
    ones = [sum(1 << h for h, row in enumerate(rows) if row[x]) for x in range(len(rows[0]))]
    splits = sorted(set(ones))  # points at which the class looks the same count once
    known: dict[int, int] = {}

    def dimension(alive: int) -> int:
        if alive & (alive - 1) == 0:  # one hypothesis
            return 0
        if alive in known:
            return known[alive]
        if len(known) >= limit:
            raise _too_many("littlestone_dimension", limit)
        best, most = 0, _log2(alive.bit_count())
        halves = ((alive & split, alive & ~split) for split in splits)
        # the most even first: the smaller half bounds what a point can reach
        for small, large in sorted(
            (sorted(pair, key=int.bit_count) for pair in halves), key=lambda p: -p[0].bit_count()
        ):
            if not small or 1 + _log2(small.bit_count()) <= best:
                break
            best = max(best, 1 + min(dimension(small), dimension(large)))
            if best == most:
                break
        known[alive] = best
        return best

    return dimension((1 << len(rows)) - 1)


def threshold_dimension(hypotheses: Tensor | np.ndarray | Sequence[Sequence[int]], *, limit: int = _LIMIT) -> int:
    """The threshold dimension of a finite class: the longest pattern `h_i(x_j) = 1 exactly for j <= i`.

    Args:
        hypotheses: What each hypothesis says at each point, 0 or 1, `(H, X)`.
        limit: How many pairs of sets may be looked at.

    Raises:
        InvalidStrategyError: If there is no hypothesis, or an entry is not 0 or 1.
        InvalidSettingError: If the limit is exceeded.

    Example:
        >>> threshold_dimension([[int(i > j) for j in range(6)] for i in range(6)])
        5
        >>> threshold_dimension([[int(i == j) for j in range(6)] for i in range(6)])
        1
    """
    rows = _distinct(hypotheses)
    says = [sum(1 << x for x, one in enumerate(row) if one) for row in rows]  # the points at which h is 1
    agree = [sum(1 << h for h, row in enumerate(rows) if row[x]) for x in range(len(rows[0]))]  # who is 1 at x
    known: dict[tuple[int, int], int] = {}

    def longest(alive: int, points: int) -> int:
        """The longest pattern of hypotheses that are 1 at all earlier points, and points at which all earlier are 0."""
        if (alive, points) in known:
            return known[alive, points]
        if len(known) >= limit:
            raise _too_many("threshold_dimension", limit)
        best = 0
        for h in _bits(alive):
            left = points & ~says[h]
            for x in _bits(points & says[h]):
                rest = alive & agree[x] & ~(1 << h)
                if 1 + min(rest.bit_count(), left.bit_count()) > best:
                    best = max(best, 1 + longest(rest, left))
        known[alive, points] = best
        return best

    return longest((1 << len(rows)) - 1, (1 << len(agree)) - 1)


def _distinct(hypotheses: Tensor | np.ndarray | Sequence[Sequence[int]]) -> list[list[int]]:
    try:
        table = torch.as_tensor(hypotheses)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidStrategyError(f"hypotheses: expected one rectangular table of 0 and 1: {error}") from error
    if table.ndim != 2 or 0 in table.shape:
        raise InvalidStrategyError(
            f"hypotheses: got a table of shape {tuple(table.shape)}, expected at least one hypothesis and one point"
        )
    wrong = (table != 0) & (table != 1)
    if bool(wrong.any()):
        h, x = wrong.nonzero()[0].tolist()
        raise InvalidStrategyError(f"hypotheses: number {h} says {table[h, x].item()} at point {x}, expected 0 or 1")
    if len(table) * 4 > sys.getrecursionlimit() * 3:
        raise InvalidSettingError(
            f"hypotheses: got {len(table)}, too many for the recursion: raise the recursion limit"
        )
    return table.to(torch.int64).unique(dim=0).tolist()


def _too_many(name: str, limit: int) -> InvalidSettingError:
    return InvalidSettingError(
        f"{name}: more than limit={limit} sets to look at: raise the limit or take a smaller class"
    )


def _log2(count: int) -> int:
    return count.bit_length() - 1


def _bits(mask: int) -> list[int]:
    return [k for k in range(mask.bit_length()) if mask >> k & 1]
