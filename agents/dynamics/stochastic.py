"""An oracle on fresh data: every call of the field sees a new draw of a stochastic game.

A game whose data are drawn (noise and samples of a GAN, a minibatch of examples) has a method `draw(generator)` that
gives the same game on fresh data, with the same sets. The game itself holds data of its own, which never change: it is
what measurements see.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, cast

import torch

from strategic_envs.agents.dynamics.oracle import GameOracle
from strategic_envs.errors import InvalidSettingError, OracleError
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream

__all__ = ["StochasticOracle"]


class _Drawn(Protocol):
    def draw(self, generator: torch.Generator) -> VIGame: ...


class StochasticOracle(GameOracle):
    """The oracle of a game whose data are drawn.

    Call number k of `field`, of all players or of one, sees the draw that (seed, k) names, so the same seed gives the
    same bytes on every device. Derivatives (`jvp`, `vjp`, `hessian`, `jacobian`) are those of the draw that the last
    call of `field` saw. Inside `uncounted()`, where callers measure, the fixed evaluation game answers in place of a
    draw, and the stream is as it was afterwards.

    Args:
        game: A game with a method `draw(generator) -> VIGame`.
        seed: The seed of the stream of draws, a non-negative integer.
        draws: How many draws were made before: `StochasticOracle(game, seed, draws=other.draws)` continues another.
        evaluation: What measurements see; the game itself, on its own data, if not given.

    Raises:
        OracleError: If the game has no method `draw`.
        InvalidSettingError: If the seed or the number of draws is no whole number from 0.

    Example:
        >>> from strategic_envs.games.wgan import wgan_linear
        >>> game = wgan_linear(mean=[1.0], batch=4)
        >>> oracle, x = StochasticOracle(game, seed=0), game.profile([0.0], [1.0])
        >>> first, second = oracle.field(x), oracle.field(x)
        >>> bool(first.flat().equal(second.flat())), oracle.draws
        (False, 2)
    """

    def __init__(self, game: VIGame, seed: int = 0, *, draws: int = 0, evaluation: VIGame | None = None) -> None:
        if not callable(getattr(game, "draw", None)):
            raise OracleError(
                f"{game.name}: got a game without a method draw(generator), expected one whose data are drawn: "
                "use GameOracle for a game without randomness"
            )
        for name, value in (("seed", seed), ("draws", draws)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise InvalidSettingError(f"{game.name}: got {name}={value!r}, expected a whole number from 0")
        super().__init__(game)
        self.source, self.seed, self.draws = game, seed, draws
        self.evaluation = game if evaluation is None else evaluation
        self._measuring = self._holding = False
        self._measured: tuple[Profile, Profile] | None = None
        if draws:  # derivatives continue on the draw that was seen last
            self.game = self._draw(draws - 1)

    def field(self, x: Profile, player: int | None = None) -> Profile:
        """The ascent field at x on fresh data; on the evaluation game inside `uncounted()`."""
        if not (self._measuring or self._holding):
            self._redraw()
        return super().field(x, player)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Calls inside this context see one and the same draw, the next one."""
        self._redraw()
        self._holding = True
        try:
            yield
        finally:
            self._holding = False

    def _redraw(self) -> None:
        self.game, self._last = self._draw(self.draws), None
        self.draws += 1

    def _draw(self, number: int) -> VIGame:
        # a generator of the CPU, so that every device sees the same data
        return cast(_Drawn, self.source).draw(torch_stream(self.seed, "draw", number))

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Calls inside this context are measurements: on the evaluation game, neither counted nor drawn."""
        kept = self.game, self._last, self._measuring
        self.game, self._last, self._measuring = self.evaluation, self._measured, True
        try:
            with super().uncounted():
                yield
        finally:
            self._measured = self._last
            self.game, self._last, self._measuring = kept
