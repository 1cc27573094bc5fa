"""What a continuous double oracle accepts: two-player zero-sum games on compact sets, and starts inside these."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidSettingError, InvalidStrategyError
from strategic_envs.games.kinds.game import Game
from strategic_envs.seeding import torch_stream

__all__ = ["check_game", "check_settings", "start_points"]

_WHO = "continuous double oracle"
_PROFILES = 64  # at which it is checked that utilities sum to zero
_ZERO = 1e-9  # what the sum may be, relative to the utilities


def check_settings(tolerance: float, max_iterations: int, merge: float) -> None:
    """Refuses settings that make no sense.

    Raises:
        InvalidSettingError: Naming the setting.
    """
    if not 0 < tolerance < math.inf:
        raise InvalidSettingError(f"{_WHO}: got tolerance={tolerance!r}, expected a number > 0")
    if isinstance(max_iterations, bool) or not isinstance(max_iterations, int) or max_iterations < 1:
        raise InvalidSettingError(f"{_WHO}: got max_iterations={max_iterations!r}, expected a whole number >= 1")
    if not 0 <= merge < math.inf:
        raise InvalidSettingError(f"{_WHO}: got merge={merge!r}, expected a distance >= 0")


def check_game(game: Game) -> None:
    """Refuses other games than two-player zero-sum ones on compact sets; the sum is checked at sampled profiles.

    Raises:
        InvalidGameError: If it is none; the message says what to use instead.

    Example:
        >>> from strategic_envs.games.catalogue import game
        >>> check_game(game("forsaken"))
    """
    if not isinstance(game, Game):
        raise InvalidGameError(
            f"{_WHO}: got a {type(game).__name__}, expected a Game with utilities: for a matrix use double_oracle, for "
            "a game with states psro"
        )
    if game.n_players != 2:
        raise InvalidGameError(
            f"{_WHO}: {game.name} has {game.n_players} players, expected 2: for more players use psro(game, 'cce')"
        )
    if game.joint is not None:
        raise InvalidGameError(
            f"{_WHO}: {game.name} has a joint set, so that what a player may play depends on the other; expected a "
            "game with a set for each player"
        )
    for i, strategies in enumerate(game.sets):
        if not strategies.bounded:
            raise InvalidGameError(
                f"{_WHO}: player_{i} of {game.name} has the unbounded set {strategies}, on which a best response need "
                "not exist: bound it first"
            )
    profile = game.sample((_PROFILES,), generator=torch_stream(0, "zero_sum_check"))
    with torch.no_grad():
        u = game.utilities(profile).double()
    total = u.sum(-1)
    wrong = ~(total.abs() <= _ZERO * (1 + u.abs().amax(-1)))
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise InvalidGameError(
            f"{_WHO}: {game.name} is not zero-sum: at {[t[row].tolist() for t in profile]} the utilities are "
            f"{u[row].tolist()} and sum to {float(total[row]):.6g}; subtract half of a constant sum from both, and for "
            "a general-sum game use psro(game, 'cce')"
        )


def start_points(game: Game, start: Sequence[Tensor] | None) -> tuple[Tensor, ...]:
    """The points `(k_i, d_i)` that each player holds at first, float64.

    Args:
        game: The game.
        start: A point `(d_i,)` or points `(k_i, d_i)` a player; None for the centres of the sets.

    Raises:
        InvalidStrategyError: If the start has another form, or lies outside the sets.

    Example:
        >>> from strategic_envs.games.catalogue import game
        >>> start_points(game("forsaken"), [torch.tensor([1.0]), torch.tensor([[0.5], [-0.5]])])[1].shape
        torch.Size([2, 1])
    """
    if start is None:
        return tuple(s.centre().unsqueeze(0) for s in game.sets)
    points = tuple(game.validate_each(start))
    for i, (t, d) in enumerate(zip(points, game.dims, strict=True)):
        if t.ndim > 2 or not len(t):
            raise InvalidStrategyError(
                f"{game.name}, player_{i}: got a start of shape {tuple(t.shape)}, expected a point ({d},) or "
                f"points (k, {d}) with k >= 1"
            )
    return tuple(t.detach().double().reshape(-1, d) for t, d in zip(points, game.dims, strict=True))
