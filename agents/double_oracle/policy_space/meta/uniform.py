"""Every policy equally often: responding to the uniform mixture is fictitious play without repetitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution, MetaSolver

__all__ = ["Uniform"]


@dataclass(frozen=True)
class Uniform(MetaSolver):
    """The uniform mixture of each population; for any number of players (Lanctot et al. 2017, section 3).

    Example:
        >>> Uniform()(torch.zeros(2, 1, 2).double()).marginals[1].tolist()
        [0.5, 0.5]
    """

    name: ClassVar[str] = "uniform"
    summary: ClassVar[str] = "every policy equally often, as in fictitious play"

    def solve(self, payoffs: Float[Tensor, "n *sizes"]) -> MetaSolution:
        sizes = payoffs.shape[1:]
        marginals = tuple(torch.full((k,), 1.0 / k, dtype=torch.float64) for k in sizes)
        return MetaSolution(marginals, None, True, self.name)
