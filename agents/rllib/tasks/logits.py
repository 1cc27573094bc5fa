"""One-shot finite games: the strategy is a vector of logits, the mixed strategy their softmax."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import torch
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.dynamics import GameOracle
from strategic_envs.agents.rllib.modules import Logits, flat_parameters
from strategic_envs.agents.rllib.rollout_one_shot import rollout_one_shot
from strategic_envs.agents.rllib.sampling import Scores
from strategic_envs.agents.rllib.tasks.base import DERIVATIVES, Draw, Sample, Task
from strategic_envs.agents.rllib.tasks.coordinates import vector_spec
from strategic_envs.errors import InvalidStrategyError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.play import Independent
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream

__all__ = ["LogitsTask"]

_GAMES = 4096
_START_SCALE = 0.5  # standard deviation of the logits at the start


class LogitsTask(Task):
    """A `NormalFormGame` whose players learn logits.

    The exact field goes through the softmax: with p the mixed strategy and q the payoffs of pure actions, the gradient
    in the logits is `p (q - <p, q>)`.
    """

    parameterisation: ClassVar[str] = "logits"
    step_size: ClassVar[float] = 1.0
    fields: tuple[str, ...] = ("sampled", "exact")
    derivatives: ClassVar[tuple[str, ...]] = DERIVATIVES
    game: NormalFormGame

    def closed_form(self, draw: Draw | None = None) -> GameOracle | None:
        return None if self.sampled else self._oracle

    @cached_property
    def _oracle(self) -> GameOracle:
        through = functools.partial(_through_softmax, self.game)
        return GameOracle(Game(through, self.sets, name=f"{self.game.name} in logits"))

    @property
    def remedy(self) -> str:
        return "choose field='exact', or a dynamic that needs the field alone" if self.sampled else super().remedy

    def specs(self) -> tuple[RLModuleSpec, ...]:
        return tuple(vector_spec(Logits, t) for t in self._start())

    def _start(self) -> list[Tensor]:
        if self.options.start is None:
            stream = torch_stream(self.options.seed, "start")
            return [_START_SCALE * torch.randn(a, generator=stream, dtype=torch.float64) for a in self.game.n_actions]
        start = [torch.as_tensor(v, dtype=torch.float64) for v in self.options.start]
        if [tuple(v.shape) for v in start] != [(a,) for a in self.game.n_actions] or not all(
            v.isfinite().all() for v in start
        ):
            raise InvalidStrategyError(
                f"{self.game.name}: got start={self.options.start!r}, expected finite logits, "
                f"{' and '.join(map(str, self.game.n_actions))} of them, one list a player"
            )
        return start

    def sample(self, modules: Sequence[TorchRLModule], generator: torch.Generator, draw: Draw | None = None) -> Sample:
        games = self.options.games or _GAMES
        return Sample(rollout_one_shot(self.game, [flat_parameters(m) for m in modules], games, generator), games)

    def scores(self, module: TorchRLModule, scores: Scores) -> Tensor:
        (vector,) = module.parameters()
        return vector.expand(len(scores.coefficient), -1)

    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        x = self.point(modules)
        whole = len(players) == self.game.n_players  # at once: congestion games share most of the work
        payoffs = self.game.field(x) if whole else [self.game.deviation_payoffs(x, i) for i in players]
        return [x[i] * (q - (x[i] * q).sum()) for i, q in zip(players, payoffs, strict=True)]

    def point(self, modules: Sequence[TorchRLModule]) -> Profile:
        return Profile(flat_parameters(m).softmax(-1) for m in modules)

    def play(self, modules: Sequence[TorchRLModule]) -> Independent:
        return Independent.pure(self.point(modules))


def _through_softmax(game: NormalFormGame, x: tuple[Tensor, ...]) -> Tensor:
    """The utilities as functions of logits."""
    return game.utilities([t.softmax(-1) for t in x])
