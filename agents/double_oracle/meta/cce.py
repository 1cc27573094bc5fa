"""A coarse correlated equilibrium of the meta-game, for any number of players (JPSRO; Marris et al. 2021)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linprog
from torch import Tensor

from strategic_envs.agents.double_oracle.meta.base import MetaSolution, MetaSolver

__all__ = ["CCE"]


@dataclass(frozen=True)
class CCE(MetaSolver):
    """The coarse correlated equilibrium of the largest total payoff, by a linear program.

    Args:
        tolerance: The largest gain by a fixed deviation up to which the meta-game counts as solved.

    Example:
        >>> pennies = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double()
        >>> [round(p, 9) for p in CCE()(torch.stack([pennies, -pennies])).marginals[0].tolist()]
        [0.5, 0.5]
    """

    name: ClassVar[str] = "cce"
    summary: ClassVar[str] = "a coarse correlated equilibrium; any number of players, general sum"
    tolerance: float = 1e-8

    def solve(self, payoffs: Float[Tensor, "n *sizes"]) -> MetaSolution:
        u = payoffs.numpy()
        n, sizes = u.shape[0], u.shape[1:]
        rows = []
        for i, b in itertools.chain.from_iterable(((i, b) for b in range(k)) for i, k in enumerate(sizes)):
            rows.append((np.take(u[i], [b], axis=i) - u[i]).reshape(-1))
        gains = np.stack(rows)
        count = gains.shape[1]
        found = linprog(
            -u.reshape(n, -1).sum(0), A_ub=gains, b_ub=np.zeros(len(gains)), A_eq=np.ones((1, count)), b_eq=[1]
        )
        if found.x is None:
            uniform = tuple(torch.full((k,), 1.0 / k, dtype=torch.float64) for k in sizes)
            return MetaSolution(uniform, None, False, self.name, found.message)
        p = np.maximum(found.x, 0)
        p = p / p.sum()
        gap = float((gains @ p).max())
        joint = torch.from_numpy(p).reshape(sizes)
        marginals = tuple(joint.movedim(i, 0).reshape(k, -1).sum(-1) for i, k in enumerate(sizes))
        return MetaSolution(marginals, joint, gap <= self.tolerance, self.name, f"CCE gap {gap:.3g}")
