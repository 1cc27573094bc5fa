"""Modules in a fixed order, whatever the hash seed of the process.

RLlib walks over *sets* of agent ids, whose order differs from one process to the next, and draws actions and shuffles
batches in that order. One seed would then give different runs in different processes. Here modules are put in the order
of their names where random numbers are drawn for them; nothing else is changed.
"""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.policy.sample_batch import MultiAgentBatch

__all__ = ["OrderedModules", "OrderedPPOLearner"]


class OrderedModules(MultiRLModule):
    """Modules that are asked, and hence draw their actions, in the order of their names."""

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return super()._forward_exploration({m: batch[m] for m in sorted(batch)}, **kwargs)


class OrderedPPOLearner(PPOTorchLearner):
    """RLlib's learner of PPO, which shuffles the modules' batches in the order of their names."""

    def _make_batch_if_necessary(self, training_data: Any) -> Any:
        batch = super()._make_batch_if_necessary(training_data)
        if not isinstance(batch, MultiAgentBatch):
            return batch
        return MultiAgentBatch({m: batch.policy_batches[m] for m in sorted(batch.policy_batches)}, batch.count)
