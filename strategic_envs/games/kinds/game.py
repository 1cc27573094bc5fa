"""Games with utilities: one torch function gives the field, its derivatives and the game's Hessians.

Players maximise. Player i's part of the ascent field is `V_i(x) = grad_{x_i} u_i(x)`; for `min_x max_y f` that is
`V = (-df/dx, +df/dy)`. The utility must treat batch dimensions independently: row b of the output depends on row b of
the profile alone. All derivatives rest on this, and `strategic_envs.testing.check_game` tests it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad, jacrev, vmap

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.known import Known
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile
from strategic_envs.sets import Joint, StrategySet

__all__ = ["Game"]

Utilities = Callable[[tuple[Tensor, ...]], Tensor]


def _minmax_utilities(f: Callable[[Tensor, Tensor], Tensor], x: tuple[Tensor, ...]) -> Tensor:
    """The utilities of `min_x max_y f`: a module-level function, so that such a game pickles when f does."""
    value = f(x[0], x[1])
    return torch.stack([-value, value], dim=-1)


class Game(VIGame):
    """A game with continuous strategies.

    Args:
        utilities: From a tuple of tensors `(*batch, d_i)`, one a player, to `(*batch, n)`, in torch operations.
        sets: One strategy set a player. With a joint set they may be left out: its bounds are taken.
        name: What errors and tables call the game.
        known: The analytic facts, if there are any.
        joint: A set over all players' coordinates that ties their strategies together; see `VIGame`.

    Raises:
        InvalidGameError: If the sets are not sets, or the utilities have the wrong shape when they are first called.

    Example:
        >>> from strategic_envs.sets import Box
        >>> def squared_difference(x):
        ...     u = (x[0] - x[1]).squeeze(-1) ** 2
        ...     return torch.stack([u, -u], dim=-1)
        >>> game = Game(squared_difference, sets=[Box(-1, 1), Box(-1, 1)])
        >>> game.field(game.profile([0.5], [0.0])).flat().tolist()
        [1.0, 1.0]
    """

    def __init__(
        self,
        utilities: Utilities,
        sets: Sequence[StrategySet] | None = None,
        *,
        name: str = "game",
        known: Known | None = None,
        joint: Joint | None = None,
    ) -> None:
        super().__init__(None, sets, name=name, known=known, joint=joint)
        self._utilities = utilities

    @classmethod
    def minmax(
        cls,
        f: Callable[[Tensor, Tensor], Tensor],
        sets: Sequence[StrategySet] | None = None,
        *,
        name: str = "game",
        known: Known | None = None,
        joint: Joint | None = None,
    ) -> Game:
        """The zero-sum game in which player 0 minimises f and player 1 maximises it.

        Args:
            f: From `(*batch, d_0)` and `(*batch, d_1)` to `(*batch,)`.
            sets: Two strategy sets; with a joint set they may be left out.
            name: What errors and tables call the game.
            known: The analytic facts, if there are any.
            joint: A set over both players' coordinates.

        Example:
            >>> from strategic_envs.sets import Box
            >>> Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1), Box(-1, 1)]).n_players
            2
        """
        game = cls(functools.partial(_minmax_utilities, f), sets, name=name, known=known, joint=joint)
        if game.n_players != 2:
            raise InvalidGameError(f"{name}: a min-max game has two players, got {game.n_players} sets")
        return game

    def utilities(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch n"]:
        """Every player's utility at x."""
        value = self._utilities(tuple(x))
        if not isinstance(value, Tensor):
            raise InvalidGameError(
                f"{self.name}: utilities returned a {type(value).__name__}, expected a tensor "
                f"(*batch, {self.n_players}): torch.stack the players' utilities along the last axis"
            )
        batch = torch.broadcast_shapes(*(t.shape[:-1] for t in x))
        if value.shape != (*batch, self.n_players):
            raise InvalidGameError(
                f"{self.name}: utilities returned shape {tuple(value.shape)} for strategies of shapes "
                f"{[tuple(t.shape) for t in x]}, expected {(*batch, self.n_players)}: one number a player, last"
            )
        return value

    def field(self, x: Sequence[Tensor], player: int | None = None) -> Profile:
        """The ascent field: each player's gradient of its own utility, without gradient history.

        Args:
            x: A profile, tensors `(*batch, d_i)`.
            player: If given, only this player's part is computed, and the result has this one part.
        """
        players = range(self.n_players) if player is None else [player]
        batch = torch.broadcast_shapes(*(t.shape[:-1] for t in x))
        with torch.enable_grad():
            leaves = [
                t.detach().expand(*batch, t.shape[-1]).clone().requires_grad_(i in players) for i, t in enumerate(x)
            ]
            u = self.utilities(leaves)
            last = players[-1]
            return Profile(self._own_gradient(u[..., i], leaves[i], retain=i != last) for i in players)

    @staticmethod
    def _own_gradient(u: Tensor, x: Tensor, *, retain: bool) -> Tensor:
        if not u.requires_grad:  # a utility that is locally constant
            return torch.zeros_like(x, requires_grad=False)
        (g,) = torch.autograd.grad(u.sum(), x, retain_graph=retain, allow_unused=True)
        return torch.zeros_like(x, requires_grad=False) if g is None else g

    def _functional_field(self, x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        def own(player: int) -> Callable[[Tensor], Tensor]:
            return lambda xi: self.utilities((*x[:player], xi, *x[player + 1 :]))[..., player].sum()

        return tuple(grad(own(i))(x[i]) for i in range(self.n_players))

    def hessian(self, x: Sequence[Tensor], i: int, j: int | None = None) -> Float[Tensor, "*batch di dj"]:
        """The block `d^2 u_i / dx_i dx_j` of player i's utility; `j=None` means i's own Hessian.

        Args:
            x: A profile, tensors `(*batch, d_i)`.
            i: The player whose utility is differentiated, first by its own strategy.
            j: The player whose strategy is differentiated by second.
        """
        j = i if j is None else j
        profile = Profile(x)
        batch = profile.batch_shape
        rows = [t.expand(*batch, t.shape[-1]).reshape(-1, t.shape[-1]) for t in profile]

        def u(xi: Tensor, xj: Tensor, *rest: Tensor) -> Tensor:
            full = list(rest)
            full[j] = xj
            if i != j:
                full[i] = xi
            return self.utilities(tuple(full))[i]

        block = jacrev(grad(u, argnums=1 if i == j else 0), argnums=1)
        with self._derivatives(f"the Hessian of player_{i}'s utility"):
            value = vmap(block)(rows[i], rows[j], *rows)
        return value.reshape(*batch, self.dims[i], self.dims[j])

    def welfare_gradient(self, x: Sequence[Tensor], weights: Sequence[float] | None = None) -> Profile:
        """Every player's gradient of the (weighted) sum of all utilities, in one backward pass.

        Args:
            x: A profile, tensors `(*batch, d_i)`.
            weights: One number a player; all one when not given.

        Example:
            >>> from strategic_envs.sets import Box
            >>> gift = Game(lambda x: torch.cat([-x[0], 3 * x[0]], -1), [Box(0, 1), Box(0, 1)])
            >>> gift.welfare_gradient(gift.profile([0.5], [0.5])).flat().tolist()
            [2.0, 0.0]
        """
        batch = torch.broadcast_shapes(*(t.shape[:-1] for t in x))
        with torch.enable_grad():
            leaves = [t.detach().expand(*batch, t.shape[-1]).clone().requires_grad_() for t in x]
            welfare = self._welfare(weights, tuple(leaves))
            if not welfare.requires_grad:  # utilities that are locally constant
                return Profile(map(torch.zeros_like, leaves)).detach()
            gradients = torch.autograd.grad(welfare, leaves, allow_unused=True, materialize_grads=True)
            return Profile(gradients)

    def welfare_hessian(
        self, x: Sequence[Tensor], weights: Sequence[float] | None = None
    ) -> Float[Tensor, "*batch total total"]:
        """The Hessian of the (weighted) sum of all utilities in all coordinates, players in order."""
        profile = Profile(x)
        batch, total = profile.batch_shape, sum(self.dims)
        flat = Profile(t.expand(*batch, t.shape[-1]) for t in profile).flat().reshape(-1, total)

        def welfare(row: Tensor) -> Tensor:
            return self._welfare(weights, tuple(Profile.from_flat(row, self.dims)))

        with self._derivatives("the Hessian of the welfare"):
            return vmap(jacrev(grad(welfare)))(flat).reshape(*batch, total, total)

    def _welfare(self, weights: Sequence[float] | None, x: tuple[Tensor, ...]) -> Tensor:
        u = self.utilities(x)
        return (u if weights is None else u * torch.as_tensor(weights, dtype=u.dtype, device=u.device)).sum()
