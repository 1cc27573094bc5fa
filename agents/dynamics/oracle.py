"""Oracles: all that a dynamic sees of a game.

An oracle gives the joint ascent field and projections onto the players' sets and, where it can, derivatives of the
field. A closed-form game gives an exact one (`GameOracle`); the layers of a network, or sampled play, give others. It
counts its calls, because calls are what methods are compared by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import OracleError
from strategic_envs.evaluators.local import projected_gaps
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile
from strategic_envs.sets import Joint, StrategySet

__all__ = ["GameOracle", "Oracle"]


class Oracle(ABC):
    """The joint field of a game and its players' sets.

    A subclass writes `_field`, and any of `_jvp`, `_vjp`, `_hessian`, `_jacobian`, `_welfare_gradient`,
    `_welfare_hessian` that it can; the public methods count the calls and delegate. `calls` maps a name to the number
    of calls; a call for one player's part counts under `field_of_one`.

    Args:
        sets: One strategy set a player.
    """

    name: str = "oracle"
    sets: tuple[StrategySet, ...]
    joint: Joint | None = None  # a set that ties all players' strategies together

    def __init__(self, sets: Sequence[StrategySet]) -> None:
        self.sets = tuple(sets)
        self.calls: Counter[str] = Counter()

    @abstractmethod
    def _field(self, x: Profile, player: int | None) -> Profile: ...

    def _jvp(self, x: Profile, v: Profile) -> Profile:
        raise self._cannot("jvp")

    def _vjp(self, x: Profile, w: Profile) -> Profile:
        raise self._cannot("vjp")

    def _hessian(self, x: Profile, i: int, j: int | None) -> Tensor:
        raise self._cannot("hessian")

    def _jacobian(self, x: Profile) -> Tensor:
        raise self._cannot("jacobian")

    def _welfare_gradient(self, x: Profile, weights: Sequence[float] | None) -> Profile:
        raise self._cannot("welfare_gradient")

    def _welfare_hessian(self, x: Profile, weights: Sequence[float] | None) -> Tensor:
        raise self._cannot("welfare_hessian")

    def _cannot(self, what: str) -> OracleError:
        return OracleError(f"{self.name}: this oracle gives no {what}; use an oracle or a dynamic that does")

    def provides(self, what: str) -> bool:
        """Whether this oracle gives `field`, `project`, `jvp`, `vjp`, `hessian`, `jacobian` or another of its calls."""
        if what in ("field", "project", "sets"):
            return True
        method = getattr(type(self), f"_{what}", None)
        return method is not None and method is not getattr(Oracle, f"_{what}", None)

    def field(self, x: Profile, player: int | None = None) -> Profile:
        """The ascent field at x; with `player`, a profile with this player's part alone."""
        self.calls["field" if player is None else "field_of_one"] += 1
        return self._field(x, player)

    def project(self, x: Profile, player: int | None = None) -> Profile:
        """The nearest profile in the sets; with `player`, only this player's part is projected, the others stay.

        What is not finite has no nearest point: it comes out as NaN, and not as the end of an interval. On a joint set
        all move to the nearest point together, and one player to the nearest point of its slice.
        """
        if self.joint is not None:
            return _nearest_together(self.joint, x, player)
        if player is not None:
            return x.replace(player, _nearest(self.sets[player], x[player]))
        return Profile(map(_nearest, self.sets, x))

    def difference(self, x: Profile, y: Profile) -> Profile:
        """The shortest way from x to y: `y - x`, unless coordinates wrap around."""
        return Profile(s.difference(a, b) for s, a, b in zip(self.sets, x, y, strict=True))

    def residuals(self, x: Profile, g: Profile) -> Float[Tensor, "*batch n"]:
        """Every player's projected local Nash gap at x, where the field is g; 0 exactly at first-order equilibria."""
        return projected_gaps(self.sets if self.joint is None else self.joint, x, g)

    def jvp(self, x: Profile, v: Profile) -> Profile:
        """The directional derivative of the field, `DV(x) v`."""
        self.calls["jvp"] += 1
        return self._jvp(x, v)

    def vjp(self, x: Profile, w: Profile) -> Profile:
        """The transposed product `DV(x)^T w`."""
        self.calls["vjp"] += 1
        return self._vjp(x, w)

    def hessian(self, x: Profile, i: int, j: int | None = None) -> Float[Tensor, "*batch di dj"]:
        """The block `d^2 u_i / dx_i dx_j`; `j=None` means i's own Hessian."""
        self.calls["hessian"] += 1
        return self._hessian(x, i, j)

    def jacobian(self, x: Profile) -> Float[Tensor, "*batch total total"]:
        """The matrix DV(x)."""
        self.calls["jacobian"] += 1
        return self._jacobian(x)

    def welfare_gradient(self, x: Profile, weights: Sequence[float] | None = None) -> Profile:
        """Every player's gradient of the sum of all utilities, or of their weighted sum."""
        self.calls["welfare_gradient"] += 1
        return self._welfare_gradient(x, weights)

    def welfare_hessian(
        self, x: Profile, weights: Sequence[float] | None = None
    ) -> Float[Tensor, "*batch total total"]:
        """The Hessian of that sum in all coordinates, players in order."""
        self.calls["welfare_hessian"] += 1
        return self._welfare_hessian(x, weights)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Calls inside this context see the same data; an exact oracle always does."""
        yield

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Calls inside this context are measurements of the caller and are not counted."""
        before = self.calls.copy()
        try:
            yield
        finally:
            self.calls = before


