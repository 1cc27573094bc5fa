"""What ends an epoch: which events are seen at a point, and where on the last move the first of them happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.dynamics.ridge.frame import Here
from strategic_envs.agents.dynamics.ridge.state import Event

__all__ = ["Happening", "at_once", "at_the_bounds", "bisected", "next_epoch", "satisfied", "sign_changes"]

_HALVINGS = 60


class Happening(NamedTuple):
    """An event and its path coordinate."""

    event: Event
    coordinate: int


def satisfied(z: float, v: float, tolerance: float) -> Event:
    """How a coordinate is satisfied: `GOOD_BOUND` at a bound with the field pointing out, `GOOD_ZERO`, or `NONE`.

    Example:
        >>> satisfied(0.0, -1.0, 1e-10).name, satisfied(0.5, 0.0, 1e-10).name, satisfied(0.0, 1.0, 1e-10).name
        ('GOOD_BOUND', 'GOOD_ZERO', 'NONE')
    """
    if (z == 0.0 and v <= tolerance) or (z == 1.0 and v >= -tolerance):
        return Event.GOOD_BOUND
    return Event.GOOD_ZERO if abs(v) <= tolerance else Event.NONE


def at_once(
    here: Here, direction: Float[Tensor, " N"], moving: Sequence[int], suppressed: bool, tolerance: float
) -> Happening | None:
    """The event that ends an epoch before anything has moved, if there is one.

    Args:
        here: Where the epoch is.
        direction: Its direction.
        moving: S and, last, the examined coordinate.
        suppressed: Whether the examined coordinate must move first, even if it is satisfied.
        tolerance: What counts as `V_k = 0`.
    """
    i = moving[-1]
    event = satisfied(float(here.z[i]), float(here.v[i]), tolerance)
    if event is not Event.NONE and not suppressed:
        return Happening(event, i)
    for k in moving:
        out = (here.z[k] == 0.0 and direction[k] < 0.0) or (here.z[k] == 1.0 and direction[k] > 0.0)
        if bool(out):
            return Happening(Event.BAD, k)
    return None


def at_the_bounds(old: Here, new: Here, moving: Sequence[int]) -> list[Happening]:
    """The moving coordinates that reached a bound on a move: BAD, or GOOD for the examined one at 1."""
    found = []
    for k in moving:
        before, after = float(old.z[k]), float(new.z[k])
        if (after == 0.0 and before > 0.0) or (after == 1.0 and before < 1.0):
            good = k == moving[-1] and after == 1.0
            found.append(Happening(Event.GOOD_BOUND if good else Event.BAD, k))
    return found


def sign_changes(here: Here, free: Sequence[int], examined: int, tolerance: float) -> list[Happening]:
    """GOOD, when the examined coordinate's field is no longer positive; MIDDLING, when a frozen one lost its sign.

    While a coordinate is examined its field is positive: so it is where it joins, or the epoch ends at once, and the
    sign rule of the direction keeps it so.
    """
    found = [Happening(Event.GOOD_ZERO, examined)] if here.v[examined] < -tolerance else []
    for k in range(examined):
        if k not in free and (here.v[k] > tolerance if here.z[k] == 0.0 else here.v[k] < -tolerance):
            found.append(Happening(Event.MIDDLING, k))
    return found


def bisected(
    at: Callable[[float], Here | None], end: Here, seen: Sequence[Happening]
) -> tuple[Here, list[Happening]] | None:
    """Where on a move the first of some sign changes happens, to the last bit.

    Args:
        at: The point at a share of the move; None where it cannot be corrected.
        end: The point at share one.
        seen: The sign changes that are seen at the end.

    Returns:
        The point just behind the first change and those that happened there (one, unless they coincide).
    """
    low, high, found, last = 0.0, 1.0, list(seen), end
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        here = at(middle)
        if here is None:
            return None
        changed = [one for one in seen if _changed(here, one)]
        if changed:
            high, found, last = middle, changed, here
        else:
            low = middle
    return last, found


def _changed(here: Here, one: Happening) -> bool:
    k = one.coordinate
    rising = one.event is Event.MIDDLING and float(here.z[k]) == 0.0
    return float(here.v[k]) >= 0.0 if rising else float(here.v[k]) <= 0.0


def next_epoch(examined: int, free: Sequence[int], one: Happening) -> tuple[int, tuple[int, ...]]:
    """The epoch `(i, S)` after an event.

    Example:
        >>> next_epoch(1, (0,), Happening(Event.GOOD_ZERO, 1)), next_epoch(1, (0,), Happening(Event.BAD, 1))
        ((2, (0, 1)), (0, ()))
    """
    s, k = set(free), one.coordinate
    match one.event:
        case Event.GOOD_ZERO:
            return examined + 1, tuple(sorted(s | {examined}))
        case Event.GOOD_BOUND:
            return examined + 1, tuple(sorted(s))
        case Event.MIDDLING:
            return examined, tuple(sorted(s | {k}))
        case _ if k == examined:
            return examined - 1, tuple(sorted(s - {examined - 1}))
        case _:
            return examined, tuple(sorted(s - {k}))
