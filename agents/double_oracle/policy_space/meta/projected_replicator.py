"""Projected replicator dynamics (Lanctot et al. 2017, section 3.1): a mixture that never drops a policy altogether.

`x_i <- P(x_i + dt x_i (u_i(., x_-i) - u_i(x)))` from the uniform mixtures, where P is the Euclidean projection onto the
distributions whose probabilities are at least gamma. The answer is the mean of all iterates, the start included: in a
zero-sum game the iterates themselves circle around the equilibrium.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution, MetaSolver
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.solvers.compiled import compiled

__all__ = ["ProjectedReplicator"]


@dataclass(frozen=True)
class ProjectedReplicator(MetaSolver):
    """The time average of projected replicator dynamics; for any number of players.

    Args:
        dt: The step size.
        gamma: The least probability of any policy.
        iterations: How many steps.

    Example:
        >>> rock_paper_scissors = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]).double()
        >>> found = ProjectedReplicator(iterations=100)(torch.stack([rock_paper_scissors, -rock_paper_scissors]))
        >>> [round(p, 9) for p in found.marginals[0].tolist()]
        [0.333333333, 0.333333333, 0.333333333]
    """

    name: ClassVar[str] = "projected_replicator"
    summary: ClassVar[str] = "the mean of projected replicator dynamics: keeps every policy alive"
    dt: float = 1e-3
    gamma: float = 1e-10
    iterations: int = 20_000

    def __post_init__(self) -> None:
        if not (0 < self.dt < math.inf and 0 <= self.gamma < 1 and self.iterations >= 1):
            raise InvalidSettingError(
                f"{self.name}: got dt={self.dt}, gamma={self.gamma}, iterations={self.iterations}, expected a finite "
                "dt > 0, 0 <= gamma < 1 and at least one iteration"
            )

    def solve(self, payoffs: Float[Tensor, "n *sizes"]) -> MetaSolution:
        sizes = payoffs.shape[1:]
        if self.gamma * max(sizes) > 1:
            raise InvalidGameError(
                f"{self.name}: got gamma={self.gamma} for a population of {max(sizes)}, expected at most "
                f"{1 / max(sizes):.3g}: all policies cannot have this probability"
            )
        flat = payoffs.reshape(len(sizes), -1).numpy()
        mean: np.ndarray = _run(flat, np.array(sizes), self.dt, self.gamma, self.iterations)
        marginals = tuple(torch.from_numpy(m[:k] / m[:k].sum()) for m, k in zip(mean, sizes, strict=True))
        gains = _payoffs(flat, np.array(sizes), _padded(marginals))
        gap = sum(float(g[:k].max() - g[:k] @ m.numpy()) for g, k, m in zip(gains, sizes, marginals, strict=True))
        return MetaSolution(marginals, None, math.isfinite(gap), self.name, f"NashConv of the mean {gap:.3g}")


def _padded(marginals: tuple[Tensor, ...]) -> np.ndarray:
    x = np.zeros((len(marginals), max(len(m) for m in marginals)))
    for row, m in zip(x, marginals, strict=True):
        row[: len(m)] = m.numpy()
    return x


@compiled
def _payoffs(flat, sizes, x):
    """What each policy of each player pays against the others' mixtures, `(n, largest size)`."""
    n = len(sizes)
    out = np.zeros(x.shape)
    index = np.zeros(n, dtype=np.int64)
    for cell in range(flat.shape[1]):
        for i in range(n):
            weight = 1.0
            for j in range(n):
                if j != i:
                    weight *= x[j, index[j]]
            out[i, index[i]] += weight * flat[i, cell]
        for j in range(n - 1, -1, -1):  # the next cell, row-major
            index[j] += 1
            if index[j] < sizes[j]:
                break
            index[j] = 0
    return out


@compiled
def _project(x, gamma):
    """The nearest distribution whose probabilities are at least gamma (Held, Wolfe and Crowder 1974), in place."""
    room = 1.0 - gamma * len(x)
    descending = np.sort(x - gamma)[::-1]
    total, shift = 0.0, 0.0
    for j in range(len(x)):
        total += descending[j]
        candidate = (total - room) / (j + 1)
        if descending[j] > candidate:
            shift = candidate
    for j in range(len(x)):
        x[j] = max(x[j] - gamma - shift, 0.0) + gamma


@compiled
def _run(flat, sizes, dt, gamma, iterations):
    """The mean of the start and all iterates `(n, largest size)`."""
    n = len(sizes)
    x = np.zeros((n, sizes.max()))
    for i in range(n):
        x[i, : sizes[i]] = 1.0 / sizes[i]
    mean = x.copy()
    for _ in range(iterations):
        paid = _payoffs(flat, sizes, x)
        for i in range(n):
            k = sizes[i]
            average = 0.0
            for a in range(k):
                average += x[i, a] * paid[i, a]
            for a in range(k):
                x[i, a] += dt * x[i, a] * (paid[i, a] - average)
            _project(x[i, :k], gamma)
        mean += x
    return mean / (iterations + 1)
