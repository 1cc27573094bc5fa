"""A gap: how far play is from an equilibrium, and how far to trust the number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Gap"]


@dataclass(frozen=True)
class Gap:
    """How much the players could gain, in utility units.

    Args:
        value: The gap: a sum, mean or maximum of the players' parts, as the function that made it says.
        per_player: Each player's part.
        lower: The true gap is at least this.
        upper: The true gap is at most this; `inf` when nothing was proved.
        exact: Whether `value` is exact up to rounding: no constant was sampled, no best response was heuristic.

    Example:
        >>> gap = Gap.largest([0.25, 0.5])
        >>> float(gap), gap.exact
        (0.5, True)
    """

    value: float
    per_player: tuple[float, ...]
    lower: float
    upper: float
    exact: bool

    def __float__(self) -> float:
        return self.value

    @classmethod
    def largest(
        cls,
        parts: Sequence[float],
        uppers: Sequence[float] | None = None,
        *,
        lowers: Sequence[float] | None = None,
        exact: bool = True,
    ) -> Gap:
        """The gap of the player who could gain most.

        Args:
            parts: Each player's part.
            uppers: Each player's proved upper bound; the parts themselves when `exact`, else unknown.
            lowers: Each player's proved lower bound; the parts themselves when it is not given.
            exact: Whether the parts are exact.
        """
        low = max(parts if lowers is None else lowers)
        return cls(max(parts), tuple(parts), low, max(_uppers(parts, uppers, exact)), exact)

    @classmethod
    def total(
        cls,
        parts: Sequence[float],
        uppers: Sequence[float] | None = None,
        *,
        lowers: Sequence[float] | None = None,
        exact: bool = True,
    ) -> Gap:
        """The sum of the players' parts; arguments as in `largest`."""
        low = sum(parts if lowers is None else lowers)
        return cls(sum(parts), tuple(parts), low, sum(_uppers(parts, uppers, exact)), exact)

    def divided(self, n: int) -> Gap:
        """The same gap with the value and its bounds divided by `n`; the players' parts are kept."""
        return Gap(self.value / n, self.per_player, self.lower / n, self.upper / n, self.exact)


def _uppers(parts: Sequence[float], uppers: Sequence[float] | None, exact: bool) -> Sequence[float]:
    if uppers is not None:
        return uppers
    return parts if exact else [math.inf] * len(parts)
