"""What a meta-solver is: from the payoffs between populations to a mixture of each population."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError

__all__ = ["MetaSolution", "MetaSolver"]


@dataclass(frozen=True, eq=False)
class MetaSolution:
    """How a meta-game is played.

    Args:
        marginals: For each player the probabilities of its policies `(k_i,)`, float64.
        joint: The joint distribution `(k_0, ..., k_{n-1})` where players correlate; None where each draws alone.
        solved: Whether the solver reached what it is after; never assumed.
        name: Which meta-solver.
        note: What it says about its answer: a residual, or why it is not solved.
    """

    marginals: tuple[Tensor, ...]
    joint: Float[Tensor, "*sizes"] | None
    solved: bool
    name: str
    note: str = ""

    def distribution(self) -> Float[Tensor, "*sizes"]:
        """The probability of every joint choice of policies.

        Example:
            >>> half = torch.tensor([0.5, 0.5]).double()
            >>> MetaSolution((half, half), None, True, "uniform").distribution().tolist()
            [[0.25, 0.25], [0.25, 0.25]]
        """
        if self.joint is not None:
            return self.joint
        product = self.marginals[0]
        for weights in self.marginals[1:]:
            product = product.unsqueeze(-1) * weights
        return product

    def others(self, player: int) -> Float[Tensor, "*sizes"]:
        """The probability of every joint choice of the others' policies, players in order without `player`."""
        if self.joint is not None:
            return self.joint.sum(player)
        rest = tuple(w for i, w in enumerate(self.marginals) if i != player)
        return MetaSolution(rest, None, self.solved, self.name).distribution() if rest else torch.ones(()).double()


class MetaSolver(ABC):
    """From payoffs between populations to mixtures of them; a frozen dataclass whose fields are its settings.

    Class attributes: `name` is what lists and errors call it, `summary` one line for a reader.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    def __call__(self, payoffs: Float[Tensor, "n *sizes"]) -> MetaSolution:
        """Solves a meta-game.

        Args:
            payoffs: To each player at each joint choice of policies `(n, k_0, ..., k_{n-1})`.

        Raises:
            InvalidGameError: If the shape is not one, a population is empty, a cell is not finite, or the solver is
                for other games; the message names the alternatives.
        """
        shape = tuple(payoffs.shape)
        if payoffs.ndim < 2 or shape[0] != payoffs.ndim - 1:
            raise InvalidGameError(
                f"{self.name}: got payoffs of shape {shape}, expected (n, k_0, ..., k_(n-1)), one axis a population"
            )
        if 0 in shape:
            empty = shape[1:].index(0)
            raise InvalidGameError(
                f"{self.name}, player_{empty}: got an empty population, expected at least one policy"
            )
        bad = (~payoffs.isfinite()).nonzero()
        if len(bad):
            player, *cell = bad[0].tolist()
            raise InvalidGameError(
                f"{self.name}, player_{player}: got the payoff {float(payoffs[tuple(bad[0])])} for the policies "
                f"{cell}, expected finite numbers: fill the missing cells first"
            )
        return self.solve(payoffs.double())

    @abstractmethod
    def solve(self, payoffs: Float[Tensor, "n *sizes"]) -> MetaSolution:
        """Solves a meta-game whose payoffs were checked, float64."""
