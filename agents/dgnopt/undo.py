"""A step that is refused leaves no trace: what it changed is put back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Undo"]

_PROJECT = __name__.split(".")[0]


class Undo:
    """Remembers tensors, generators and the states of objects, and puts them back.

    Args:
        tensors: Changed in place by the step: parameters and buffers; copied here.
        generators: Random generators.
        holders: Objects that replace their tensors and never write into them, such as curvatures: their attributes are
            remembered, and those of their parts; the tensors in them are not copied.

    Example:
        >>> weight = torch.ones(2)
        >>> undo = Undo([weight], [], [])
        >>> _ = weight.add_(1)
        >>> undo()
        >>> weight
        tensor([1., 1.])
    """

    def __init__(
        self, tensors: Iterable[Tensor], generators: Iterable[torch.Generator], holders: Iterable[object]
    ) -> None:
        self._tensors = [(x, x.detach().clone()) for x in tensors]
        self._generators = [(g, g.get_state()) for g in generators]
        self._holders = [(holder, _shallow(vars(holder))) for holder in _with_parts(holders)]

    def __call__(self) -> None:
        with torch.no_grad():
            for x, before in self._tensors:
                x.copy_(before)
        for generator, state in self._generators:
            generator.set_state(state)
        for holder, attributes in self._holders:
            vars(holder).clear()
            vars(holder).update(attributes)


def _with_parts(holders: Iterable[object]) -> list[object]:
    found: dict[int, object] = {}
    waiting = list(holders)
    while waiting:
        holder = waiting.pop()
        if id(holder) not in found:
            found[id(holder)] = holder
            waiting += [v for v in vars(holder).values() if _PROJECT in type(v).__module__ and hasattr(v, "__dict__")]
    return list(found.values())


def _shallow(attributes: dict[str, Any]) -> dict[str, Any]:
    return {k: v.copy() if isinstance(v, dict | list | set) else v for k, v in attributes.items()}
