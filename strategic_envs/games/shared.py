"""Games with a joint set: what a player may play depends on the others (generalised Nash games).

In such a game the first-order local Nash equilibria, each player judged on its own slice, often form a continuum, and
the variational solutions are a few of them; see `strategic_envs.sets.joint`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.sets import Joint, Polytope

__all__ = ["GAMES", "InternetSwitch", "shared_segment"]


def shared_segment() -> Game:
    """Two players share one unit: `u_0 = x`, `u_1 = 2 y` on `{x, y >= 0, x + y <= 1}`.

    Every point of the segment `x + y = 1` is an equilibrium: nobody can take more. The only variational solution is
    (0, 1), for there the joint gradient (1, 2) points furthest. Gradient play that is projected on the joint set goes
    to it; players who project on their own slices in turn stop on the segment wherever they meet.

    Example:
        >>> game = shared_segment()
        >>> game.project([torch.tensor([2.0]), torch.tensor([1.5])]).flat()
        tensor([0.7500, 0.2500])
    """
    known = Known(
        equilibria=tuple(
            Equilibrium.pure(kind, [x, 1.0 - x]) for kind in ("nash", "first_order_nash") for x in (0.0, 0.5, 1.0)
        ),
        constants={"smoothness": 0.0},
        source="defined here",
        note="All points of x + y = 1 are equilibria; only (0, 1), the first one listed, is a variational solution.",
    )
    return Game(_shared_segment, name="shared_segment", known=known, joint=Joint(Polytope.simplex_corner(2), (1, 1)))


def _shared_segment(players: tuple[Tensor, ...]) -> Tensor:
    x, y = (t.squeeze(-1) for t in players)
    return torch.stack(torch.broadcast_tensors(x, 2 * y), dim=-1)


class InternetSwitch(Game):
    """n users send traffic through one switch: `u_i = x_i (1/s - 1/capacity)` with `s = sum of x`.

    (Kesselman, Leonardi and Bonifaci 2005; test problem A.1 of Facchinei and Kanzow 2009.) A user's share of the
    traffic, less a price of congestion; everyone sends at least `floor`, and together at most the capacity. The
    variational equilibrium is `x_i = capacity (n - 1)/n^2` for everyone: there `1/s - x_i/s^2 = 1/capacity`. It lies
    inside the joint set, so it is the only equilibrium there.

    Args:
        n: How many users, at least 2.
        capacity: How much the switch can carry, larger than 0.
        floor: What every user sends at least, above 0 and below its equilibrium traffic; it keeps s away from 0.

    Raises:
        InvalidGameError: If a number is out of its range.

    Example:
        >>> game = InternetSwitch(n=10)
        >>> bool(game.field(game.profile(*[[0.09]] * 10)).norm() < 1e-12)
        True
    """

    def __init__(self, n: int = 10, capacity: float = 1.0, floor: float = 0.01) -> None:
        if not isinstance(n, int) or n < 2:
            raise InvalidGameError(f"internet_switch: needs a whole number n >= 2, got {n!r}")
        if not 0 < capacity < math.inf:
            raise InvalidGameError(f"internet_switch: needs a finite capacity > 0, got {capacity}")
        share = capacity * (n - 1) / n**2
        if not 0 < floor < share:
            raise InvalidGameError(f"internet_switch: needs a floor between 0 and {share:g}, got {floor}")
        self.capacity = float(capacity)
        normals = torch.cat([-torch.eye(n, dtype=torch.float64), torch.ones(1, n, dtype=torch.float64)])
        polytope = Polytope(normals, [-float(floor)] * n + [self.capacity])
        known = Known(
            equilibria=tuple(Equilibrium.pure(kind, [share] * n) for kind in ("nash", "first_order_nash")),
            values={"utility": share * (n / (capacity * (n - 1)) - 1 / capacity)},
            complete=True,
            source="Kesselman, Leonardi and Bonifaci (2005); Facchinei and Kanzow (2009), problem A.1",
        )
        super().__init__(self._shares, name="internet_switch", known=known, joint=Joint(polytope, [1] * n))

    def _shares(self, players: Sequence[Tensor]) -> Tensor:
        x = torch.cat(torch.broadcast_tensors(*players), dim=-1)
        return x * (1 / x.sum(-1, keepdim=True) - 1 / self.capacity)


GAMES = {"internet_switch": InternetSwitch, "shared_segment": shared_segment}
