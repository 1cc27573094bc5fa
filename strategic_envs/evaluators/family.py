"""Gaps of families of deviations: what all of them start from, and a gap that says which family it is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators.expectation import joint_play
from strategic_envs.evaluators.gap import Gap
from strategic_envs.evaluators.shifts import Bounds
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.play import Empirical
from strategic_envs.profile import Profile

__all__ = ["FamilyGap", "family_gap", "played_fields"]

_ROWS = 2**16  # profiles whose field is evaluated in one call
_ROUNDING = 1e-12


@dataclass(frozen=True)
class FamilyGap(Gap):
    """A gap over a family of deviations.

    Args:
        family: Which deviations, with everything that decides the number, such as `"cells, K=8"`.
    """

    family: str = ""


def family_gap(parts: Sequence[Bounds], family: str) -> FamilyGap:
    """The gap of the player who gains most: `value` is what is surely gained, `exact` whether the bounds meet.

    Example:
        >>> family_gap([Bounds(0.5, 0.5), Bounds(0.1, 0.75)], "some family")
        FamilyGap(value=0.5, per_player=(0.5, 0.1), lower=0.5, upper=0.75, exact=False, family='some family')
    """
    lower, upper = max(p.lower for p in parts), max(p.upper for p in parts)
    exact = all(p.upper - p.lower <= _ROUNDING * (1 + abs(p.upper)) for p in parts)
    return FamilyGap(lower, tuple(p.lower for p in parts), lower, upper, exact, family)


def played_fields(game: VIGame, play: object, *, separate: bool = False) -> tuple[Empirical, Profile]:
    """Any play as a joint distribution, and the own-utility gradients at its points, float64.

    Args:
        game: The game.
        play: A profile, `Empirical` or `Independent`.
        separate: Refuse a game whose sets depend on each other.

    Raises:
        InvalidGameError: If a gradient is not finite, or the sets are not separate; the message names the game.
    """
    if separate and game.joint is not None:
        raise InvalidGameError(
            f"{game.name}: this family of deviations needs a set for each player, got the joint set {game.joint}: "
            "what a player may do there depends on the others, use local_nash_gap profile by profile"
        )
    joint = joint_play(game, play)
    starts = range(0, len(joint), _ROWS)
    chunks = [game.field(tuple(t[start : start + _ROWS] for t in joint.points)) for start in starts]
    field = Profile(torch.cat(parts).double() for parts in zip(*chunks, strict=True))
    for i, (v, x) in enumerate(zip(field, joint.points, strict=True)):
        if not bool(v.isfinite().all()):
            bad = x[~v.isfinite().all(-1)][0].tolist()
            raise InvalidGameError(
                f"{game.name}, player_{i}: the field is NaN or infinite at this play, such as at {bad[:6]}: "
                "check the utility"
            )
    return joint, field
