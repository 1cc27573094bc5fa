"""Bertrand competition without memory: the pricing game of Asker, Fershtman and Pakes (AEA P&P 2022; JEMS 2024).

Firms that sell one good at the same cost set prices once a period, remember nothing, and do not care for tomorrow. So
no high price can be enforced by punishment: what learners earn above the equilibrium comes from how they learn, and the
game is a control for claims of collusion. Prices are whole steps from the first above 0 up to the reservation price.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from strategic_envs.games.pricing.game import PricingGame
from strategic_envs.games.pricing.homogeneous import HomogeneousMarket

__all__ = ["bertrand", "counterfactual_profits"]


def bertrand(
    *, n: int = 2, cost: float = 2.0, reservation: float = 10.0, m: int = 100, delta: float = 0.0
) -> PricingGame:
    """The pricing game of firms that sell one good to one customer, with no memory.

    Args:
        n: The number of firms.
        cost: What a unit costs each of them.
        reservation: The highest price that the customer pays, and the highest of the grid.
        m: The number of prices: `reservation / m`, `2 reservation / m`, ..., `reservation`.
        delta: The discount factor, in [0, 1).

    Raises:
        InvalidGameError: Naming the parameter that is not possible, what was got and what is expected.

    Example:
        >>> game = bertrand()
        >>> [round(float(game.grid[0, a]), 6) for a in (0, 20, 99)], game.n_states
        ([0.1, 2.1, 10.0], 1)
    """
    market = HomogeneousMarket(n=n, cost=cost, reservation=reservation, outside_shares=False)
    whole = isinstance(m, int) and not isinstance(m, bool) and m >= 2  # the game refuses any other m itself
    low = reservation / m if whole else 0.0
    return PricingGame(market, delta=delta, m=m, memory=0, bounds=(low, reservation))


def counterfactual_profits(game: PricingGame, actions: Int[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch n m"]:
    """What each firm would have earned at each price of its grid, the others' prices being what they were.

    Example:
        >>> counterfactual_profits(bertrand(m=5), np.array([4, 2]))[0].tolist()  # the rival charges 6
        [0.0, 2.0, 2.0, 0.0, 0.0]
    """
    m, n = game.m, game.n_players
    others = np.repeat(np.repeat(actions[..., None, None, :], n, -3), m, -2)  # (*batch, firm, own price, n)
    for i in range(n):
        others[..., i, :, i] = np.arange(m)
    paid = game.profits(torch.from_numpy(others.astype(np.int64))).numpy()
    return np.stack([paid[..., i, :, i] for i in range(n)], -2)
