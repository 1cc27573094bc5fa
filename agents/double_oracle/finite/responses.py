"""Best responses in a double oracle: by looking at everything, or by asking a function that knows them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from strategic_envs.agents.double_oracle.finite.restricted import RestrictedGame
from strategic_envs.agents.double_oracle.finite.ties import TieBreak
from strategic_envs.errors import InvalidStrategyError

__all__ = ["Asked", "FullScan", "Replies", "Respond"]

Respond = Callable[[int, np.ndarray, np.ndarray], tuple[int, float]]
"""`(player, strategies (k,), weights (k,))` of the opponent's play to the response and its payoff to player 0."""

_TIES = 1e-12  # of the largest payoff: nearer payoffs tie


@runtime_checkable
class Replies(Protocol):
    """A player's best responses to what the opponent plays."""

    exact: bool

    def __call__(self, player: int, weights: np.ndarray) -> tuple[float, list[int]]:
        """The payoff to player 0 of the best response to these weights, and the responses that may be added."""
        ...


class FullScan:
    """Looks at the payoff of every strategy.

    Args:
        game: The restricted game, which keeps whole lines.
        rule: Which of several best responses comes first.
        stream: What a random rule draws from.
        count: How many responses to return at most; beyond the best, only what gains something.
    """

    exact = True

    def __init__(self, game: RestrictedGame, rule: TieBreak, stream: np.random.Generator, count: int = 1) -> None:
        self.game, self.rule, self.stream, self.count = game, rule, stream, count

    def __call__(self, player: int, weights: np.ndarray) -> tuple[float, list[int]]:
        """See `Replies`."""
        payoffs = self.game.payoffs(player, weights)
        gains, held = (payoffs if player == 0 else -payoffs), self.game.masks[player]
        best = float(gains.max())
        near = _TIES * max(self.game.scale, abs(best))
        order = self.rule(np.flatnonzero(gains >= best - near), held, self.stream)
        if self.count > 1:
            better = np.flatnonzero((gains < best - near) & (gains > gains[held].max() + near))
            order = np.concatenate([order, better[np.argsort(-gains[better], kind="stable")]])
        return (best if player == 0 else -best), order[: self.count].tolist()


class Asked:
    """Asks a function of the user, and checks what it says against the entries that are known.

    Args:
        game: The restricted game.
        respond: The function.
    """

    exact = False

    def __init__(self, game: RestrictedGame, respond: Respond) -> None:
        self.game, self.respond = game, respond

    def __call__(self, player: int, weights: np.ndarray) -> tuple[float, list[int]]:
        """See `Replies`.

        Raises:
            InvalidStrategyError: If the answer is no strategy, or is worth less than one that is held.
        """
        played = weights > 0
        opposing = np.asarray(self.game.held[1 - player])[played]
        strategy, value = self.respond(player, opposing, weights[played])
        who, size = f"{self.game.access.name}, player_{player}", self.game.access.shape[player]
        if isinstance(strategy, bool) or not isinstance(strategy, int | np.integer) or not math.isfinite(value):
            raise InvalidStrategyError(
                f"{who}: got the response {strategy!r} worth {value!r}, expected a number and a finite payoff"
            )
        if strategy < 0 or (size is not None and strategy >= size):
            raise InvalidStrategyError(f"{who}: got the response {strategy}, expected a number in [0, {size})")
        sign, matrix = (1, self.game.matrix) if player == 0 else (-1, -self.game.matrix.T)
        known = matrix @ weights
        k = int(known.argmax())
        if sign * value < known[k] - 1e-9 * max(1.0, self.game.scale):
            raise InvalidStrategyError(
                f"{who}: the best response was said to pay player_0 {value:.9g}, but strategy "
                f"{self.game.held[player][k]}, which is held, makes that {sign * known[k]:.9g}: mend `respond`"
            )
        return float(value), [int(strategy)]
