"""What a market is: demand and costs, and the two benchmarks that everything is measured by."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError

__all__ = ["Anchors", "Market", "is_number", "per_firm", "whole"]


@dataclass(frozen=True, eq=False)
class Anchors:
    """Prices and profits of a benchmark, one entry a firm.

    Args:
        prices: `(n,)`, float64.
        profits: What each firm earns a period at these prices, `(n,)`, float64.
        quantities: How much each firm sells, `(n,)`, float64: shares of the customers where everybody buys at most one.
    """

    prices: Float[Tensor, " n"]
    profits: Float[Tensor, " n"]
    quantities: Float[Tensor, " n"]

    @classmethod
    def at(cls, market: Market, prices: Float[Tensor, " n"]) -> Anchors:
        """What firms sell and earn at these prices.

        Example:
            >>> from strategic_envs.games.pricing.linear import LinearMarket
            >>> Anchors.at(LinearMarket(g=0.5), torch.tensor([0.5, 0.5], dtype=torch.float64)).profits.tolist()
            [0.16666666666666666, 0.16666666666666666]
        """
        return cls(prices, market.profits(prices), market.quantities(prices))


class Market(ABC):
    """Demand and costs of n firms that set prices at once: the stage game."""

    n: int

    @property
    @abstractmethod
    def costs(self) -> tuple[float, ...]:
        """Marginal cost of each firm."""

    @abstractmethod
    def quantities(self, prices: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """How much each firm sells at these prices."""

    @abstractmethod
    def best_price(self, prices: Float[Tensor, "*batch n"], firm: int) -> Float[Tensor, "*batch"]:
        """The price that is best for one firm against the others' prices; its own entry is not looked at."""

    @abstractmethod
    def _nash(self) -> Anchors: ...

    @abstractmethod
    def _monopoly(self) -> Anchors: ...

    def profits(self, prices: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """What each firm earns in a period: margin times quantity."""
        return (prices - prices.new_tensor(self.costs)) * self.quantities(prices)

    @functools.cached_property
    def nash(self) -> Anchors:
        """The Nash equilibrium of one period with continuous prices."""
        return self._nash()

    @functools.cached_property
    def monopoly(self) -> Anchors:
        """The prices that maximise the sum of all profits."""
        return self._monopoly()

    def without(self, firm: int) -> Market:
        """The market when one firm is absent.

        Raises:
            InvalidGameError: If this demand is not known for fewer firms.
        """
        raise InvalidGameError(
            f"pricing: got {self}, whose demand without firm {firm} is not known: entry and exit (rho) need logit or "
            "homogeneous demand"
        )

    def shifted(self, outside: float) -> Market:
        """The market with the quality a_0 of buying nothing raised by this much.

        Raises:
            InvalidGameError: If this demand has no such quality.
        """
        raise InvalidGameError(
            f"pricing: got {self}, which has no quality of buying nothing to raise by {outside}: "
            "random demand (shock) needs logit demand"
        )


def is_number(value: object) -> bool:
    """Whether this is a finite Python number, and no bool.

    Example:
        >>> is_number(0.5), is_number(float("nan")), is_number(True)
        (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def whole(value: object, least: int) -> bool:
    """Whether this is a Python integer of at least `least`, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def per_firm(name: str, value: object, n: int) -> tuple[float, ...]:
    """One number a firm, from one number for all or a sequence of n.

    Raises:
        InvalidGameError: If the length is another or a number is not finite.

    Example:
        >>> per_firm("cost", 1.0, 3), per_firm("cost", [1.0, 0.5], 2)
        ((1.0, 1.0, 1.0), (1.0, 0.5))
    """
    many = isinstance(value, Sequence | np.ndarray | Tensor) and not isinstance(value, str)
    values: list[Any] = list(value) if many else [value] * n  # pyright: ignore[reportArgumentType]  # it is iterable
    if len(values) != n:
        raise InvalidGameError(
            f"pricing: got {len(values)} entries in {name}={value!r} for n={n} firms, "
            "expected one number for all firms or one a firm"
        )
    numbers = [v.item() if isinstance(v, np.generic | Tensor) else v for v in values]
    if not all(is_number(v) for v in numbers):
        raise InvalidGameError(
            f"pricing: got {name}={value!r}, expected finite numbers, one for all firms or one a firm"
        )
    return tuple(float(v) for v in numbers)


def check_firms(n: object, least: int = 1) -> None:
    """Refuses a number of firms below `least`."""
    if not whole(n, least):
        raise InvalidGameError(f"pricing: got n={n!r} firms, expected a whole number n >= {least}")


def double(values: Sequence[float]) -> Tensor:
    """These numbers as a float64 tensor."""
    return torch.tensor(list(values), dtype=torch.float64)
