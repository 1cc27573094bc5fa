"""Markov games: softmax networks over what a player observes, with sampled or exact policy gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box as BoxSpace
from gymnasium.spaces import Discrete
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.rllib.modules import SoftmaxNetwork
from strategic_envs.agents.rllib.rollout_markov import Policy, rollout_markov
from strategic_envs.agents.rllib.sampling import Scores, softmax_slope
from strategic_envs.agents.rllib.tasks.base import Draw, Sample, Task, flat_gradient
from strategic_envs.evaluators.tabular import tabular_fields, welfare_fields
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.play import TabularPlay
from strategic_envs.profile import Profile

__all__ = ["MarkovTask"]

_GAMES, _HORIZON, _HIDDEN = 256, 100, (64, 64)


class MarkovTask(Task):
    """A `MarkovGame` whose players learn softmax networks.

    Sampled gradients are of the discounted payoff over the horizon; exact ones, by dynamic programming over all states,
    of the infinite sum. Both are averages per period. The gradient of everybody's weighted utilities is exact.
    """

    parameterisation: ClassVar[str] = "network"
    step_size: ClassVar[float] = 1.0
    fields: tuple[str, ...] = ("sampled", "exact")
    game: MarkovGame

    def specs(self) -> tuple[RLModuleSpec, ...]:
        hidden = _HIDDEN if self.options.hidden is None else tuple(self.options.hidden)
        first = torch.zeros(1, dtype=torch.int64)
        return tuple(
            RLModuleSpec(
                SoftmaxNetwork,
                observation_space=BoxSpace(-np.inf, np.inf, (self.game.observe(first, i).shape[-1],), np.float32),
                action_space=Discrete(self.game.n_actions[i]),
                model_config={"hidden": hidden, "seed": self.options.seed, "player": i},
            )
            for i in range(self.game.n_players)
        )

    def sample(self, modules: Sequence[TorchRLModule], generator: torch.Generator, draw: Draw | None = None) -> Sample:
        games, horizon = self.options.games or _GAMES, self.options.horizon or _HORIZON
        policies = [_inference(m) for m in modules]
        return Sample(rollout_markov(self.paid, policies, games, horizon, generator), games * horizon)

    def scores(self, module: TorchRLModule, scores: Scores) -> Tensor:
        return module.forward_train({Columns.OBS: scores.obs})[Columns.ACTION_DIST_INPUTS]

    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        tables = self._tables(modules)
        slopes = tabular_fields(self.game, TabularPlay(tuple(t.detach().cpu() for t in tables)))
        return [flat_gradient(tables[i], modules[i], slopes[i].to(tables[i])) for i in players]

    def exact_scores(self, modules: Sequence[TorchRLModule], draw: Draw | None) -> Sample:
        with torch.no_grad():
            policies = [t.detach().cpu() for t in self._tables(modules)]
        shared = self.options.objective == "welfare" and draw is not None
        fields = welfare_fields if shared else tabular_fields
        slopes = fields(self.game, TabularPlay(tuple(policies)))
        states = torch.arange(self.game.n_states)
        scores = [
            Scores(self.game.observe(states, i), None, softmax_slope(policies[i], slope))
            for i, slope in enumerate(slopes)
        ]
        return Sample(scores, 0).to(next(modules[0].parameters()).device)

    def provides(self, what: str) -> bool:
        return what == "welfare_gradient" or super().provides(what)

    def derivative(
        self, what: str, modules: Sequence[TorchRLModule], draw: Draw | None, arguments: Sequence[Any]
    ) -> Profile | Tensor:
        if what != "welfare_gradient":
            return super().derivative(what, modules, draw, arguments)
        (weights,) = arguments
        tables = self._tables(modules)
        play = TabularPlay(tuple(t.detach().cpu() for t in tables))
        slopes = welfare_fields(self.game, play, weights)
        return Profile(flat_gradient(t, m, s.to(t)) for t, m, s in zip(tables, modules, slopes, strict=True))

    def _tables(self, modules: Sequence[TorchRLModule]) -> list[Tensor]:
        """Every player's policy `(S, A_i)` in float64, differentiable in its module's parameters."""
        tables = []
        for i, module in enumerate(modules):
            states = torch.arange(self.game.n_states, device=next(module.parameters()).device)
            tables.append(self.scores(module, Scores(self.game.observe(states, i), None, states)).double().softmax(-1))
        return tables

    def play(self, modules: Sequence[TorchRLModule]) -> TabularPlay:
        return TabularPlay(tuple(t.detach().cpu() for t in self._tables(modules)))


def _inference(module: TorchRLModule) -> Policy:
    def policy(obs: Tensor) -> Tensor:
        return module.forward_inference({Columns.OBS: obs})[Columns.ACTION_DIST_INPUTS]

    return policy
