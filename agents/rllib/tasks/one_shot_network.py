"""One-shot games whose strategies are made by networks: what a small perceptron answers to a constant input.

The game is the one that is learnt in logits or in coordinates; only what is parametrised differs. So learners whose
players are layers have layers in these games too. The networks' first answers are the start of other learners.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import numpy as np
import torch
from gymnasium.spaces import Box as BoxSpace
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.rllib.charts import into, out_of
from strategic_envs.agents.rllib.modules import Constant
from strategic_envs.agents.rllib.rollout_one_shot import rollout_one_shot
from strategic_envs.agents.rllib.sampling import Scores, softmax_slope
from strategic_envs.agents.rllib.tasks.base import Draw, Options, Sample, Task
from strategic_envs.agents.rllib.tasks.coordinates import CoordinatesTask
from strategic_envs.agents.rllib.tasks.logits import LogitsTask
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.play import Independent
from strategic_envs.profile import Profile

__all__ = ["FiniteNetworkTask", "PointNetworkTask"]

_HIDDEN, _GAMES = (16,), 4096
_NOTHING = BoxSpace(0.0, 1.0, (0,), np.float32)  # the observation of a one-shot game


class _OneShotNetworkTask(Task):
    """What both kinds share."""

    parameterisation: ClassVar[str] = "network"
    step_size: ClassVar[float] = 0.1

    def specs(self) -> tuple[RLModuleSpec, ...]:
        hidden = _HIDDEN if self.options.hidden is None else self.options.hidden
        common = {"hidden": hidden, "seed": self.options.seed}
        return tuple(
            RLModuleSpec(
                Constant,
                observation_space=_NOTHING,
                action_space=BoxSpace(-np.inf, np.inf, (len(start),), np.float64),
                model_config={**common, "player": i, "start": start.double().numpy()},
            )
            for i, start in enumerate(self._starts())
        )

    def _starts(self) -> Sequence[Tensor]:
        """The outputs at the start."""
        raise NotImplementedError

    def _outputs(self, modules: Sequence[TorchRLModule]) -> list[Tensor]:
        return [cast("Constant", m).output() for m in modules]

    def scores(self, module: TorchRLModule, scores: Scores) -> Tensor:
        return cast("Constant", module).output().expand(len(scores.coefficient), -1)

    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        return self.estimate(modules, players, self.exact_scores(modules, draw))

    def play(self, modules: Sequence[TorchRLModule]) -> Independent:
        return Independent.pure(self.point(modules))

    def point(self, modules: Sequence[TorchRLModule]) -> Profile:
        raise NotImplementedError

    def _one_row(self, outputs: Sequence[Tensor], slopes: Sequence[Tensor]) -> Sample:
        rows = zip(outputs, slopes, strict=True)
        return Sample([Scores(torch.ones(1, 1).to(z), None, s.to(z).unsqueeze(0)) for z, s in rows], 0)


class FiniteNetworkTask(_OneShotNetworkTask):
    """A `NormalFormGame` whose players learn networks that give logits."""

    fields: tuple[str, ...] = ("sampled", "exact")
    game: NormalFormGame

    def __init__(self, game: NormalFormGame, options: Options) -> None:
        super().__init__(game, options)
        self.plain = LogitsTask(game, options)

    def _starts(self) -> Sequence[Tensor]:
        return self.plain.initial()

    def point(self, modules: Sequence[TorchRLModule]) -> Profile:
        return Profile(z.detach().cpu().softmax(-1) for z in self._outputs(modules))

    def sample(self, modules: Sequence[TorchRLModule], generator: torch.Generator, draw: Draw | None = None) -> Sample:
        games = self.options.games or _GAMES
        scores = rollout_one_shot(self.paid, self._outputs(modules), games, generator)
        seen = [Scores(torch.ones(1, 1).to(s.coefficient), None, s.coefficient) for s in scores]
        return Sample(seen, games)

    def exact_scores(self, modules: Sequence[TorchRLModule], draw: Draw | None) -> Sample:
        game: NormalFormGame = self.game if draw is None else self.paid
        x = self.point(modules)
        slopes = [softmax_slope(p[None], game.deviation_payoffs(x, i)[None])[0] for i, p in enumerate(x)]
        return self._one_row(self._outputs(modules), slopes)


class PointNetworkTask(_OneShotNetworkTask):
    """A continuous `Game` whose players learn networks that give points of their sets, by `charts.into`."""

    fields: tuple[str, ...] = ("exact",)
    game: Game

    def __init__(self, game: Game, options: Options) -> None:
        self.plain = CoordinatesTask(game, options)
        self.fields = self.plain.fields
        super().__init__(game, options)
        if getattr(game, "joint", None) is not None:
            raise InvalidSettingError(
                f"{game.name}: got strategy='network', but what a player may play depends on the others here: use "
                "'coordinates', which are projected together"
            )
        self._starts()  # refuses sets that no network reaches

    def _starts(self) -> Sequence[Tensor]:
        return [out_of(s, t) for s, t in zip(self.game.sets, self.plain.initial(), strict=True)]

    def point(self, modules: Sequence[TorchRLModule]) -> Profile:
        outputs = zip(self.game.sets, self._outputs(modules), strict=True)
        return Profile(s.project(into(s, z.detach().cpu())) for s, z in outputs)

    def judgeable(self, modules: Sequence[TorchRLModule]) -> bool:
        return bool(self.game.utilities(self.point(modules)).isfinite().all())

    def objective(self, module: TorchRLModule, scores: Scores) -> Tensor:
        return (scores.coefficient * self.scores(module, scores)).sum()

    def exact_scores(self, modules: Sequence[TorchRLModule], draw: Draw | None) -> Sample:
        game = cast("Game", self.plain.closed_form(draw).game)
        outputs = self._outputs(modules)
        leaves = [z.detach().cpu().requires_grad_() for z in outputs]
        x = Profile(into(s, z) for s, z in zip(self.game.sets, leaves, strict=True))
        shared = self.options.objective == "welfare" and draw is not None
        if shared and isinstance(game, CongestionGame):
            field = self.paid.field(x.detach())  # under marginal costs
        else:
            field = game.welfare_gradient(x.detach()) if shared else game.field(x.detach())
        slopes = [torch.autograd.grad(t, z, g)[0] for t, z, g in zip(x, leaves, field, strict=True)]
        return self._one_row(outputs, slopes)
