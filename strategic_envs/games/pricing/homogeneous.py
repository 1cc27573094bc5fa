"""Price competition with one homogeneous good: the cheapest firms share the whole demand.

Perfect substitutes, the limit `mu -> 0` of logit demand (Calvano et al. 2020), and the markets of Klein (2021) and of
Asker, Fershtman and Pakes. With continuous prices undercutting drives the price to marginal cost (Bertrand 1883).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.pricing.market import Anchors, Market, check_firms, is_number

__all__ = ["HomogeneousMarket"]

_DEMANDS = ("unit", "linear")
_TIE = 1e-12  # prices that differ by rounding only are equal


@dataclass(frozen=True)
class HomogeneousMarket(Market):
    """Demand for one good that n firms sell at the same marginal cost.

    With `demand="unit"` one unit is bought at any price up to the reservation price: the mu = 0 market of Calvano et
    al. (cost 1, reservation price 2, where the outside good is as good and takes a share too), and that of Asker,
    Fershtman and Pakes (cost 2, reservation price 10, `outside_shares=False`). With `demand="linear"` the reservation
    price minus the lowest price is bought: Klein's market has cost 0 and reservation price 1. Firms with the lowest
    price share equally.

    Args:
        n: The number of firms.
        cost: Marginal cost of all firms, in units of price.
        reservation: The price from which on nothing is bought, in units of price.
        demand: `"unit"` or `"linear"`.
        outside_shares: Whether, with unit demand at exactly the reservation price, the outside good counts as one more
            firm that shares.

    Raises:
        InvalidGameError: Naming the parameter that is not possible, what was got and what is expected.

    Example:
        >>> HomogeneousMarket().profits(torch.tensor([[1.5, 1.5], [1.5, 1.25]])).tolist()
        [[0.25, 0.25], [0.0, 0.25]]
        >>> HomogeneousMarket(cost=0.0, reservation=1.0, demand="linear").monopoly.profits.tolist()  # Klein (2021)
        [0.125, 0.125]
    """

    n: int = 2
    cost: float = 1.0
    reservation: float = 2.0
    demand: str = "unit"
    outside_shares: bool = True

    def __post_init__(self) -> None:
        check_firms(self.n)
        if not is_number(self.cost) or self.cost < 0:
            raise InvalidGameError(
                f"pricing: got cost={self.cost!r}, expected a number >= 0: all firms have the same cost"
            )
        if not is_number(self.reservation) or self.reservation <= self.cost:
            raise InvalidGameError(
                f"pricing: got reservation={self.reservation!r}, expected a finite price above the cost {self.cost}: "
                "else nothing is sold"
            )
        if self.demand not in _DEMANDS:
            raise InvalidGameError(f"pricing: got demand={self.demand!r}, expected one of {list(_DEMANDS)}")

    @property
    def costs(self) -> tuple[float, ...]:
        """Marginal cost of each firm."""
        return (float(self.cost),) * self.n

    def without(self, firm: int) -> HomogeneousMarket:
        """The market when one firm is absent."""
        del firm  # they are all alike
        return HomogeneousMarket(self.n - 1, self.cost, self.reservation, self.demand, self.outside_shares)

    def total(self, price: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """How much is bought altogether when this is the lowest price, what the outside good takes included."""
        if self.demand == "linear":
            return (self.reservation - price).clamp(min=0.0)
        return (price <= self.reservation + _TIE).to(price.dtype)

    def quantities(self, prices: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """How much each firm sells: the cheapest share the demand equally."""
        lowest = prices.amin(-1, keepdim=True)
        cheapest = (prices <= lowest + _TIE).to(prices.dtype)
        sharers = cheapest.sum(-1, keepdim=True)
        if self.demand == "unit" and self.outside_shares:
            sharers = sharers + ((lowest - self.reservation).abs() <= _TIE).to(prices.dtype)
        return cheapest * self.total(lowest) / sharers

    def best_price(self, prices: Float[Tensor, "*batch n"], firm: int) -> Float[Tensor, "*batch"]:
        """The price just below which one firm would go: profits near it approach the supremum, which is not reached.

        The lowest of the others' prices and the monopoly price, and not less than cost. On a grid, search the grid.

        Example:
            >>> HomogeneousMarket().best_price(torch.tensor([0.0, 1.75]), 0).item()
            1.75
        """
        top = float(self.monopoly.prices[0])
        others = [prices[..., j].double() for j in range(self.n) if j != firm]
        lowest = torch.stack([torch.full_like(prices[..., 0], top, dtype=torch.float64), *others]).amin(0)
        return lowest.clamp(min=self.cost)

    def _nash(self) -> Anchors:
        """All firms at marginal cost, and no profits; one firm alone charges the monopoly price."""
        if self.n == 1:
            return self.monopoly
        zero = torch.zeros(self.n, dtype=torch.float64)
        return Anchors(zero + self.cost, zero, zero + self.total(zero[:1] + self.cost) / self.n)

    def _monopoly(self) -> Anchors:
        """All firms at the price that is best for them together, each with an equal share of the whole demand.

        With unit demand that is the reservation price, or just below it where the outside good would take a share
        there: the profits are the limit.
        """
        price = self.reservation if self.demand == "unit" else (self.reservation + self.cost) / 2
        prices = torch.full((self.n,), price, dtype=torch.float64)
        quantities = self.total(prices) / self.n
        return Anchors(prices, (prices - self.cost) * quantities, quantities)
