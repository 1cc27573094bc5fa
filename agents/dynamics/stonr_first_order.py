"""STON'R by cutting corners: the same path with field calls alone. Experimental; no theory covers it.

The talk that STON'R is explained in names such a variant and gives no algorithm; this one is ours. The derivative of
the field is never asked for: at the start of an epoch its columns for the coordinates that move are finite differences,
and along the way it is updated by rank one (Broyden 1965) from the field differences that moves and
corrector see.
When a move fails with the updated derivative, the columns are taken anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.agents.dynamics.ridge.frame import Frame, Here
from strategic_envs.agents.dynamics.ridge.geometry import direction
from strategic_envs.agents.dynamics.ridge.moves import Move
from strategic_envs.agents.dynamics.ridge.state import RidgeState
from strategic_envs.agents.dynamics.stonr import StayOnTheRidge

__all__ = ["FirstOrderRidge"]

_DIFFERENCE = 1e-6  # of the finite differences, on the unit cube


@dataclass(frozen=True)
class FirstOrderRidge(StayOnTheRidge):
    """The ridge followed with an estimated derivative. Settings are those of `StayOnTheRidge`.

    Example:
        >>> FirstOrderRidge().needs, FirstOrderRidge.experimental
        (('field',), True)
    """

    name: ClassVar[str] = "stonr_first_order"
    summary: ClassVar[str] = "experimental: follow the same curve with field calls alone, the derivative estimated"
    needs: ClassVar[tuple[str, ...]] = ("field",)
    experimental: ClassVar[bool] = True

    def _first_derivative(self, state: RidgeState, oracle: Oracle) -> Tensor:
        """Finite differences, towards the inside of the cube, in the coordinates that move."""
        columns = torch.zeros_like(state.slope)
        examined = [int(state.examined)] if not state.finished else []
        for k in [*state.free_list, *examined]:
            step = -_DIFFERENCE if state.z[k] > 0.5 else _DIFFERENCE
            z = state.z.clone()
            z[k] += step
            columns[:, k] = (state.frame.here(oracle, z).v - state.v) / step
        return columns

    def _derivative(self, frame: Frame, oracle: Oracle, here: Here, learned: Tensor) -> Tensor:
        return learned

    def _moved(self, state: RidgeState, oracle: Oracle) -> tuple[Move | None, Tensor, Tensor]:
        found = super()._moved(state, oracle)
        if found[0] is not None or not state.free_list:
            return found
        slope = self._first_derivative(state, oracle)
        way = direction(slope, state.free_list, int(state.examined))
        return found if way is None else super()._moved(replace(state, slope=slope, direction=way), oracle)
