"""Continuous games: the strategy is the vector itself, the field is exact, and steps are projected on the sets.

All derivatives of the field are there too, so every dynamic of this project runs on these games. A game whose data are
drawn (it has a method `draw`) is played on fresh data at every call, and judged on the data that it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np
from gymnasium.spaces import Box as BoxSpace
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.dynamics import GameOracle
from strategic_envs.agents.rllib.modules import Coordinates, flat_parameters
from strategic_envs.agents.rllib.tasks.base import DERIVATIVES, Draw, Options, Task
from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.gap import Gap
from strategic_envs.evaluators.local import local_nash_gap
from strategic_envs.games.kinds.game import Game
from strategic_envs.play import Independent
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream

__all__ = ["CoordinatesTask", "vector_spec"]

_NOTHING = BoxSpace(0.0, 1.0, (0,), np.float32)  # the observation of a one-shot game


def vector_spec(module: type[Coordinates], start: Tensor) -> RLModuleSpec:
    """The module of a player whose strategy is a vector."""
    vector = start.detach().cpu().numpy()
    space = BoxSpace(-np.inf, np.inf, vector.shape, vector.dtype.type)
    return RLModuleSpec(module, observation_space=_NOTHING, action_space=space, model_config={"start": vector})


class CoordinatesTask(Task):
    """A `Game` whose players learn points of their strategy sets."""

    parameterisation: ClassVar[str] = "coordinates"
    step_size: ClassVar[float] = 0.1
    fields: tuple[str, ...] = ("exact",)
    derivatives: ClassVar[tuple[str, ...]] = DERIVATIVES
    game: Game

    def __init__(self, game: Game, options: Options) -> None:
        if options.strategy == "logits":
            raise InvalidSettingError(
                f"{game.name}: got strategy='logits', expected 'coordinates' or 'network' for this game"
            )
        if callable(getattr(game, "draw", None)):
            self.fields = ("drawn", "exact")
        super().__init__(game, options)
        self.sets = game.sets
        self._oracle = GameOracle(game)
        self._drawn: tuple[int, GameOracle] | None = None

    def closed_form(self, draw: Draw | None = None) -> GameOracle:
        if draw is None or draw.data is None:
            return self._oracle
        if self._drawn is None or self._drawn[0] != draw.data:
            stream = torch_stream(self.options.seed, "draw", draw.data)  # as `StochasticOracle` draws
            self._drawn = draw.data, GameOracle(cast("Any", self.game).draw(stream))
        return self._drawn[1]

    def specs(self) -> tuple[RLModuleSpec, ...]:
        return tuple(vector_spec(Coordinates, t) for t in self._start())

    def _start(self) -> Profile:
        if self.options.start is not None:
            return self.game.profile(*self.options.start)
        return self.game.sample(generator=torch_stream(self.options.seed, "start"))

    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        game, x = self.closed_form(draw).game, self.point(modules)
        if len(players) == self.game.n_players:
            return list(game.field(x))
        return [game.field(x, i)[0] for i in players]

    def point(self, modules: Sequence[TorchRLModule]) -> Profile:
        return Profile(flat_parameters(m) for m in modules)

    def judgeable(self, modules: Sequence[TorchRLModule]) -> bool:
        return bool(self.game.utilities(self.point(modules)).isfinite().all())

    def play(self, modules: Sequence[TorchRLModule]) -> Independent:
        return Independent.pure(self.point(modules))

    def local_nash(self, modules: Sequence[TorchRLModule]) -> Gap:
        return local_nash_gap(self.game, self.point(modules))
