"""Reading the description of an atomic congestion game: who may use what, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.congestion.costs import Costs, numbers

__all__ = ["cost_table", "usage"]

_ROUNDING = 1e-12


def cost_table(costs: object, players: int, name: str) -> Float[Tensor, "E n"]:
    """What each of k users of a resource pays, for k from 1 to n.

    Args:
        costs: Cost functions, or the table itself.
        players: n.
        name: What errors call the game.

    Raises:
        InvalidGameError: If it is no such table, or a cost is not finite, decreases, or is negative (`Costs` that say
            they may be negative may be).

    Example:
        >>> from strategic_envs.games.kinds.congestion.costs import PowerCosts
        >>> cost_table(PowerCosts.affine([2.0], [1.0]), 3, "example").tolist()
        [[3.0, 5.0, 7.0]]
    """
    if players < 1:
        raise InvalidGameError(f"{name}: got no players, expected the strategies of at least one")
    if isinstance(costs, Costs):
        users = torch.arange(1, players + 1, dtype=torch.float64)
        table = numbers(costs.value(users.unsqueeze(-1).expand(players, costs.size)).mT, f"{name}: costs")
    else:
        table = numbers(costs, f"{name}: table of costs").clone()
    if table.ndim != 2 or table.shape[1] != players or not len(table):
        raise InvalidGameError(
            f"{name}: got a table of costs of shape {tuple(table.shape)} for {players} players, expected "
            f"(resources, {players}): what each of 1..{players} users of a resource pays"
        )
    if bool((table < 0).any()) and not (isinstance(costs, Costs) and not costs.nonnegative):
        e, k = (table < 0).nonzero()[0].tolist()
        raise InvalidGameError(
            f"{name}, resource {e}: {k + 1} users pay {float(table[e, k]):g} each, expected costs of at least 0"
        )
    falls = table[:, 1:] < table[:, :-1] - _ROUNDING * table[:, :-1].abs()
    if bool(falls.any()):
        e, k = falls.nonzero()[0].tolist()
        raise InvalidGameError(
            f"{name}, resource {e}: the cost falls from {float(table[e, k]):g} to {float(table[e, k + 1]):g} with "
            f"{k + 2} users, expected costs that do not decrease"
        )
    return table.contiguous()


def usage(strategies: Sequence[Sequence[Any]], resources: int, name: str) -> tuple[Tensor, ...]:
    """For each player which of its strategies use which resource: ones and zeros `(A_i, E)`, float64.

    Raises:
        InvalidGameError: If a player has no strategy, or one names what is no resource, or names one twice.

    Example:
        >>> usage([[[0, 1], [2]]], 3, "example")[0].tolist()
        [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    found = []
    for i, own in enumerate(strategies):
        if len(own) == 0:
            raise InvalidGameError(f"{name}, player_{i}: got no strategies, expected at least one list of resources")
        used = torch.zeros(len(own), resources, dtype=torch.float64)
        for a, strategy in enumerate(own):
            numbers = () if isinstance(strategy, int) else tuple(strategy)  # a number in place of a list of them
            wrong = isinstance(strategy, int) or any(not _resource(e, resources) for e in numbers)
            if wrong or len(set(numbers)) != len(numbers):
                raise InvalidGameError(
                    f"{name}, player_{i}, strategy {a}: got {strategy!r}, expected a list of different resources, "
                    f"numbers 0..{resources - 1}"
                )
            used[a, list(numbers)] = 1.0
        found.append(used)
    return tuple(found)


def _resource(e: object, resources: int) -> bool:
    return hasattr(e, "__index__") and not isinstance(e, bool) and 0 <= int(e) < resources  # pyright: ignore[reportArgumentType]
