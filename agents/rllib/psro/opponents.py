"""Frozen opponents: every player's population, and from which mixture of the others' policies a game is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.machine import Populations
from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution

__all__ = ["Opponents"]


@dataclass(frozen=True, eq=False)
class Opponents:
    """What replies are trained against, and what payoffs are sampled between.

    Args:
        version: A number that is never used for two different objects of a run: workers keep what they have.
        populations: For each player its policies, as flat vectors of parameters or as strategies.
        others: For each player the probability of every joint choice of the others' policies, their players in order
            `(k_j, ...)`; before there is a mixture, everybody's first policy.
    """

    version: int
    populations: Populations
    others: tuple[Tensor, ...]

    @classmethod
    def of(cls, version: int, populations: Populations, meta: MetaSolution | None) -> Opponents:
        """Those of a meta-strategy.

        Example:
            >>> one, half = torch.ones(1).double(), torch.tensor([0.5, 0.5]).double()
            >>> meta = MetaSolution((one, half), None, True, "uniform")
            >>> there = Opponents.of(0, ((one,), (one, half)), meta)
            >>> [c.tolist() for c in there.support(0)], [c.tolist() for c in there.support(1)]
            ([[[0], [1]], [0.5, 0.5]], [[[0]], [1.0]])
        """
        players = range(len(populations))
        if meta is not None:
            return cls(version, populations, tuple(meta.others(i) for i in players))
        first = [torch.zeros([len(p) for j, p in enumerate(populations) if j != i]).double() for i in players]
        for probability in first:
            probability.reshape(-1)[0] = 1.0
        return cls(version, populations, tuple(first))

    def support(self, player: int) -> tuple[Int[Tensor, "c others"], Float[Tensor, " c"]]:
        """The joint choices of the others that are played against a player, and their probabilities."""
        probability = self.others[player]
        choices = (probability > 0).nonzero()
        weights = probability[tuple(choices.T)].double()
        return choices, weights / weights.sum()

    def draw(self, player: int, games: int, generator: torch.Generator) -> Int[Tensor, "games others"]:
        """One joint choice of the others a game."""
        choices, weights = self.support(player)
        cdf = weights.cumsum(0)
        uniform = torch.rand(games, generator=generator, dtype=torch.float64, device=generator.device)
        picked = torch.searchsorted(cdf / cdf[-1], uniform.cpu(), right=True).clamp(max=len(cdf) - 1)
        return choices[picked].to(generator.device)