class GameOracle(Oracle):
    """The exact oracle of a closed-form game.

    The field at the profile that was asked for last is remembered, so measuring and stepping at one profile costs one
    evaluation.

    Example:
        >>> import torch
        >>> from strategic_envs.games.kinds.game import Game
        >>> from strategic_envs.sets import Box
        >>> oracle = GameOracle(Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1), Box(-1, 1)]))
        >>> oracle.field(Profile([torch.tensor([0.5]), torch.tensor([1.0])])).flat().tolist(), dict(oracle.calls)
        ([-1.0, 0.5], {'field': 1})
    """

    def __init__(self, game: VIGame) -> None:
        super().__init__(game.sets)
        self.game = game
        self.name = game.name
        self.joint = game.joint
        self._last: tuple[Profile, Profile] | None = None

    def provides(self, what: str) -> bool:
        if what == "utilities":
            return hasattr(self.game, "utilities")
        of_utilities = what in ("hessian", "welfare_gradient", "welfare_hessian")
        return super().provides(what) and (not of_utilities or hasattr(self.game, what))

    def _field(self, x: Profile, player: int | None) -> Profile:
        if player is not None:
            return self.game.field(x, player)
        if self._last is None or self._last[0] is not x:
            self._last = (x, self.game.field(x))
        return self._last[1]

    def _jvp(self, x: Profile, v: Profile) -> Profile:
        return self.game.jvp(x, v)

    def _vjp(self, x: Profile, w: Profile) -> Profile:
        return self.game.vjp(x, w)

    def _hessian(self, x: Profile, i: int, j: int | None) -> Tensor:
        return self._ask("hessian", x, i, j)

    def _jacobian(self, x: Profile) -> Tensor:
        return self.game.jacobian(x)

    def _welfare_gradient(self, x: Profile, weights: Sequence[float] | None) -> Profile:
        return self._ask("welfare_gradient", x, weights)

    def _welfare_hessian(self, x: Profile, weights: Sequence[float] | None) -> Tensor:
        return self._ask("welfare_hessian", x, weights)

    def _ask(self, what: str, *arguments: object) -> Any:
        """Something that only games with utilities have."""
        if not hasattr(self.game, what):
            raise self._cannot(what)
        return getattr(self.game, what)(*arguments)


def _nearest(strategies: StrategySet, x: Tensor) -> Tensor:
    return strategies.project(x) + 0.0 * x  # 0 times infinity is NaN: a clamp would hide that a field was infinite


def _nearest_together(joint: Joint, x: Profile, player: int | None) -> Profile:
    flat = x.flat()
    if player is not None:
        return x.replace(player, joint.project_slice(player, flat) + 0.0 * x[player])
    return Profile.from_flat(joint.project(flat) + 0.0 * flat, x.dims)
