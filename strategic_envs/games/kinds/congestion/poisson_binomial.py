"""What a resource costs a player when everyone mixes: exact means over how many of the others use it.

Players draw alone, so the number of others on a resource is a sum of independent coins, a Poisson-binomial variable.
With p_j the probability that player j uses resource e, and players taken one after another:

    V_n(k) = c_e(k + 1)    V_j(k) = (1 - p_j) V_{j+1}(k) + p_j V_{j+1}(k + 1)   the mean cost beside k and j, j + 1, ..
    D_0    = (1)           D_{j+1}(k) = (1 - p_j) D_j(k) + p_j D_j(k - 1)       the probability that k of the first j
    E c_e(1 + the others) of player i = sum_k D_i(k) V_{i+1}(k)

These are O(n^2) numbers a resource for all players together, against 2^n joint draws. Nothing is divided, and where
costs are non-negative nothing is subtracted: all digits are right. The coins need not sum to one: with weights `use`
and `skip` the result is the multilinear form that a table of all payoffs would give.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["cost_beside_others", "costs_beside_others"]

_LARGEST = 2**22  # numbers that are held at once


def cost_beside_others(
    use: Float[Tensor, "*batch others E"], skip: Float[Tensor, "*batch others E"], cost: Float[Tensor, "E n"]
) -> Float[Tensor, "*batch E"]:
    """The mean cost `E c_e(1 + N_e)` of each resource to one player, N_e the number of others that use it.

    Args:
        use: The probability that another player uses a resource.
        skip: That it does not.
        cost: `cost[e, k - 1]` is what each of k users of resource e pays; n is one more than the others.

    Example:
        >>> half = torch.full((1, 1), 0.5)
        >>> cost_beside_others(half, half, torch.tensor([[1.0, 3.0]])).tolist()  # alone or together, evenly
        [2.0]
    """
    value = cost.expand(*use.shape[:-2], *cost.shape)
    for p, q in zip(_columns(use), _columns(skip), strict=True):
        value = _averaged(value, p, q)
    return value.squeeze(-1)


def costs_beside_others(
    use: Float[Tensor, "*batch n E"], skip: Float[Tensor, "*batch n E"], cost: Float[Tensor, "E n"]
) -> Float[Tensor, "*batch n E"]:
    """The same for every player at once, in hardly more time; arguments as above, with all players' coins.

    Example:
        >>> use = torch.tensor([[0.5], [0.25]])
        >>> costs_beside_others(use, 1 - use, torch.tensor([[1.0, 3.0]])).tolist()
        [[1.5], [2.0]]
    """
    n, resources = use.shape[-2:]
    batch, rows = use.shape[:-2], max(1, _LARGEST // (resources * n * n))
    if batch.numel() > rows:
        parts = zip(*(t.reshape(-1, n, resources).split(rows) for t in (use, skip)), strict=True)
        return torch.cat([costs_beside_others(p, q, cost) for p, q in parts]).reshape(use.shape)
    coins = list(zip(_columns(use), _columns(skip), strict=True))
    ahead = [cost.expand(*batch, *cost.shape)]  # V_n, then V_{n-1}, ..., V_1
    for p, q in reversed(coins[1:]):
        ahead.append(_averaged(ahead[-1], p, q))
    found, count = list[Tensor](), use.new_ones(*batch, resources, 1)
    for p, q in coins:
        found.append((count * ahead.pop()).sum(-1))
        nobody = torch.zeros_like(p)
        count = torch.cat([q * count, nobody], -1) + torch.cat([nobody, p * count], -1)
    return torch.stack(found, -2)


def _columns(coins: Tensor) -> Sequence[Tensor]:
    """One tensor `(*batch, E, 1)` a player."""
    return coins.unsqueeze(-1).unbind(-3)


def _averaged(value: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """V_j of V_{j+1}: one player's coin less to be drawn."""
    return q * value[..., :-1] + p * value[..., 1:]
