"""Joint sets: constraints that tie the players' strategies together.

In a game on a joint set S, what player i may play depends on the others: the *slice* `S_i(x_-i)` of all x_i with
`(x_i, x_-i)` in S. Two notions of solution part ways there. A first-order local Nash equilibrium asks every player's
condition on its own slice; a *variational* solution asks one condition on S, `<V(x), y - x> <= 0` for all y in S, and
is the stronger one (Rosen 1965; Facchinei and Kanzow 2010).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.sets.ball import Ball
from strategic_envs.sets.base import StrategySet, SupportPoint
from strategic_envs.sets.box import Box
from strategic_envs.sets.least_distance import Inequalities
from strategic_envs.sets.polytope import Polytope

__all__ = ["Joint"]


class Joint:
    """A set over all players' coordinates, and its slices.

    Points x are flat, `(*batch, sum of dims)`, players in order. Methods of a slice give NaN where it is empty.

    Args:
        strategies: A `Polytope`, `Ball` or bounded `Box` over all coordinates.
        dims: The number of coordinates of each player.

    Raises:
        InvalidGameError: If the set is of another kind, or the dimensions do not add up to its own.

    Example:
        >>> shared = Joint(Polytope.simplex_corner(2), (1, 1))  # x, y >= 0 and x + y <= 1
        >>> shared.project_slice(0, torch.tensor([3.0, 0.25]))  # x <= 0.75 when y = 0.25
        tensor([0.7500])
        >>> shared.slice(1, torch.tensor([0.5, 0.0]))
        Box(0.0, 0.5)
    """

    def __init__(self, strategies: StrategySet, dims: Sequence[int]) -> None:
        if not isinstance(strategies, Polytope | Ball | Box) or not strategies.bounded:
            raise InvalidGameError(f"a Joint set needs a Polytope, a Ball or a bounded Box, got {strategies!r}")
        if not dims or min(dims) < 1 or sum(dims) != strategies.dim:
            raise InvalidGameError(
                f"a Joint set got players of dimensions {tuple(dims)}, expected numbers >= 1 that add up to "
                f"{strategies.dim}, the dimension of {strategies}"
            )
        self.set = strategies
        self.dims = tuple(dims)
        self._parts = [_slices(strategies, low, low + d) for low, d in zip(self._starts(), dims, strict=True)]

    def __repr__(self) -> str:
        return f"Joint({self.set}, dims={self.dims})"

    def _starts(self) -> list[int]:
        return [sum(self.dims[:i]) for i in range(len(self.dims))]

    def player_sets(self) -> tuple[StrategySet, ...]:
        """One simple set a player that holds all it may ever play: a box, or a ball where the joint set is one."""
        low, high = self.set.bounds()
        cut = [(low[s : s + d], high[s : s + d]) for s, d in zip(self._starts(), self.dims, strict=True)]
        if isinstance(self.set, Ball):
            return tuple(Ball((a + b) / 2, self.set.radius) for a, b in cut)
        return tuple(Box(a, b) for a, b in cut)

    def own(self, player: int, x: Float[Tensor, "*batch total"]) -> Float[Tensor, "*batch own"]:
        """The player's coordinates."""
        start = self._starts()[player]
        return x[..., start : start + self.dims[player]]

    def contains(self, x: Float[Tensor, "*batch total"], atol: float = 1e-6) -> Bool[Tensor, "*batch"]:
        """Whether each point lies in the joint set."""
        return self.set.contains(x, atol)

    def project(self, x: Float[Tensor, "*batch total"]) -> Float[Tensor, "*batch total"]:
        """The nearest point of the joint set: all players move."""
        return self.set.project(x)

    def project_slice(self, player: int, x: Float[Tensor, "*batch total"]) -> Float[Tensor, "*batch own"]:
        """The nearest strategy of one player in its slice, given the others' coordinates of x."""
        return self._parts[player].nearest(self.own(player, x), x)

    def support_slice(
        self, player: int, x: Float[Tensor, "*batch total"], g: Float[Tensor, "*batch own"]
    ) -> SupportPoint:
        """The largest inner product with g over the player's slice, and where it is attained."""
        argmax = self._parts[player].furthest(g, x)
        return SupportPoint((g * argmax).sum(-1), argmax)

    def slice(self, player: int, x: Float[Tensor, " total"]) -> StrategySet:
        """The player's slice at one point as a set, which may have no interior.

        Raises:
            InvalidStrategyError: If the slice is empty: the others' strategies leave the player none.
        """
        if bool(self.project_slice(player, x).isnan().any()):
            raise InvalidStrategyError(
                f"the others' strategies in {x.tolist()} leave player_{player} no strategy in {self}: "
                "project them on the joint set first"
            )
        return self._parts[player].at(x)

    def projected_gap(
        self, player: int, x: Float[Tensor, "*batch total"], g: Float[Tensor, "*batch own"], step: float = 1.0
    ) -> Float[Tensor, "*batch"]:
        """`|P(x_i + a g) - x_i| / a` with the projection on the player's slice."""
        own = self.own(player, x)
        return (self._parts[player].nearest(own + step * g, x) - own).norm(dim=-1) / step

    def frank_wolfe_gap(
        self, player: int, x: Float[Tensor, "*batch total"], g: Float[Tensor, "*batch own"]
    ) -> Float[Tensor, "*batch"]:
        """`max_y <g, y - x_i>` over the player's slice."""
        return self.support_slice(player, x, g).value - (g * self.own(player, x)).sum(-1)

    def variational_gap(
        self, x: Float[Tensor, "*batch total"], v: Float[Tensor, "*batch total"]
    ) -> Float[Tensor, "*batch"]:
        """`max_y <V, y - x>` over the joint set, 0 exactly at variational solutions."""
        return self.set.frank_wolfe_gap(x, v)


