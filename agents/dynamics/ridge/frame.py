"""Path coordinates: a box, seen from one of its corners, as the unit cube with the corner at 0.

Path coordinate k is coordinate `order[k]` of the flat profile, 0 at the corner and 1 at the opposite bound. A path
is a few numbers with many branches, so it lives in float64 on the CPU; only profiles go to the oracle's device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.profile import Profile
from strategic_envs.sets import Box, Product, StrategySet

__all__ = ["Frame", "Here", "box_bounds", "no_box"]


class Here(NamedTuple):
    """A point of a path: path coordinates `(N,)`, the profile, and the ascent field in path coordinates `(N,)`."""

    z: Tensor
    x: Profile
    v: Tensor


def box_bounds(sets: Sequence[StrategySet]) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """The lower and upper bounds of all coordinates, players in order.

    Args:
        sets: Bounded boxes, or products of them, one a player.

    Raises:
        InvalidGameError: If a set is something else, naming its player.

    Example:
        >>> low, high = box_bounds([Box(-1, 1), Box([0, 0], [2, 3])])
        >>> high.tolist()
        [1.0, 2.0, 3.0]
    """
    reason = no_box(sets)
    if reason is not None:
        raise InvalidGameError(reason)
    boxes = [part for s in sets for part in _parts(s) if isinstance(part, Box)]
    return torch.cat([b.low for b in boxes]), torch.cat([b.high for b in boxes])


def no_box(sets: Sequence[StrategySet]) -> str | None:
    """Why a path cannot be followed on these sets; None when all are bounded boxes.

    Example:
        >>> print(no_box([Box(-1, 1)]))
        None
    """
    for i, s in enumerate(sets):
        for part in _parts(s):
            if not isinstance(part, Box) or not part.bounded:
                return (
                    f"player_{i}: got the set {part}, expected a bounded box, or a product of them: bound the "
                    "coordinates, or use a projected method, such as extragradient"
                )
    return None


def _parts(s: StrategySet) -> Sequence[StrategySet]:
    return [inner for part in s.parts for inner in _parts(part)] if isinstance(s, Product) else [s]


@dataclass(frozen=True, eq=False)
class Frame:
    """The affine map between path coordinates and profiles.

    Args:
        origin: The value of each path coordinate at 0, `(N,)` float64.
        far: Its value at 1, `(N,)`.
        order: The flat coordinate that each path coordinate is, `(N,)` int64.
        like: A profile whose dtypes, devices and dimensions profiles get.

    Example:
        >>> like = Profile([torch.zeros(1), torch.zeros(1)])
        >>> frame = Frame(torch.tensor([-1.0, 3.0]), torch.tensor([1.0, -3.0]), torch.tensor([1, 0]), like)
        >>> frame.profile(torch.tensor([0.5, 1.0])).flat().tolist()
        [-3.0, 0.0]
    """

    origin: Tensor
    far: Tensor
    order: Tensor
    like: Profile

    @classmethod
    def at_corner(
        cls,
        low: Float[Tensor, " N"],
        high: Float[Tensor, " N"],
        corner: Sequence[int],
        order: Sequence[int],
        like: Profile,
        method: str,
    ) -> Frame:
        """The frame of a corner and an order of the coordinates.

        Args:
            low: The lower bounds.
            high: The upper bounds.
            corner: 0 (lower bound) or 1 (upper bound) for each flat coordinate.
            order: The flat coordinates in the order in which they are examined.
            like: A profile of the game.
            method: Who asks, for the error.

        Raises:
            InvalidSettingError: If the corner or the order does not fit the game.
        """
        total = len(low)
        if len(corner) != total or sorted(order) != list(range(total)):
            raise InvalidSettingError(
                f"{method}: got corner={tuple(corner)} and order={tuple(order)} for a game of {total} coordinates, "
                f"expected {total} zeros and ones, and a permutation of 0..{total - 1}"
            )
        index = torch.tensor(order, dtype=torch.int64)
        up = torch.tensor(corner, dtype=torch.bool)[index]
        low, high = low[index], high[index]
        return cls(torch.where(up, high, low), torch.where(up, low, high), index, like)

    @property
    def reach(self) -> Tensor:
        """How far, and to which side, the game's coordinate moves when the path coordinate goes from 0 to 1."""
        return self.far - self.origin

    def profile(self, z: Float[Tensor, " N"]) -> Profile:
        """The profile at path coordinates z, which are clamped to the cube; bounds are met exactly."""
        z = z.clamp(0.0, 1.0)
        value = torch.where(z == 1.0, self.far, self.origin + z * self.reach)
        flat = torch.empty_like(value).index_put((self.order,), value)
        parts = flat.split([t.shape[-1] for t in self.like])
        return Profile(part.to(t) for part, t in zip(parts, self.like, strict=True))

    def here(self, oracle: Oracle, z: Float[Tensor, " N"]) -> Here:
        """The point z with its field: one field call."""
        x = self.profile(z)
        return Here(z, x, oracle.field(x).flat().detach().to("cpu", torch.float64)[self.order] * self.reach)

    def jacobian(self, oracle: Oracle, here: Here) -> Float[Tensor, "N N"]:
        """The derivative of the path coordinates' field: one Jacobian call."""
        slope = oracle.jacobian(here.x).detach().to("cpu", torch.float64)
        return slope[self.order][:, self.order] * self.reach.outer(self.reach)
