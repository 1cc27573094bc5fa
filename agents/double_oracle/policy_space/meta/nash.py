"""A Nash equilibrium of the meta-game: PSRO with it is double oracle (McMahan, Gordon and Blum 2003)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution, MetaSolver
from strategic_envs.errors import InvalidGameError
from strategic_envs.solvers.zero_sum import solve_zero_sum

__all__ = ["Nash"]

_ROUNDING = 1e-9  # relative: exact payoffs of both players add up to the same number to rounding


@dataclass(frozen=True)
class Nash(MetaSolver):
    """A Nash equilibrium of a two-player constant-sum meta-game, by `solve_zero_sum`.

    Payoffs that were sampled need not sum to a constant; the game solved is then half the difference of both players'
    payoffs, if the sums vary by no more than `slack`.

    Args:
        tolerance: The NashConv up to which the meta-game counts as solved.
        slack: By how much the sum of both players' payoffs may vary between cells.

    Example:
        >>> import torch
        >>> pennies = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double()
        >>> Nash()(torch.stack([pennies, -pennies])).marginals[0].tolist()
        [0.5, 0.5]
    """

    name: ClassVar[str] = "nash"
    summary: ClassVar[str] = "a Nash equilibrium of a two-player zero-sum meta-game, as in double oracle"
    tolerance: float = 1e-9
    slack: float = 0.0

    def solve(self, payoffs: Float[Tensor, "n *sizes"]) -> MetaSolution:
        if payoffs.shape[0] != 2:
            raise InvalidGameError(
                f"nash: got {payoffs.shape[0]} players, expected two whose payoffs sum to a constant: with more "
                "players use uniform, projected_replicator, alpha_rank or cce"
            )
        total = payoffs.sum(0)
        spread = float(total.max() - total.min())
        if spread > self.slack + _ROUNDING * max(1.0, float(payoffs.abs().max())):
            raise InvalidGameError(
                f"nash: got payoffs whose sum varies by {spread:.6g} between cells, expected a constant: use cce, "
                "alpha_rank or projected_replicator in a general-sum game, or set slack where payoffs are sampled"
            )
        found = solve_zero_sum((payoffs[0] - payoffs[1]) / 2, tolerance=self.tolerance)
        note = f"{found.method}, NashConv {found.nash_conv:.3g}"
        return MetaSolution((found.row, found.column), None, found.solved, self.name, note)
