"""Alpha-rank (Omidshafiei et al. 2019): how often evolution visits each joint choice of policies.

A Markov chain on the joint choices. Mutants of one population at a time try another policy; a gain of D takes over the
population of m individuals with probability `rho = (1 - e^(-alpha D)) / (1 - e^(-m alpha D))`, which is 1 / m at D = 0.
From a choice the chain moves to each unilateral change with probability `eta rho`, `eta = 1 / sum_i (k_i - 1)`, and
otherwise stays. The answer is its stationary distribution.
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

__all__ = ["AlphaRank", "fixation"]

_LARGEST = 4096  # joint choices: the elimination takes N^3 / 3 operations
_SMALLEST = 1e-30  # a takeover less likely than this counts as this likely: the chain stays in one piece


def fixation(gain: np.ndarray, alpha: float, m: int) -> np.ndarray:
    """With what probability one mutant takes over a population of m, by its gain; no exponential overflows.

    Example:
        >>> fixation(np.array([-1e4, 0.0, 1e4]), alpha=100.0, m=50).tolist()
        [0.0, 0.02, 1.0]
    """
    step = alpha * np.abs(gain)
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        up = np.expm1(-step) / np.expm1(-m * step)
        down = np.exp(-(m - 1) * step) * up  # both fractions extended by e^(m alpha D)
    return np.where(step * m < 1e-14, 1.0 / m, np.where(gain > 0, up, down))


@dataclass(frozen=True)
class AlphaRank(MetaSolver):
    """The stationary distribution of alpha-rank's chain: a joint distribution, and its marginals.

    Args:
        alpha: The strength of selection; large values approach the answer that does not depend on it.
        m: The size of the populations that evolve.
        single: Whether one population plays a symmetric two-player game against itself. The answer is then that
            population's distribution, the same for both players.

    Example:
        >>> rock_paper_scissors = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]).double()
        >>> found = AlphaRank()(torch.stack([rock_paper_scissors, -rock_paper_scissors]))
        >>> [round(p, 9) for p in found.marginals[0].tolist()]
        [0.333333333, 0.333333333, 0.333333333]
    """

    name: ClassVar[str] = "alpha_rank"
    summary: ClassVar[str] = "how often evolution visits each joint choice; any number of players, general sum"
    alpha: float = 100.0
    m: int = 50
    single: bool = False

    def __post_init__(self) -> None:
        if not (0 < self.alpha < math.inf and self.m >= 2):
            raise InvalidSettingError(
                f"{self.name}: got alpha={self.alpha} and m={self.m}, expected a finite alpha > 0 and m >= 2"
            )

    def solve(self, payoffs: Float[Tensor, "n *sizes"]) -> MetaSolution:
        sizes = tuple(payoffs.shape[1:])
        if self.single:
            chain, shape = self._one_population(payoffs), sizes[:1]
        else:
            chain, shape = self._populations(payoffs), sizes
        found = _stationary(chain)
        if not np.isfinite(found).all() or abs(found.sum() - 1) > 1e-9:
            nothing = tuple(torch.full((k,), 1.0 / k, dtype=torch.float64) for k in sizes)
            return MetaSolution(nothing, None, False, self.name, "the chain falls apart: take a smaller alpha")
        joint = torch.from_numpy(found).reshape(shape)
        note = f"alpha={self.alpha:g}, m={self.m}, {len(found)} joint choices"
        if self.single:
            return MetaSolution((joint, joint), None, True, self.name, note)
        axes = range(len(sizes))
        marginals = tuple(joint.sum([j for j in axes if j != i]) if len(sizes) > 1 else joint for i in axes)
        return MetaSolution(marginals, joint, True, self.name, note)

    def _populations(self, payoffs: Tensor) -> np.ndarray:
        sizes = tuple(payoffs.shape[1:])
        count = math.prod(sizes)
        self._check_size(count)
        changes = sum(k - 1 for k in sizes)
        index = np.arange(count).reshape(sizes)
        chain = np.zeros((count, count))
        for i, k in enumerate(sizes):
            paid = np.moveaxis(payoffs[i].numpy(), i, -1).reshape(-1, k)  # rows: the others' choices
            where = np.moveaxis(index, i, -1).reshape(-1, k)
            rate = np.maximum(fixation(paid[:, None, :] - paid[:, :, None], self.alpha, self.m), _SMALLEST)
            chain[where[:, :, None], where[:, None, :]] = rate / max(changes, 1)  # from, to
        return chain

    def _one_population(self, payoffs: Tensor) -> np.ndarray:
        mine, theirs = payoffs[0].numpy(), payoffs[1].numpy() if len(payoffs) == 2 else None
        if theirs is None or mine.shape[0] != mine.shape[1] or not np.allclose(theirs, mine.T, rtol=0, atol=1e-9):
            raise InvalidGameError(
                f"{self.name}: got single=True for payoffs of shape {tuple(payoffs.shape)} that are not symmetric, "
                "expected two players with payoffs[1] = payoffs[0] transposed"
            )
        self._check_size(len(mine))
        gain = mine.T - mine  # what j gets from i, less what i gets from j
        return np.maximum(fixation(gain, self.alpha, self.m), _SMALLEST) / max(len(mine) - 1, 1)

    def _check_size(self, count: int) -> None:
        if count > _LARGEST:
            raise InvalidGameError(
                f"{self.name}: got {count} joint choices of policies, expected at most {_LARGEST}: use nash, cce or "
                "projected_replicator for populations this large"
            )


@compiled
def _stationary(rates):
    """The stationary distribution of a chain by its rates of leaving, without a subtraction (Grassmann et al. 1985).

    Each step takes the last state out of the chain and lets the rest pass through it; the diagonal is never read.
    """
    p = rates.copy()
    n = len(p)
    for k in range(n - 1, 0, -1):
        leaving = p[k, :k].sum()
        for i in range(k):
            share = p[i, k] / leaving
            p[i, k] = share
            if share > 0.0:
                for j in range(k):
                    p[i, j] += share * p[k, j]
    pi = np.zeros(n)
    pi[0] = 1.0
    for k in range(1, n):
        for i in range(k):
            pi[k] += pi[i] * p[i, k]
        if pi[k] > 1e200:
            pi /= pi[k]
    return pi / pi.sum()
