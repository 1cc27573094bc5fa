"""One move along a path: predict, correct, and stop exactly at the first event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.dynamics.ridge.corrector import Probe, broyden, corrected
from strategic_envs.agents.dynamics.ridge.events import Happening, at_the_bounds, bisected, sign_changes
from strategic_envs.agents.dynamics.ridge.frame import Here

__all__ = ["Move", "Mover"]

_AT_BOUND = 1e-12  # a coordinate so near to a bound is at it


@dataclass(frozen=True, eq=False)
class Move:
    """Where a move ended.

    Args:
        here: The point.
        slope: The derivative, updated by what was seen on the way.
        happenings: The events that ended the move: none, one, or several that coincide.
    """

    here: Here
    slope: Tensor
    happenings: list[Happening]


@dataclass(frozen=True, eq=False)
class Mover:
    """Moves in one epoch.

    Args:
        probe: Gives the field at path coordinates.
        free: S.
        examined: i.
        tolerance: What counts as `V_k = 0`.
        corrector: Whether points are corrected; without, a move is the Euler step of the published method.
    """

    probe: Probe
    free: Sequence[int]
    examined: int
    tolerance: float
    corrector: bool

    @property
    def moving(self) -> list[int]:
        """S and, last, the examined coordinate."""
        return [*self.free, self.examined]

    def move(
        self, here: Here, slope: Float[Tensor, "N N"], direction: Float[Tensor, " N"], length: float
    ) -> Move | None:
        """Moves by `length`, or as far as the first event; None where the corrector fails."""
        normal, start = self._predicted(here.z, direction, length)
        for _ in self.moving:  # each round meets the bound of one more coordinate that would have left the cube
            end, learned, reached = self._corrected(start, slope, normal)
            left = self._left(end.z)
            if left is None:
                break
            normal, start = _unit(end.z, left), end.z.clamp(0.0, 1.0)
        else:
            return None
        if not reached or float((end.z - here.z).norm()) > 2 * length:
            return None
        end = self._snapped(end, here, normal)
        bounds = at_the_bounds(here, end, self.moving)
        changes = sign_changes(end, self.free, self.examined, self.tolerance)
        if not changes:
            return Move(end, broyden(learned, here, end), bounds)

        def at(share: float) -> Here | None:
            point, _, good = self._corrected(torch.lerp(here.z, end.z, share), slope, normal)
            return point if good else None

        first = bisected(at, end, changes)
        if first is None:
            return None
        point, happened = first
        point = Here(point.z.clamp(0.0, 1.0), point.x, point.v)
        return Move(point, broyden(learned, here, end), happened + (bounds if point.z.equal(end.z) else []))

    def _predicted(self, z: Tensor, direction: Tensor, length: float) -> tuple[Tensor, Tensor]:
        """Where a straight step ends, cut at the first bound, and what must stay as it is when it is corrected."""
        room = torch.where(direction > 0, 1.0 - z, z) / direction.abs()
        room = torch.where(direction.abs() > _AT_BOUND, room, torch.inf)
        nearest = int(room.argmin())
        if float(room[nearest]) > length:
            return direction, z + length * direction
        start = (z + room[nearest] * direction).clamp(0.0, 1.0)
        start[nearest] = 1.0 if direction[nearest] > 0 else 0.0
        return _unit(z, nearest), start

    def _corrected(self, start: Tensor, slope: Tensor, normal: Tensor) -> tuple[Here, Tensor, bool]:
        free = self.free if self.corrector else []
        return corrected(self.probe, start, slope, free, self.moving, normal, self.tolerance)

    def _left(self, z: Tensor) -> int | None:
        """The coordinate that is furthest outside the cube."""
        outside = torch.maximum(z - 1.0, -z)
        k = int(outside.argmax())
        return k if float(outside[k]) > _AT_BOUND else None

    def _snapped(self, end: Here, before: Here, normal: Tensor) -> Here:
        """The same point, with coordinates that moved to within rounding of a bound put on it."""
        z = end.z.clamp(0.0, 1.0)
        near = torch.where(z < 0.5, torch.zeros_like(z), torch.ones_like(z))
        closer = ((z - near).abs() <= _AT_BOUND) & ((z - near).abs() <= (before.z - near).abs())
        return Here(torch.where(closer, near, z), end.x, end.v)


def _unit(z: Tensor, k: int) -> Tensor:
    normal = torch.zeros_like(z)
    normal[k] = 1.0
    return normal