def _slices(strategies: StrategySet, start: int, end: int) -> _PolytopeSlices | _BallSlices | _BoxSlices:
    if isinstance(strategies, Polytope):
        return _PolytopeSlices(strategies, start, end)
    if isinstance(strategies, Ball):
        return _BallSlices(strategies, start, end)
    assert isinstance(strategies, Box)
    return _BoxSlices(Box(strategies.low[start:end], strategies.high[start:end]))


class _PolytopeSlices:
    """`{x_i : A_i x_i <= b - A_-i x_-i}`: the normals stay, the offsets follow the others."""

    def __init__(self, polytope: Polytope, start: int, end: int) -> None:
        length = polytope.normals.norm(dim=-1, keepdim=True)
        a, b = polytope.normals / length, polytope.offsets / length.squeeze(-1)
        share = a[:, start:end].norm(dim=-1)
        mine = share > 1e-12  # the other inequalities say nothing about this player, only whether there is a slice
        others = a.clone()
        others[:, start:end] = 0.0
        self.inequalities = Inequalities(a[mine, start:end] / share[mine].unsqueeze(-1))
        self.levels, self.others = b[mine] / share[mine], others[mine] / share[mine].unsqueeze(-1)
        self.rest = (others[~mine], b[~mine])
        self.size = 1.0 + float(b.abs().max())

    def _offsets(self, x: Tensor) -> Tensor:
        return self.levels.to(x) - x @ self.others.to(x).T

    def _slack(self, x: Tensor) -> float:
        return self.size * torch.finfo(x.dtype).eps ** 0.5

    def _blank(self, y: Tensor, x: Tensor) -> Tensor:
        """NaN where y breaks an inequality: the slice is empty there."""
        over = y @ self.inequalities.normals.to(y).T - self._offsets(x)
        idle = x @ self.rest[0].to(x).T - self.rest[1].to(x)
        bad = (torch.cat([over, idle], dim=-1) > self._slack(x)).any(-1, keepdim=True)
        return torch.where(bad, torch.nan, y)

    def nearest(self, y: Tensor, x: Tensor) -> Tensor:
        return self._blank(self.inequalities.nearest(y, self._offsets(x)), x)

    def furthest(self, g: Tensor, x: Tensor) -> Tensor:
        return self._blank(self.inequalities.furthest(g, self._offsets(x), self._slack(x)), x)

    def at(self, x: Tensor) -> StrategySet:
        normals, offsets = self.inequalities.normals, self._offsets(x.double())
        if normals.shape[1] > 1:
            return Polytope(normals, offsets, flat=True)
        low = -offsets[normals[:, 0] < 0].min()
        high = offsets[normals[:, 0] > 0].min()
        return Box([min(float(low), float(high)) + 0.0], [float(high) + 0.0])


class _BallSlices:
    """Balls around the same centre with `radius^2 - |x_-i - c_-i|^2` for a squared radius."""

    def __init__(self, ball: Ball, start: int, end: int) -> None:
        self.ball, self.start, self.end = ball, start, end

    def _centre_and_radius(self, x: Tensor) -> tuple[Tensor, Tensor]:
        centre = self.ball.centre_point.to(x)
        away = (x - centre).square()
        square = self.ball.radius**2 - away[..., : self.start].sum(-1) - away[..., self.end :].sum(-1)
        slack = self.ball.radius**2 * torch.finfo(x.dtype).eps ** 0.5
        radius = torch.where(square >= -slack, square.clamp(min=0).sqrt(), torch.nan)
        return centre[self.start : self.end], radius.unsqueeze(-1)

    def nearest(self, y: Tensor, x: Tensor) -> Tensor:
        centre, radius = self._centre_and_radius(x)
        offset = y - centre
        length = offset.norm(dim=-1, keepdim=True)
        moved = centre + offset * (radius / length.clamp(min=torch.finfo(y.dtype).tiny))
        return torch.where(length <= radius, y, torch.where(radius == 0, centre + 0 * y, moved))

    def furthest(self, g: Tensor, x: Tensor) -> Tensor:
        centre, radius = self._centre_and_radius(x)
        length = g.norm(dim=-1, keepdim=True)
        unit = torch.where(length > 0, g / length.clamp(min=torch.finfo(g.dtype).tiny), torch.zeros_like(g))
        return centre + radius * unit

    def at(self, x: Tensor) -> StrategySet:
        centre, radius = self._centre_and_radius(x.double())
        return Ball(centre, float(radius)) if float(radius) > 0 else Box(centre, centre)


class _BoxSlices:
    """On a box the others decide nothing."""

    def __init__(self, box: Box) -> None:
        self.box = box

    def nearest(self, y: Tensor, x: Tensor) -> Tensor:
        return self.box.project(y)

    def furthest(self, g: Tensor, x: Tensor) -> Tensor:
        return self.box.support(g).argmax

    def at(self, x: Tensor) -> StrategySet:
        return self.box
