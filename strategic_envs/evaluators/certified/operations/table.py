"""The table of torch operations that certificates understand, filled by the other files of this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from strategic_envs.evaluators.certified import intervals as iv
from strategic_envs.evaluators.certified.intervals import Interval
from strategic_envs.evaluators.certified.jets import Jet, constant, linear

__all__ = ["MOVES", "OPERATIONS", "UNKNOWN", "Call", "UnsupportedOperation", "lifted", "operation"]


class UnsupportedOperation(Exception):  # noqa: N818  # no error to a user: it turns into `exact=False`
    """A utility does something that has no proved enclosure here."""


UNKNOWN = object()  # a result that nothing may use, such as the place of a maximum


@dataclass(frozen=True)
class Call:
    """One call of an operation in a traced utility.

    Args:
        name: The operation, such as `mul`.
        args: Its arguments by name; tensors are jets.
        shape: The shape of the result, without cells and points.
        dtypes: The types of the tensors among the arguments.
        dtype: The type of the result.
        like: A jet with as many derivatives as are asked for.
    """

    name: str
    args: Mapping[str, Any]
    shape: tuple[int, ...]
    dtypes: Mapping[str, torch.dtype]
    dtype: torch.dtype
    like: Jet

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or the default when it was not given."""
        value = self.args.get(name)
        return default if value is None else value

    def jet(self, name: str, rank: int | None = None) -> Jet:
        """An argument as a jet whose tensor has `rank` axes: a number is a constant, missing axes are put in front."""
        value = self.args[name]
        rank = len(self.shape) if rank is None else rank
        return self.number(value, rank) if isinstance(value, int | float) else lifted(value, rank)

    def number(self, value: float, rank: int = 0) -> Jet:
        """A constant."""
        return constant(iv.point(np.full((1,) * (rank + 2), float(value))), self.like)

    def rank(self, name: str = "self") -> int:
        """How many axes an argument has."""
        return self.args[name].value.lo.ndim - 2

    def axis(self, dim: int, name: str = "self") -> int:
        """The NumPy axis of a torch dimension of an argument."""
        rank = max(self.rank(name), 1)
        return dim % rank + 2


def lifted(jet: Jet, rank: int) -> Jet:
    """The same tensor with axes of length 1 put in front, so that it has `rank`."""
    missing = rank - (jet.value.lo.ndim - 2)
    if missing <= 0:
        return jet

    def lift(a: Interval) -> Interval:
        lo = a.lo.reshape(*a.lo.shape[:2], *(1,) * missing, *a.lo.shape[2:])
        return Interval(lo, lo) if a.is_point else Interval(lo, a.hi.reshape(lo.shape))

    return linear(lift, jet)


Operation = Callable[[Call], Any]
OPERATIONS: dict[str, Operation] = {}
MOVES: set[str] = set()  # operations that move numbers and do not calculate: good for tensors of every type


def operation(*names: str, moves: bool = False) -> Callable[[Operation], Operation]:
    """Enters a function in the table under the names of aten operations.

    Args:
        *names: Names such as `mul`, without overload.
        moves: Whether it only moves numbers, so that any type of tensor will do.
    """

    def enter(function: Operation) -> Operation:
        for name in names:
            assert name not in OPERATIONS, name
            OPERATIONS[name] = function
        if moves:
            MOVES.update(names)
        return function

    return enter
