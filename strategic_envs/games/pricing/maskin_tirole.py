"""Markov perfect equilibria of sequential pricing on the grid of sixths, in closed form.

Maskin and Tirole, Econometrica 56, 1988, part II, sections 4 and 5. A strategy is a table of the chances of each price
(columns) by the rival's standing price (rows), the same for both firms. That nobody gains by another one, from any
state, follows from `SequentialPricing.best_response`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.pricing.sequential import SequentialPricing

__all__ = ["edgeworth_cycle", "kinked_demand", "mean_profit"]


def kinked_demand(delta: float) -> Float[Tensor, "7 7"]:
    """Both charge 1/2; whoever undercuts it starts a price war at 1/6, which a firm leaves with a chance each time.

    The chance of staying at 1/6 is `(5 + delta) / (5 delta + 9 delta^2)`. An equilibrium for delta near 1.

    Example:
        >>> [round(float(p), 6) for p in kinked_demand(0.95)[1, [1, 3]]]
        [0.462226, 0.537774]
    """
    stay = (5 + delta) / (5 * delta + 9 * delta**2)
    return _table("kinked demand", delta, [{3: 1.0}, {1: stay, 3: 1 - stay}, {1: 1.0}, *[{3: 1.0}] * 4])


def edgeworth_cycle(delta: float) -> Float[Tensor, "7 7"]:
    """Firms undercut each other by one step down to 0, where each hopes that the other jumps up to 5/6 first.

    The chance of staying at 0 is `(3 delta^2 - 1)(1 + delta^2 + delta^4) / (8 + 7 delta^2 + 2 delta^4 + 3 delta^6)`.
    An equilibrium for delta near 1.

    Example:
        >>> game = SequentialPricing(k=6, delta=0.95)
        >>> round(mean_profit(game, edgeworth_cycle(0.95)), 6)
        0.065686
    """
    d = delta**2
    stay = (3 * d - 1) * (1 + d + d**2) / (8 + 7 * d + 2 * d**2 + 3 * d**3)
    return _table(
        "Edgeworth cycle", delta, [{0: stay, 5: 1 - stay}, {0: 1.0}, {1: 1.0}, {2: 1.0}, {3: 1.0}, {4: 1.0}, {4: 1.0}]
    )


def mean_profit(game: SequentialPricing, reply: Float[Tensor, "m m"]) -> float:
    """What a firm earns a period in the long run when both answer the rival's standing price like this.

    Args:
        game: The game.
        reply: The chances of each price by the rival's standing price. Play must end in one set of prices wherever it
            begins; otherwise the answer is that of one of them.
    """
    m = game.k + 1
    rows = torch.cat([reply.T - torch.eye(m, dtype=torch.float64), torch.ones(1, m, dtype=torch.float64)])
    right = torch.zeros(m + 1, 1, dtype=torch.float64)
    right[-1] = 1.0
    share = torch.linalg.lstsq(rows, right, driver="gelsd").solution.squeeze(-1)
    both = (game.profit + game.profit.T) / 2
    return float((share.unsqueeze(-1) * reply * both).sum())


def _table(name: str, delta: float, rows: list[dict[int, float]]) -> Float[Tensor, "7 7"]:
    table = torch.zeros(7, 7, dtype=torch.float64)
    for standing, chances in enumerate(rows):
        for price, chance in chances.items():
            if not 0 <= chance <= 1:
                raise InvalidGameError(
                    f"sequential_pricing: got delta={delta!r}, for which the {name} has no chances between 0 and 1: "
                    "take a discount factor nearer to 1, such as 0.95"
                )
            table[standing, price] = chance
    return table
