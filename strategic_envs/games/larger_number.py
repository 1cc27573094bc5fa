"""Guess the larger number: `u_0 = sign(x_0 - x_1) = -u_1`, a game without any equilibrium when numbers have no bound.

Over all integers (or reals) both players' best responses are worth 1 to any play whatever, while their utilities sum to
zero: NashConv is always 2, so there is no approximate coarse correlated equilibrium either, let alone a Nash
equilibrium. Truncated at n the unique equilibrium is that both name n, with value 0. (The infinite Littlestone
dimension of thresholds is the reason; Hanneke, Livni and Moran 2021, Daskalakis and Golowich 2022.) The smooth version
replaces the sign by `tanh(smooth * (x_0 - x_1))`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.play import BestResponse, Empirical, Independent
from strategic_envs.profile import Profile
from strategic_envs.sets import Box

__all__ = ["GAMES", "LargerNumber", "larger_number"]

_SOURCE = "derived here; Daskalakis and Golowich (STOC 2022) for what makes such games unsolvable"


class LargerNumber(Game):
    """The game on real numbers `[0, n]` or `[0, inf)`, or on all integers from 1.

    The sign is constant wherever it is differentiable, so the field is zero everywhere: gradient play never moves.
    With `smooth` the utilities are differentiable.

    Args:
        n: The largest number, or None for no bound.
        kind: `"reals"`, or `"integers"` (only without a bound: the truncated game is a `NormalFormGame`).
        smooth: The slope k of `tanh(k (x_0 - x_1))`; None is the sign itself.

    Raises:
        InvalidGameError: If `n < 1`, the slope is not positive, or bounded integers are asked for.

    Example:
        >>> game = LargerNumber(None, "reals")
        >>> game.best_response(0, Independent.pure(game.profile([3.0], [7.0]))).value
        1.0
    """

    def __init__(self, n: float | None = None, kind: str = "reals", smooth: float | None = None) -> None:
        _check(n, kind, smooth)
        if kind == "integers" and n is not None:
            raise InvalidGameError("larger_number: integers up to n are a matrix game: call larger_number(n) for it")
        self.n, self.kind, self.smooth = n, kind, smooth
        low, high = (1.0 if kind == "integers" else 0.0), (math.inf if n is None else float(n))
        equilibria = () if n is None else (Equilibrium.pure("nash", [high, high]),)
        values = {"nash_conv": 2.0} if n is None else {"value": 0.0}
        note = "No equilibrium of any kind: both best responses are worth 1 against any play." if n is None else ""
        known = Known(equilibria=equilibria, values=values, complete=True, source=_SOURCE, note=note)
        utilities = functools.partial(_compare, smooth)
        super().__init__(utilities, [Box(low, high), Box(low, high)], name="larger_number", known=known)

    def validate(self, x: Sequence[Tensor]) -> Profile:
        """Returns the profile if every number lies in its set, and is whole where the game is about integers.

        Raises:
            InvalidStrategyError: Naming the player and the value.
        """
        profile = super().validate(x)
        for i, t in enumerate(profile if self.kind == "integers" else ()):
            if bool((t != t.round()).any()):
                got = t[t != t.round()][0].item()
                raise InvalidStrategyError(f"{self.name}, player_{i}: got {got}, expected a whole number: round it")
        return profile

    def sample(
        self, shape: Sequence[int] = (), *, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float64
    ) -> Profile:
        """Profiles of batch shape `shape` drawn from the sets, whole numbers where the game is about integers."""
        drawn = super().sample(shape, generator=generator, dtype=dtype)
        return drawn.map(torch.round) if self.kind == "integers" else drawn

    def best_response(self, player: int, play: Empirical | Independent) -> BestResponse:
        """The exact best response: a larger number is never worse.

        Up to n, that is n itself. Without a bound the value is the supremum 1, and `attained` is False: no number is
        best against every play. The `strategy` returned is one more than the largest number in this (finite) play,
        rounded down, which beats it (from 2^53 on, the next number that there is in float64).

        Args:
            player: Who responds.
            play: What both play; the responder's own part is not looked at.
        """
        play = play if isinstance(play, Independent) else play.marginals()
        points, weights = play.points[1 - player].squeeze(-1).double(), play.weights[1 - player].double()
        if self.n is None:
            largest = points[weights > 0].max().reshape(1)
            strategy = torch.maximum(largest.floor() + 1, largest.nextafter(torch.full_like(largest, math.inf)))
            return BestResponse(strategy, 1.0, 1.0, 1.0, exact=True, attained=False)
        best = torch.full((1,), float(self.n), dtype=torch.float64)
        value = float((weights * _advantage(best - points, self.smooth)).sum() / weights.sum())
        return BestResponse(best, value, value, value, exact=True, attained=True)


def _advantage(difference: Tensor, smooth: float | None) -> Tensor:
    return difference.sign() if smooth is None else (smooth * difference).tanh()


def _compare(smooth: float | None, x: tuple[Tensor, ...]) -> Tensor:
    u = _advantage((x[0] - x[1]).squeeze(-1), smooth)
    return torch.stack([u, -u], dim=-1)


def _check(n: float | None, kind: str, smooth: float | None) -> None:
    if kind not in ("integers", "reals"):
        raise InvalidGameError(f"larger_number: got kind={kind!r}, expected 'integers' or 'reals'")
    if n is not None and (isinstance(n, bool) or not isinstance(n, int | float) or not 1 <= n < math.inf):
        raise InvalidGameError(
            f"larger_number: got n={n!r}, expected a number n >= 1, or None for numbers without a bound"
        )
    if n is not None and kind == "integers" and n != int(n):
        raise InvalidGameError(f"larger_number: got n={n!r}, expected a whole number: integers run from 1 to n")
    if smooth is not None and not 0 < smooth < math.inf:
        raise InvalidGameError(f"larger_number: got smooth={smooth!r}, expected a slope > 0, or None for the sign")


def larger_number(
    n: float | None = 10, kind: str = "integers", smooth: float | None = None
) -> NormalFormGame | LargerNumber:
    """Guess the larger number, truncated at n or without a bound.

    Args:
        n: The largest number, at least 1; None for no bound.
        kind: `"integers"` (from 1) or `"reals"` (from 0).
        smooth: The slope k of `tanh(k (x_0 - x_1))`; None is the sign itself.

    Returns:
        Integers up to n: a `NormalFormGame` with n actions a player, action a naming the number a + 1. Otherwise a
        `LargerNumber`.

    Raises:
        InvalidGameError: If `n < 1`, the kind is unknown, or the slope is not positive.

    Example:
        >>> larger_number(3).payoffs[0].tolist()
        [[0.0, -1.0, -1.0], [1.0, 0.0, -1.0], [1.0, 1.0, 0.0]]
        >>> larger_number(None).known().values["nash_conv"]
        2.0
    """
    _check(n, kind, smooth)
    if kind == "reals" or n is None:
        return LargerNumber(n, kind, smooth)
    numbers = torch.arange(1, int(n) + 1, dtype=torch.float64)
    matrix = _advantage(numbers.unsqueeze(1) - numbers, smooth)
    last = [0.0] * (int(n) - 1) + [1.0]
    known = Known(
        equilibria=(Equilibrium.pure("nash", [last, last]),), values={"value": 0.0}, complete=True, source=_SOURCE
    )
    return NormalFormGame.zero_sum(matrix, name="larger_number", known=known)


GAMES = {"larger_number": larger_number}
