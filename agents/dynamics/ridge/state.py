"""What a path follower remembers, in tensors alone, and the words for what happened to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from torch import Tensor

from strategic_envs.agents.dynamics.base import State
from strategic_envs.agents.dynamics.ridge.frame import Frame, Here

__all__ = ["REASONS", "Event", "Failure", "RidgeState"]


class Event(IntEnum):
    """How an epoch ends; `kind` is the paper's word.

    Example:
        >>> Event.GOOD_BOUND.kind
        'good'
    """

    NONE = 0
    GOOD_ZERO = 1
    GOOD_BOUND = 2
    BAD = 3
    MIDDLING = 4

    @property
    def kind(self) -> str:
        """`good`, `bad`, `middling`, or `none`."""
        return self.name.lower().split("_")[0]


class Failure(IntEnum):
    """Why a path was given up; `REASONS` has the sentences."""

    NONE = 0
    DEGENERATE = 1
    COINCIDENT = 2
    REVISITED = 3
    STUCK = 4
    NONFINITE = 5


_ADVICE = "try another corner, another order of the coordinates, or a box whose bounds are moved by 1e-3"

REASONS = {
    Failure.NONE: "",
    Failure.DEGENERATE: f"the direction of the path is not unique here (a degenerate matrix): {_ADVICE}",
    Failure.COINCIDENT: f"two events happen at one point, so the path could go on in two ways: {_ADVICE}",
    Failure.REVISITED: f"the path came back to an epoch at the point where it had entered it before: {_ADVICE}",
    Failure.STUCK: (
        "no step along the path could be corrected, however short: the field has a kink, a sharp fold or noise here; "
        f"{_ADVICE}"
    ),
    Failure.NONFINITE: "the field is NaN or infinite here: check the utilities at the bounds, or shrink the box",
}


@dataclass(frozen=True, eq=False)
class RidgeState(State):
    """Where a path is. Everything but the profile is in path coordinates (see `Frame`), float64 on the CPU.

    Args:
        x: The profile, inside the sets.
        z: The path coordinates `(N,)`.
        v: The ascent field `(N,)`.
        slope: Its derivative `(N, N)`, exact or estimated; zeros while no coordinate is free.
        direction: Where the path goes from here, a unit vector `(N,)`; zeros at the end.
        origin: The game's value of each coordinate at 0, `(N,)`.
        far: The game's value at 1, `(N,)`.
        order: The flat coordinate that each path coordinate is, `(N,)`.
        examined: Which path coordinate is examined, `()`; N at the end of the path.
        free: Which coordinates are in S, `(N,)` bool.
        suppressed: Whether the examined coordinate, satisfied when it was returned to, must first move, `()` bool.
        event: The `Event` that ended the last step, `()`.
        coordinate: The path coordinate of that event, `()`; -1 without one.
        failure: A `Failure`, `()`.
        moves: How many moves were made, `()`; steps that only change the epoch are not counted.
        entries: A row for each epoch entered: examined coordinate, free mask, entry point, `(epochs, 1 + 2N)`.
    """

    z: Tensor
    v: Tensor
    slope: Tensor
    direction: Tensor
    origin: Tensor
    far: Tensor
    order: Tensor
    examined: Tensor
    free: Tensor
    suppressed: Tensor
    event: Tensor
    coordinate: Tensor
    failure: Tensor
    moves: Tensor
    entries: Tensor

    @property
    def frame(self) -> Frame:
        """The map between path coordinates and profiles."""
        return Frame(self.origin, self.far, self.order, self.x)

    @property
    def here(self) -> Here:
        """The point of the path."""
        return Here(self.z, self.x, self.v)

    @property
    def finished(self) -> bool:
        """Whether every coordinate is satisfied."""
        return int(self.examined) == len(self.z)

    @property
    def free_list(self) -> tuple[int, ...]:
        """The path coordinates in S."""
        return tuple(self.free.nonzero().flatten().tolist())
