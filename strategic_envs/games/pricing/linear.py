"""Price competition of two firms with linear demand (Singh and Vives 1984), without costs.

    q_i(p) = max(0, min(1 - p_i, (1 - g - p_i + g p_j) / (1 - g^2)))

The first form holds where the other firm sells nothing. Nash prices `(1 - g) / (2 - g)`, monopoly prices `1/2`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.pricing.market import Anchors, Market, is_number

__all__ = ["LinearMarket"]


@dataclass(frozen=True)
class LinearMarket(Market):
    """Linear demand of two firms with zero costs.

    Args:
        g: How well one firm's good replaces the other's, in [0, 1): 0 makes two monopolies, 1 would be one good.
        n: The number of firms: two.

    Raises:
        InvalidGameError: If g is outside [0, 1), or n is not 2.

    Example:
        >>> market = LinearMarket(g=0.5)
        >>> market.nash.prices.tolist(), market.monopoly.prices.tolist()
        ([0.3333333333333333, 0.3333333333333333], [0.5, 0.5])
    """

    g: float = 0.5
    n: int = 2

    def __post_init__(self) -> None:
        if not is_number(self.g) or not 0 <= self.g < 1:
            raise InvalidGameError(
                f"pricing: got g={self.g!r}, expected 0 <= g < 1, how well the goods replace another"
            )
        if isinstance(self.n, bool) or self.n != 2:
            raise InvalidGameError(f"pricing: got n={self.n!r} firms with linear demand, which is for n=2 firms")

    @property
    def costs(self) -> tuple[float, ...]:
        """Marginal cost of each firm: none."""
        return (0.0, 0.0)

    def quantities(self, prices: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """How much each firm sells.

        Example:
            >>> LinearMarket(g=0.5).quantities(torch.tensor([0.25, 0.25]))
            tensor([0.5000, 0.5000])
        """
        shared = (1 - self.g - prices + self.g * prices.flip(-1)) / (1 - self.g**2)
        return torch.minimum(1 - prices, shared).clamp(min=0.0)

    def best_price(self, prices: Float[Tensor, "*batch n"], firm: int) -> Float[Tensor, "*batch"]:
        """The price that is best for one firm against the other's price.

        Profit has one peak: on the shared market, on the market without the other firm, or at the kink between them.

        Example:
            >>> LinearMarket(g=0.5).best_price(torch.tensor([0.0, 1 / 3], dtype=torch.float64), 0).item()
            0.3333333333333333
        """
        other = prices[..., 1 - firm].double()
        together = (1 - self.g + self.g * other) / 2
        if self.g == 0:
            return together
        kink = (other - (1 - self.g)) / self.g  # below this price the other firm sells nothing
        return torch.where(together >= kink, together, kink.clamp(max=0.5))

    def _nash(self) -> Anchors:
        """The Nash equilibrium of one period."""
        return Anchors.at(self, torch.full((2,), (1 - self.g) / (2 - self.g), dtype=torch.float64))

    def _monopoly(self) -> Anchors:
        """The prices that maximise the sum of both profits."""
        return Anchors.at(self, torch.full((2,), 0.5, dtype=torch.float64))
