"""Variational-inequality games: an operator and a set.

A profile x solves the game when `<F(x), y - x> >= 0` for every y in the set. Everywhere in this project players ascend
along `V = -F`, the *ascent field*; everything that needs no utilities is defined here, on the field alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vjp, vmap

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.known import Known
from strategic_envs.profile import Profile
from strategic_envs.sets import Joint, Product, StrategySet

__all__ = ["VIGame"]


class VIGame:
    """A game given by its operator F on a product of strategy sets.

    Args:
        operator: F, from a tuple of tensors `(*batch, d_i)` to a tuple of the same shapes, in torch operations.
        sets: One strategy set a player. With a joint set they may be left out: its bounds are taken.
        name: What errors and tables call the game.
        known: The analytic facts, if there are any.
        joint: A set over all players' coordinates that ties their strategies together. Then `project` goes to the
            nearest point of this set, and player i may play what its slice leaves it, given the others.

    Raises:
        InvalidGameError: If there is no player, a set is not a strategy set, or sets and joint set do not fit.

    Example:
        >>> from strategic_envs.sets import Box
        >>> rotation = VIGame(lambda x: (x[1], -x[0]), [Box(-1, 1), Box(-1, 1)], name="rotation")
        >>> rotation.field(rotation.profile([0.0], [1.0])).flat().tolist()
        [-1.0, 0.0]
    """

    def __init__(
        self,
        operator: Callable[[tuple[Tensor, ...]], Sequence[Tensor]] | None,
        sets: Sequence[StrategySet] | None = None,
        *,
        name: str = "game",
        known: Known | None = None,
        joint: Joint | None = None,
    ) -> None:
        if sets is None and joint is not None:
            sets = joint.player_sets()
        if not sets or not all(isinstance(s, StrategySet) for s in sets):
            raise InvalidGameError(f"{name}: a game needs one strategy set a player, got {list(sets or ())!r}")
        self._operator = operator
        self.sets: tuple[StrategySet, ...] = tuple(sets)
        self.name = name
        self._known = known
        self.joint = joint
        if joint is not None and joint.dims != self.dims:
            raise InvalidGameError(
                f"{name}: got a joint set for players of dimensions {joint.dims} and sets of dimensions {self.dims}"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.joint or f'sets={list(self.sets)}'})"

    @property
    def n_players(self) -> int:
        """The number of players."""
        return len(self.sets)

    @property
    def dims(self) -> tuple[int, ...]:
        """The dimension of each player's strategy."""
        return tuple(s.dim for s in self.sets)

    @property
    def joint_set(self) -> StrategySet:
        """The set of all profiles: the joint set, or the product of the players' sets."""
        return Product(self.sets) if self.joint is None else self.joint.set

    def known(self) -> Known:
        """The analytic facts of this game: equilibria, values, constants."""
        return self._known if self._known is not None else Known()

    def profile(self, *players: Sequence[float] | Tensor, dtype: torch.dtype = torch.float64) -> Profile:
        """A profile from one vector a player, checked against the sets.

        Raises:
            InvalidStrategyError: If a strategy has the wrong shape or lies outside its set.
        """
        return self.validate(Profile(torch.as_tensor(p, dtype=dtype) for p in players))

    def sample(
        self, shape: Sequence[int] = (), *, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float64
    ) -> Profile:
        """Profiles drawn from the sets, of batch shape `shape`."""
        if self.joint is not None:
            return Profile.from_flat(self.joint.set.sample(shape, generator=generator, dtype=dtype), self.dims)
        return Profile(s.sample(shape, generator=generator, dtype=dtype) for s in self.sets)

    def validate(self, x: Sequence[Tensor]) -> Profile:
        """Returns the profile if every player's strategy lies in its set, and all together in the joint set.

        Raises:
            InvalidStrategyError: Naming the game, the player and the value.
        """
        profile = self.validate_each(x)
        if self.joint is not None:
            batch = profile.batch_shape
            flat = Profile(t.expand(*batch, t.shape[-1]) for t in profile).flat()
            self.joint.set.validate(flat, f"{self.name}, all players together")
        return profile

    def validate_each(self, x: Sequence[Tensor]) -> Profile:
        """The same player by player: the tensors may have different batch shapes, and a joint set is not looked at."""
        if len(x) != self.n_players:
            raise InvalidStrategyError(f"{self.name}: got {len(x)} strategies, expected {self.n_players}, one a player")
        return Profile(
            s.validate(t, f"{self.name}, player_{i}") for i, (s, t) in enumerate(zip(self.sets, x, strict=True))
        )

    def project(self, x: Sequence[Tensor]) -> Profile:
        """The nearest profile: every player's strategy projected on its set, or all together on the joint set."""
        if self.joint is not None:
            return Profile.from_flat(self.joint.project(Profile(x).flat()), self.dims)
        return Profile(s.project(t) for s, t in zip(self.sets, x, strict=True))

    def field(self, x: Sequence[Tensor], player: int | None = None) -> Profile:
        """The ascent field V at x.

        Args:
            x: A profile, tensors `(*batch, d_i)`.
            player: If given, only this player's part is computed, and the result has this one part.
        """
        v = self._functional_field(tuple(x))
        return Profile(v) if player is None else Profile([v[player]])

    def _functional_field(self, x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """V as a pure function that torch.func can differentiate."""
        if self._operator is None:
            raise InvalidGameError(f"{self.name}: no operator was given, and {type(self).__name__} defines none")
        value = tuple(self._operator(x))
        if len(value) != self.n_players or any(v.shape[-1] != d for v, d in zip(value, self.dims, strict=False)):
            shapes = [tuple(v.shape) for v in value]
            raise InvalidGameError(
                f"{self.name}: the operator returned shapes {shapes}, expected (*batch, d) for d in {self.dims}"
            )
        return tuple(-v for v in value)

    def jvp(self, x: Sequence[Tensor], v: Sequence[Tensor]) -> Profile:
        """The directional derivative `DV(x) v` of the field."""
        # Twice in reverse mode, for w -> DV^T w is linear with transpose DV: forward mode lacks some operations.
        with self._derivatives("a derivative of the field"):
            pulled = vjp(self._functional_field, tuple(x))
            return Profile(vjp(lambda *w: pulled[1](w)[0], *pulled[0])[1](tuple(v)))

    def vjp(self, x: Sequence[Tensor], w: Sequence[Tensor]) -> Profile:
        """The transposed product `DV(x)^T w`."""
        with self._derivatives("a derivative of the field"):
            return Profile(vjp(self._functional_field, tuple(x))[1](tuple(w))[0])

    def jacobian(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch total total"]:
        """The matrix DV(x): rows are field coordinates, columns the coordinates that are moved."""
        profile = Profile(x)
        batch, total = profile.batch_shape, sum(self.dims)
        flat = Profile(t.expand(*batch, t.shape[-1]) for t in profile).flat().reshape(-1, total)

        def field(row: Tensor) -> Tensor:
            return torch.cat(self._functional_field(tuple(Profile.from_flat(row, self.dims))), dim=-1)

        with self._derivatives("the Jacobian of the field"):
            return vmap(jacrev(field))(flat).reshape(*batch, total, total)

    @contextmanager
    def _derivatives(self, what: str) -> Iterator[None]:
        """Says which game cannot be differentiated so often, where torch only says which operation."""
        try:
            yield
        except (RuntimeError, NotImplementedError) as error:
            raise InvalidGameError(
                f"{self.name}: torch cannot give {what}: {error}. It needs torch operations on tensors throughout, "
                "each differentiable so often: no .item(), numpy or branching on values; or use a first-order dynamic"
            ) from error
