"""What a resource costs each player when everyone mixes: exact means over how many of the others use it.

Players draw alone, so the number of others on a resource is a sum of independent coins, a Poisson-binomial variable.
Over all players at once, on a binary tree of the n players:

    up:    P(k of a node's players use e) = the convolution of its two halves'
    down:  V_root(k) = c_e(k + 1)
           V_left(k) = sum_m P(m of the right half use e) V_node(k + m)       and V_right with the left half
    at player i's leaf:  V(0) = E c_e(1 + how many of the others use e)

O(n^2) numbers a resource in 2 log2 n steps, against 2^n joint draws. Nothing is divided or subtracted: where costs and
probabilities are non-negative, every digit is right. The coins need not sum to one: with weights `use` and `skip` the
result is the multilinear form whose coefficients are the costs.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["costs_beside_others"]

_LARGEST = 2**22  # numbers that one step may write


def costs_beside_others(
    use: Float[Tensor, "*batch n E"], skip: Float[Tensor, "*batch n E"], cost: Float[Tensor, "E n"]
) -> Float[Tensor, "*batch n E"]:
    """The mean cost `E c_e(1 + N_e)` of each resource to each player, N_e the number of the others that use it.

    Args:
        use: The probability that a player uses a resource.
        skip: That it does not.
        cost: `cost[e, k - 1]` is what each of k users of resource e pays.

    Example:
        >>> half = torch.full((2, 1), 0.5)
        >>> costs_beside_others(half, half, torch.tensor([[1.0, 3.0]])).tolist()  # alone or together, evenly
        [[2.0], [2.0]]
    """
    n, resources = use.shape[-2:]
    coins = torch.stack([skip, use], -1).movedim(-3, -2)  # (*batch, E, n, 2)
    batch = coins.shape[:-3]
    size = 1 << (n - 1).bit_length()
    rows = max(1, _LARGEST // (resources * size * size))
    if len(batch) and batch.numel() > rows:
        parts = coins.reshape(-1, resources, n, 2).split(rows)
        found = torch.cat([_down_the_tree(part, cost, size) for part in parts]).reshape(*batch, resources, n)
    else:
        found = _down_the_tree(coins, cost, size)
    return found.movedim(-1, -2)


def _down_the_tree(coins: Tensor, cost: Tensor, size: int) -> Tensor:
    """From coins `(*rows, E, n, 2)` to mean costs `(*rows, E, n)`."""
    n = coins.shape[-2]
    absent = torch.tensor([1.0, 0.0]).to(coins).expand(*coins.shape[:-2], size - n, 2)  # never use anything
    levels = [torch.cat([coins, absent], -2)]
    while levels[-1].shape[-2] > 2:
        levels.append(_convolved(levels[-1][..., 0::2, :], levels[-1][..., 1::2, :]))
    value = pad(cost, (0, size - n)).unsqueeze(-2)  # (E, 1, size)
    value = value.expand(*coins.shape[:-2], 1, size)
    for level in reversed(levels if size > 1 else []):
        half = level.shape[-1]  # one more than the players of a child
        windows = _windows(value, half)  # (.., nodes, half - 1, half): entry (k, m) is V(k + m)
        halves = [_mean(windows, level[..., side::2, :]) for side in (1, 0)]  # the left child sees the right one
        value = torch.stack(halves, -2).flatten(-3, -2)
    return value[..., :n, 0]


def _convolved(a: Tensor, b: Tensor) -> Tensor:
    """The distributions of the sums of two, `(.., h)` each, as `(.., 2h - 1)`."""
    h = a.shape[-1]
    return _mean(_windows(pad(a, (h - 1, h - 1)), h), b.flip(-1))


def _windows(values: Tensor, width: int) -> Tensor:
    """All pieces of this width, `(.., pieces, width)`; unlike Tensor.unfold it can be differentiated in batches."""
    pieces = values.shape[-1] - width + 1
    at = torch.arange(pieces, device=values.device).unsqueeze(-1) + torch.arange(width, device=values.device)
    return values.index_select(-1, at.flatten()).unflatten(-1, (pieces, width))


def _mean(windows: Tensor, probability: Tensor) -> Tensor:
    return (windows @ probability.unsqueeze(-1)).squeeze(-1)
