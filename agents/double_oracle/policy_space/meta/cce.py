"""A coarse correlated equilibrium of the meta-game, for any number of players (JPSRO; Marris et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution, MetaSolver
from strategic_envs.solvers.correlated import CorrelatedSolution, solve_cce

__all__ = ["CCE", "of_correlated"]


@dataclass(frozen=True)
class CCE(MetaSolver):
    """A coarse correlated equilibrium by `solve_cce`: nobody gains by a policy fixed before the draw.

    Args:
        select: Which one: the greatest `"entropy"`, `"welfare"` or `"gini"` impurity.
        tolerance: The gain up to which the meta-game counts as solved, for payoffs scaled to a range of 2.

    Example:
        >>> import torch
        >>> pennies = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double()
        >>> [round(p, 9) for p in CCE()(torch.stack([pennies, -pennies])).marginals[0].tolist()]
        [0.5, 0.5]
    """

    name: ClassVar[str] = "cce"
    summary: ClassVar[str] = "a coarse correlated equilibrium; any number of players, general sum"
    select: str = "entropy"
    tolerance: float = 1e-7

    def solve(self, payoffs: Float[Tensor, "n *sizes"]) -> MetaSolution:
        return of_correlated(self.name, solve_cce(payoffs, select=self.select, tolerance=self.tolerance))


def of_correlated(name: str, found: CorrelatedSolution) -> MetaSolution:
    """A correlated solution as a meta-solver's answer."""
    joint = found.probability
    marginals = tuple(joint.movedim(i, 0).reshape(k, -1).sum(-1) for i, k in enumerate(joint.shape))
    return MetaSolution(marginals, joint, found.solved, name, f"{found.select}, gap {found.gap:.3g}")
