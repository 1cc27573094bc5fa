"""The larger number without a bound, as double oracles see it: an oracle that names one more than it must beat.

Strategy k is the number k + 1. No number is a best response, so the payoff of one is a supremum: 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from strategic_envs.agents.double_oracle.finite.access import PayoffAccess

__all__ = ["UnboundedLargerNumber", "one_more"]


class UnboundedLargerNumber:
    """Access for `double_oracle` and an oracle for `erm_oracle`.

    Example:
        >>> from strategic_envs.agents.double_oracle.finite import double_oracle
        >>> result = double_oracle(UnboundedLargerNumber.access(), respond=one_more, max_iterations=30)
        >>> str(result.outcome), result.gap, result.history[-1].played
        ('max_steps', 2.0, ((29,), (29,)))
        >>> from strategic_envs.agents.double_oracle.erm import erm_oracle
        >>> erm_oracle(UnboundedLargerNumber(), epsilon=0.9, max_phases=3).gains
        (1.0, 1.0)
    """

    name = "larger_number"
    n_actions: tuple[int | None, ...] = (None, None)
    payoff_range = 2.0

    @classmethod
    def access(cls) -> PayoffAccess:
        """Its entries, by row and column."""
        return PayoffAccess(lambda i, j: np.sign(i - j), (None, None), name=cls.name)

    def payoffs(self, actions: Sequence[Sequence[int]]) -> Tensor:
        """See `ActionOracle`."""
        x, y = (torch.tensor(held, dtype=torch.float64) for held in actions)
        u = (x.unsqueeze(-1) - y).sign()
        return torch.stack([u, -u])

    def reply(self, player: int, actions: Sequence[Sequence[int]], probability: Tensor) -> tuple[int, float]:
        """The smallest strategy that beats all the opponent's, and 1."""
        return max(actions[1 - player]) + 1, 1.0


def one_more(player: int, strategies: np.ndarray, weights: np.ndarray) -> tuple[int, float]:
    """The smallest strategy that beats everything in the opponent's support, and what it pays player 0."""
    return int(strategies.max()) + 1, 1.0 if player == 0 else -1.0
