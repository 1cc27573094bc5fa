"""What players of a game with states ascend in training, where that is more than their own utility.

`J_i = (1 - share) U_i(initial) + share mean_s U_i(s)` with `U_i(s) = E[R_i + temperature sum_t H(pi_i(. | s_t))]` from
state s on, the sum over player i's own moves. Entropy keeps every action alive until its value is known. Exploring
starts (Sutton and Barto 2018, section 5.3) keep every state alive: play that is nearly deterministic never visits most
of them again, but a best response leads there. Either way each player ascends one objective by its own parameters, so
the joint field is that of a game, and every dynamic runs on it. Gaps are always those of the game itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from strategic_envs.errors import InvalidSettingError

__all__ = ["Regularisation"]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Regularisation:
    """Own entropy, and starts at any state.

    Args:
        entropy: The temperature, a number >= 0; or `(first, last, steps)`: it falls by the same factor in every step of
            the dynamic from `first` to `last`, both > 0, and stays there after `steps` of them.
        exploring_starts: The share of games that start at a state drawn uniformly from all states that are not over.

    Raises:
        InvalidSettingError: If one of them makes no sense.

    Example:
        >>> falling = Regularisation(entropy=(1.0, 0.01, 100))
        >>> [round(falling.temperature(k), 3) for k in (0, 50, 100, 1000)]
        [1.0, 0.1, 0.01, 0.01]
    """

    entropy: float | Sequence[float] = 0.0
    exploring_starts: float = 0.0

    def __post_init__(self) -> None:
        if not (self._constant() or self._schedule()):
            raise InvalidSettingError(
                f"entropy: got {self.entropy!r}, expected a number >= 0, or (first, last, steps) with first and "
                "last > 0 and a whole number of steps >= 1, such as (0.1, 0.02, 200)"
            )
        if not (_is_number(self.exploring_starts) and 0 <= self.exploring_starts <= 1):
            raise InvalidSettingError(
                f"exploring_starts: got {self.exploring_starts!r}, expected the share of games that start anywhere, a "
                "number in [0, 1]"
            )

    def _constant(self) -> bool:
        return _is_number(self.entropy) and self.entropy >= 0  # pyright: ignore[reportOperatorIssue]

    def _schedule(self) -> bool:
        parts = self.entropy
        if not isinstance(parts, list | tuple) or len(parts) != 3 or not all(map(_is_number, parts)):
            return False
        return min(parts[:2]) > 0 and parts[2] >= 1 and parts[2] == int(parts[2])

    @property
    def active(self) -> bool:
        """Whether the objective is another than the player's own utility."""
        return self.entropy != 0 or self.exploring_starts != 0

    def temperature(self, iteration: int) -> float:
        """The weight of entropy in a step of the dynamic, counted from 0."""
        if isinstance(self.entropy, int | float):
            return float(self.entropy)
        first, last, steps = self.entropy
        return float(first * (last / first) ** min(1.0, max(0, iteration) / steps))
