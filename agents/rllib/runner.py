"""The batched env runner: thousands of games in one call, on the device.

RLlib's stock runner steps environments one by one in Python. This one asks the task of its game for a whole sample,
which is tensor arithmetic from the first move to the last, and hands over the scores that a policy gradient needs. Its
draws are a function of the seed, its own index and the draw that was asked for, so a run that is continued, or a runner
that died and was started again, goes on with the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import torch
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.env import INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.framework import get_device
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED, NUM_ENV_STEPS_SAMPLED_LIFETIME

from strategic_envs.agents.rllib.modules import load_parameters
from strategic_envs.agents.rllib.tasks.base import Draw, Sample
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream

if TYPE_CHECKING:
    from strategic_envs.agents.rllib.config import GameDynamicsConfig

__all__ = ["BatchedEnvRunner"]


class BatchedEnvRunner(EnvRunner, Checkpointable):
    """Plays a batch of games at once with one module a player.

    Args:
        config: A `GameDynamicsConfig`.
    """

    config: GameDynamicsConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, *, config: GameDynamicsConfig, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        self.worker_index = self.worker_index or 0
        self.task = self.config.task()
        self.device = torch.device(get_device(self.config, math.ceil(self._gpus())))
        self.calls = 0
        self.make_module()

    def _gpus(self) -> float:
        if self.worker_index > 0:
            return self.config.num_gpus_per_env_runner or 0
        return (self.config.num_gpus_per_learner or 0) if self.config.num_learners == 0 else 0

    def make_module(self) -> None:
        self.module: Any = self.config.get_multi_rl_module_spec(inference_only=True).build()
        self.modules = [self.module[p].to(self.device) for p in self.task.players]

    def load(self, x: Profile) -> None:
        """Writes a profile into the modules; nothing decides whether it is new enough."""
        for module, flat in zip(self.modules, x, strict=True):
            load_parameters(module, flat.to(self.device))

    def sample(self, *, draw: Draw | None = None, **kwargs: Any) -> Sample:
        """Plays one batch of games.

        Args:
            draw: Which random numbers to use; by default the next that this runner has not used.
            **kwargs: What RLlib passes to other runners; the size of a batch is a setting of the task.

        Returns:
            The scores: tensors on the device from a local runner, NumPy arrays from a remote one.
        """
        if draw is None:
            draw, self.calls = Draw(-1, self.calls), self.calls + 1
        stream = torch_stream(
            self.task.options.seed, "runner", self.worker_index, draw.iteration, draw.call, device=self.device
        )
        with torch.no_grad():
            sample = self.task.sample(self.modules, stream, draw)
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED, sample.steps, reduce="sum")
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, sample.steps, reduce="lifetime_sum")
        return sample.numpy() if self.worker_index > 0 else sample

    def get_spaces(self) -> dict[str, tuple[gym.Space, gym.Space]]:
        spaces: dict[str, tuple[gym.Space, gym.Space]] = {
            p: (spec.observation_space, spec.action_space)  # pyright: ignore[reportAssignmentType]
            for p, spec in zip(self.task.players, self.task.specs(), strict=True)
        }
        whole = (
            gym.spaces.Dict({p: o for p, (o, _) in spaces.items()}),
            gym.spaces.Dict({p: a for p, (_, a) in spaces.items()}),
        )
        return {INPUT_ENV_SPACES: whole, **spaces}

    def get_metrics(self) -> Any:
        return self.metrics.reduce()

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        state: dict[str, Any] = {"calls": self.calls}
        if self._check_component(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.module.get_state(**kwargs)
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        self.calls = state.get("calls", self.calls)
        if COMPONENT_RL_MODULE in state:  # no sequence number is asked: weights that were sent are meant
            import ray

            weights = state[COMPONENT_RL_MODULE]
            self.module.set_state(ray.get(weights) if isinstance(weights, ray.ObjectRef) else weights)

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[()], dict[str, Any]]:
        return (), {"config": self.config, "worker_index": self.worker_index}

    def get_checkpointable_components(self) -> list[tuple[str, Checkpointable]]:
        return [(COMPONENT_RL_MODULE, self.module)]

    def assert_healthy(self) -> None:
        assert len(self.modules) == len(self.task.players)
