"""Parameter groups: their numbers, and which of them each layer belongs to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.networks import Unit

__all__ = ["check_group", "places"]


def places(units: Iterable[Unit], groups: Sequence[dict[str, Any]]) -> dict[str, int]:
    """The number of the group of every trained layer, by its name; layers in no group are left out.

    Args:
        units: The layers.
        groups: Parameter groups, each with its `params`.

    Raises:
        InvalidSettingError: If a layer's parameters are not all in one group, or a parameter belongs to no layer.

    Example:
        >>> from torch import nn
        >>> layer = nn.Linear(2, 1)
        >>> places([Unit("fc", layer, "linear", 0)], [{"params": list(layer.parameters())}])
        {'fc': 0}
    """
    place = {p: i for i, group in enumerate(groups) for p in group["params"]}
    found = {}
    for unit in units:
        numbers = {place.pop(p, None) for p in unit.module.parameters()}
        if len(numbers) > 1:
            raise InvalidSettingError(
                f"the parameters of the layer {unit.name} are in {len(numbers)} groups (or in none), expected one "
                "group for each layer: give all of its parameters to one"
            )
        found[unit.name] = numbers.pop()
    if place:
        raise InvalidSettingError(f"got {len(place)} parameters to train that belong to no layer of the network")
    return {name: i for name, i in found.items() if i is not None}


def check_group(group: dict[str, Any]) -> None:
    """Checks the numbers of a parameter group.

    Raises:
        InvalidSettingError: If one of them makes no sense.

    Example:
        >>> check_group({"lr": 0.1, "weight_decay": 0.0, "cap": float("inf"), "damping": None})
    """
    if not (_number(group["lr"]) and 0 < group["lr"] < math.inf):
        raise InvalidSettingError(f"got lr={group['lr']!r}, expected a step size > 0, such as 0.03")
    if not (_number(group["weight_decay"]) and 0 <= group["weight_decay"] < math.inf):
        raise InvalidSettingError(f"got weight_decay={group['weight_decay']!r}, expected a number >= 0")
    if not (_number(group["cap"]) and group["cap"] >= 0):
        raise InvalidSettingError(
            f"got cap={group['cap']!r}, expected a number >= 0: the largest |feedback| / |gradient|, inf for no cap"
        )
    if group["damping"] is not None and not (_number(group["damping"]) and 0 <= group["damping"] < math.inf):
        raise InvalidSettingError(f"got damping={group['damping']!r}, expected a number >= 0, or None")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
