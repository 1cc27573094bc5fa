"""The modules of stock PPO: the policies of this project's own learners, each with a critic beside it.

The policy parameters are those of the class that is extended, in the same order, so PPO's policies are judged by the
same code as every other learner's. One module a player, none shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from strategic_envs.agents.rllib.modules import MaskedNetwork, SoftmaxNetwork, perceptron
from strategic_envs.seeding import torch_stream

__all__ = ["GaussianPPO", "LogitsPPO", "MaskedPPO", "SoftmaxPPO", "policy_parameters"]


def policy_parameters(module: nn.Module) -> Tensor:
    """The parameters of the policy alone, without the critic's, in one vector (a copy)."""
    named = dict(module.named_parameters())
    return torch.cat([p.detach().reshape(-1) for name, p in named.items() if not name.startswith("critic.")])


class _Critic(ValueFunctionAPI):
    """A value function on the flat part of what a player observes."""

    critic: nn.Module

    def _build_critic(self, inputs: int, options: Mapping[str, Any]) -> None:
        stream = torch_stream(options["seed"], "critic", options["player"])
        self.critic = perceptron(inputs, options["hidden"], 1, stream)

    def compute_values(self, batch: Mapping[str, Any], embeddings: Any = None) -> Tensor:
        seen = batch[Columns.OBS]
        return self.critic(seen["observation"] if isinstance(seen, Mapping) else seen).squeeze(-1)


class SoftmaxPPO(SoftmaxNetwork, _Critic):
    """A softmax network and a critic."""

    def setup(self) -> None:
        super().setup()
        self._build_critic(self._inputs(), self.model_config)


class MaskedPPO(MaskedNetwork, _Critic):
    """A masked softmax network and a critic; illegal actions have probability zero."""

    def setup(self) -> None:
        super().setup()
        self._build_critic(self._inputs(), self.model_config)


class LogitsPPO(TorchRLModule, _Critic):
    """A vector of logits for a one-shot game, whatever is observed, and a critic.

    `model_config`: `start` (the logits), `hidden` (of the critic), `seed`, `player`.
    """

    def setup(self) -> None:
        self.vector = nn.Parameter(torch.tensor(self.model_config["start"], dtype=torch.float32))
        self._build_critic(int(self.observation_space.shape[0]), self.model_config)

    def _forward(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        return {Columns.ACTION_DIST_INPUTS: self.vector.expand(len(batch[Columns.OBS]), -1)}


class GaussianPPO(LogitsPPO):
    """A Gaussian with independent coordinates, whatever is observed, and a critic.

    The vector is the means followed by the logarithms of the standard deviations. `model_config`: `start` (the means),
    `deviation` (the standard deviation at the start), and as above.
    """

    def setup(self) -> None:
        super().setup()
        log_deviation = torch.full_like(self.vector, self.model_config["deviation"]).log()
        self.vector = nn.Parameter(torch.cat([self.vector.detach(), log_deviation]))
