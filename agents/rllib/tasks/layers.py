"""Dynamic games (the layers of a network as players): the strategy is the layer's weights, on an iteration's minibatch.

All calls of one iteration see one minibatch, whose rows depend on the seed and the iteration alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.dynamics import GameOracle
from strategic_envs.agents.rllib.modules import Coordinates, flat_parameters
from strategic_envs.agents.rllib.tasks.base import Draw, Options, Task
from strategic_envs.agents.rllib.tasks.coordinates import vector_spec
from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.figures import wardrop_figures
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.stages import named_weights
from strategic_envs.play import Independent
from strategic_envs.profile import Profile

__all__ = ["LayersTask"]

_MINIBATCH = 128


class LayersTask(Task):
    """A `DynamicGame` whose players, the layers, learn their weights; the field is minus the loss gradient."""

    parameterisation: ClassVar[str] = "weights"
    step_size: ClassVar[float] = 0.1
    fields: tuple[str, ...] = ("exact",)
    networks: ClassVar[bool] = True
    derivatives: ClassVar[tuple[str, ...]] = ("jvp", "vjp", "welfare_gradient")  # matrices would be too large
    game: DynamicGame

    def __init__(self, game: DynamicGame, options: Options) -> None:
        if options.strategy in ("logits", "network"):
            raise InvalidSettingError(
                f"{game.name}: got strategy={options.strategy!r}, expected the layers' weights: leave it out"
            )
        super().__init__(game, options)
        self.sets = game.sets
        self._minibatch: tuple[int, DynamicGame] | None = None

    def specs(self) -> tuple[RLModuleSpec, ...]:
        start = self.options.start
        weights = self.game.initial(self.options.seed) if start is None else self.game.profile(*start)
        return tuple(vector_spec(Coordinates, t) for t in weights)

    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        game, x = self.game if draw is None else self.minibatch(draw.iteration), self._weights(modules)
        if len(players) == self.game.n_players:
            return list(game.field(x))
        return [game.field(x, i)[0] for i in players]

    def closed_form(self, draw: Draw | None = None) -> GameOracle:
        return GameOracle(self.game if draw is None else self.minibatch(draw.iteration))

    def minibatch(self, iteration: int) -> DynamicGame:
        """The game on the data of one iteration."""
        if self._minibatch is None or self._minibatch[0] != iteration:
            rows = len(self.game.inputs)
            size = _MINIBATCH if self.options.minibatch is None else self.options.minibatch
            if size == 0 or size >= rows:
                return self.game
            self._minibatch = (iteration, self.game.minibatch(iteration, size, self.options.seed))
        return self._minibatch[1]

    def _weights(self, modules: Sequence[TorchRLModule]) -> Profile:
        return Profile(flat_parameters(m) for m in modules)

    def judgeable(self, modules: Sequence[TorchRLModule]) -> bool:
        return bool(self.game.utilities(self._weights(modules)).isfinite().all())

    def figures(self, modules: Sequence[TorchRLModule]) -> dict[str, float]:
        return wardrop_figures(self.game, self._weights(modules)) if self.options.wardrop else {}

    def named_weights(self, x: Profile) -> dict[str, Tensor]:
        return named_weights(self.game.stages, x)

    def play(self, modules: Sequence[TorchRLModule]) -> Independent:
        return Independent.pure(self._weights(modules))
