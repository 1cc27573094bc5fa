"""The modules of stock algorithms, whose policies are those of this project's own learners.

PPO's are those of `ppo_modules`, started at given parameters. DQN's put an action's value where the policy has its
logit, so the greedy policy is the one with the largest logit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ray.rllib.algorithms.dqn.dqn_learner import QF_NEXT_PREDS, QF_PREDS, QF_TARGET_NEXT_PREDS
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.utils import make_target_network
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, QNetAPI, TargetNetworkAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.utils.schedules.scheduler import Scheduler
from ray.rllib.utils.torch_utils import FLOAT_MIN
from torch import Tensor, nn

from strategic_envs.agents.rllib.modules import MaskedNetwork, SoftmaxNetwork
from strategic_envs.agents.rllib.ppo_modules import GaussianPPO, LogitsPPO, MaskedPPO, SoftmaxPPO

__all__ = ["WARM", "LogitsQ", "MaskedQ", "SoftmaxQ", "policy_of"]

_APART = ("critic.", "target.")  # beside the policy


def _policy(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if not name.startswith(_APART)}


def policy_of(module: nn.Module) -> Tensor:
    """The parameters of a module's policy alone, in one vector (a copy)."""
    return torch.cat([p.detach().reshape(-1) for p in _policy(module).values()])


class _Warm(TorchRLModule):
    """A module whose policy starts at `model_config["policy"]`, a vector of parameters, if there is one."""

    def setup(self) -> None:
        super().setup()
        flat = self.model_config.get("policy")
        if flat is None:
            return
        parameters = list(_policy(self).values())
        with torch.no_grad():
            for p, part in zip(parameters, torch.as_tensor(flat).split([p.numel() for p in parameters]), strict=True):
                p.copy_(part.view_as(p))


class WarmMaskedPPO(_Warm, MaskedPPO):
    """`MaskedPPO` from a given start."""


class WarmSoftmaxPPO(_Warm, SoftmaxPPO):
    """`SoftmaxPPO` from a given start."""


class WarmLogitsPPO(_Warm, LogitsPPO):
    """`LogitsPPO` from a given start."""


WARM: dict[type, type] = {
    MaskedPPO: WarmMaskedPPO,
    SoftmaxPPO: WarmSoftmaxPPO,
    LogitsPPO: WarmLogitsPPO,
    GaussianPPO: GaussianPPO,
}


class _Q(_Warm, QNetAPI, TargetNetworkAPI, InferenceOnlyAPI):
    """Action values by `self.network`, which a subclass builds; epsilon-greedy exploration among legal actions.

    `model_config`: that of the policy, and `epsilon`, a schedule over environment steps.
    """

    network: nn.Module

    def setup(self) -> None:
        super().setup()
        self.epsilon = Scheduler(fixed_value_or_schedule=self.model_config["epsilon"], framework="torch")

    def _values(self, network: nn.Module, seen: Any) -> Tensor:
        return network(seen)

    def _legal(self, seen: Any, values: Tensor) -> Tensor:
        return torch.ones_like(values)

    def _forward(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        return {Columns.ACTIONS: self._values(self.network, batch[Columns.OBS]).argmax(-1)}

    def _forward_exploration(self, batch: Mapping[str, Any], t: int = 0, **kwargs: Any) -> dict[str, Tensor]:
        seen = batch[Columns.OBS]
        values = self._values(self.network, seen)
        self.epsilon.update(t)
        anything = torch.multinomial(self._legal(seen, values), 1).squeeze(-1)
        explores = torch.rand(len(values)) < float(self.epsilon.get_current_value())
        return {Columns.ACTIONS: torch.where(explores, anything, values.argmax(-1))}

    def _forward_train(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        ahead = batch[Columns.NEXT_OBS]
        return {
            QF_PREDS: self._values(self.network, batch[Columns.OBS]),
            QF_NEXT_PREDS: self._values(self.network, ahead),
            QF_TARGET_NEXT_PREDS: self._values(self.target, ahead),
        }

    def compute_q_values(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        return {QF_PREDS: self._values(self.network, batch[Columns.OBS])}

    def forward_target(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        return {QF_PREDS: self._values(self.target, batch[Columns.OBS])}

    def make_target_networks(self) -> None:
        self.target: nn.Module = make_target_network(self.network)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        return [(self.network, self.target)]

    def get_non_inference_attributes(self) -> list[str]:
        return ["target"]


class SoftmaxQ(_Q, SoftmaxNetwork):
    """Values by a network over flat observations."""


class MaskedQ(_Q, MaskedNetwork):
    """Values by a network over what the mover sees; illegal actions have the lowest number there is."""

    def _values(self, network: nn.Module, seen: Any) -> Tensor:
        return network(seen["observation"]).masked_fill(~seen["action_mask"].bool(), FLOAT_MIN)

    def _legal(self, seen: Any, values: Tensor) -> Tensor:
        mask = seen["action_mask"].float()
        return mask + (mask.sum(-1, keepdim=True) == 0)  # a game that is over has no legal action; none is played there


class _Vector(nn.Module):
    """One value an action, whatever is seen."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.vector = nn.Parameter(start)

    def forward(self, seen: Tensor) -> Tensor:
        return self.vector.expand(len(seen), -1)


class _Values(TorchRLModule):
    """Values of a one-shot game's actions, zero at the start."""

    def setup(self) -> None:
        self.network = _Vector(torch.zeros(int(self.action_space.n)))  # pyright: ignore[reportAttributeAccessIssue]


class LogitsQ(_Q, _Values):
    """One value an action of a one-shot game."""
