"""Turn-based games: masked softmax networks over what the mover sees, with sampled or exact policy gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box as BoxSpace
from gymnasium.spaces import Dict as DictSpace
from gymnasium.spaces import Discrete
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.rllib.modules import MaskedNetwork
from strategic_envs.agents.rllib.rollout_turn_based import MaskedPolicy, rollout_turn_based
from strategic_envs.agents.rllib.sampling import Scores
from strategic_envs.agents.rllib.tasks.base import Draw, Sample, Task, flat_gradient
from strategic_envs.evaluators.tabular import tabular_fields
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.play import TabularPlay

__all__ = ["TurnBasedTask"]

_GAMES, _HIDDEN = 1024, (64, 64)


class TurnBasedTask(Task):
    """A `TurnBasedGame` whose players learn masked networks.

    Sampled gradients come from whole games; exact ones from one sweep over all states.
    """

    parameterisation: ClassVar[str] = "network"
    step_size: ClassVar[float] = 1.0
    fields: tuple[str, ...] = ("sampled", "exact")
    game: TurnBasedGame

    def specs(self) -> tuple[RLModuleSpec, ...]:
        hidden = _HIDDEN if self.options.hidden is None else tuple(self.options.hidden)
        actions = self.game.n_actions
        first = torch.tensor([self.game.initial()], dtype=torch.int64)
        return tuple(
            RLModuleSpec(
                MaskedNetwork,
                observation_space=DictSpace(
                    {
                        "observation": BoxSpace(-np.inf, np.inf, (self.game.observe(first, i).shape[-1],), np.float32),
                        "action_mask": BoxSpace(0, 1, (actions,), np.int8),
                    }
                ),
                action_space=Discrete(actions),
                model_config={"hidden": hidden, "seed": self.options.seed, "player": i},
            )
            for i in range(self.game.n_players)
        )

    def sample(self, modules: Sequence[TorchRLModule], generator: torch.Generator) -> Sample:
        policies = [_inference(m) for m in modules]
        return Sample(*rollout_turn_based(self.game, policies, self.options.games or _GAMES, generator))

    def scores(self, module: TorchRLModule, scores: Scores) -> Tensor:
        seen = {"observation": scores.obs, "action_mask": scores.mask}
        return module.forward_train({Columns.OBS: seen})[Columns.ACTION_DIST_INPUTS]

    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        tables = self._tables(modules)
        slopes = tabular_fields(self.game, TabularPlay(tuple(t.detach().cpu() for t in tables)))
        return [flat_gradient(tables[i], modules[i], slopes[i].to(tables[i])) for i in players]

    def _tables(self, modules: Sequence[TorchRLModule]) -> list[Tensor]:
        """Every player's policy `(S, A)` in float64, differentiable; rows of terminal states are uniform."""
        graph = self.game.state_graph()
        mask = graph.legal | graph.terminal.unsqueeze(-1)
        tables = []
        for i, module in enumerate(modules):
            device = next(module.parameters()).device
            scores = Scores(self.game.observe(graph.states, i).to(device), mask.to(device), mask)
            tables.append(self.scores(module, scores).double().softmax(-1))
        return tables

    def play(self, modules: Sequence[TorchRLModule]) -> TabularPlay:
        return TabularPlay(tuple(t.detach().cpu() for t in self._tables(modules)))


def _inference(module: TorchRLModule) -> MaskedPolicy:
    def policy(obs: Tensor, mask: Tensor) -> Tensor:
        seen = {"observation": obs, "action_mask": mask}
        return module.forward_inference({Columns.OBS: seen})[Columns.ACTION_DIST_INPUTS]

    return policy
