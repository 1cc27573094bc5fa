"""A correlated equilibrium of the meta-game, for any number of players (JPSRO; Marris et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.agents.double_oracle.policy_space.meta.cce import CCE, of_correlated
from strategic_envs.solvers.correlated import solve_ce

__all__ = ["CE"]


@dataclass(frozen=True)
class CE(CCE):
    """A correlated equilibrium by `solve_ce`: nobody gains by another answer to the policy that it drew.

    The replies of PSRO are to the mixture before the draw, so a run that ends has found a coarse correlated equilibrium
    of the whole game, as with `cce`.

    Its settings are those of `cce`.

    Example:
        >>> import torch
        >>> pennies = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double()
        >>> [round(p, 9) for p in CE()(torch.stack([pennies, -pennies])).marginals[0].tolist()]
        [0.5, 0.5]
    """

    name: ClassVar[str] = "ce"
    summary: ClassVar[str] = "a correlated equilibrium; any number of players, general sum"

    def solve(self, payoffs: Float[Tensor, "n *sizes"]) -> MetaSolution:
        return of_correlated(self.name, solve_ce(payoffs, select=self.select, tolerance=self.tolerance))
