"""How many iterations a continuous double oracle can need at most.

In an iteration that does not stop, the two best responses gain more than the tolerance together, so one of them gains
more than half of it over the value of the restricted game, which no point held exceeds. If the utility is K-Lipschitz
in that player's strategy, the new point is farther than `tolerance / 2K` from every point the player held. So there are
at most as many such iterations as points with these distances fit into the two sets, and one more that stops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.sets import StrategySet

__all__ = ["packing_bound", "packing_number"]


def packing_number(strategies: StrategySet, distance: float) -> int:
    """A number of points of the set that cannot all be farther than `distance` from each other.

    The box around the set is cut into cells of that diameter; no two such points share a cell.

    Args:
        strategies: A compact set.
        distance: In the Euclidean norm, larger than 0.

    Raises:
        InvalidGameError: If the set is not compact.
        InvalidSettingError: If the distance is not a number > 0.

    Example:
        >>> from strategic_envs.sets import Box
        >>> packing_number(Box(-1, 1), 0.5), packing_number(Box(-1, 1, dim=2), 0.5)
        (5, 36)
    """
    if not 0 < distance < math.inf:
        raise InvalidSettingError(f"packing: got a distance {distance!r}, expected a number > 0")
    if not strategies.bounded:
        raise InvalidGameError(f"packing: the set {strategies} is not compact, so any number of points fits into it")
    low, high = strategies.bounds()
    side = distance / strategies.dim**0.5
    return math.prod(math.floor(width / side) + 1 for width in (high - low).tolist())


def packing_bound(sets: Sequence[StrategySet], lipschitz: Sequence[float], tolerance: float) -> int:
    """The largest number of iterations of a continuous double oracle with exact best responses.

    Args:
        sets: Both players' sets.
        lipschitz: For each player a Lipschitz constant of its utility in its own strategy.
        tolerance: The NashConv at which the loop stops.

    Raises:
        InvalidGameError: If a set is not compact.
        InvalidSettingError: If the tolerance or a constant is not a number > 0.

    Example:
        >>> from strategic_envs.sets import Box
        >>> packing_bound([Box(-1, 1), Box(-1, 1)], [4.0, 4.0], tolerance=0.1)
        323
    """
    for name, value in (("tolerance", tolerance), *(("Lipschitz constant", k) for k in lipschitz)):
        if not 0 < value < math.inf:
            raise InvalidSettingError(f"packing: got a {name} {value!r}, expected a number > 0")
    return 1 + sum(packing_number(s, tolerance / (2 * k)) for s, k in zip(sets, lipschitz, strict=True))
