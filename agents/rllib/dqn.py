"""Stock DQN of RLlib on the environments with finitely many actions, one value network a player, none shared.

RLlib samples, replays and updates (double DQN with prioritised replay, its defaults). Of that only the seed of the
replay buffer, which RLlib leaves to chance, and the order in which players draw random numbers are fixed.

What is judged is the *greedy* policy, the action of the largest value in every state, without the exploration that
training goes on with. A greedy policy is pure, so its local gaps are measured in the entries of the policy tables.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.dqn.torch.dqn_torch_learner import DQNTorchLearner
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.policy.policy import PolicySpec
from ray.rllib.utils.replay_buffers.multi_agent_prioritized_episode_buffer import (
    MultiAgentPrioritizedEpisodeReplayBuffer,
)

from strategic_envs.agents.rllib.games import environment_game
from strategic_envs.agents.rllib.order import OrderedModules
from strategic_envs.agents.rllib.ppo import own_module
from strategic_envs.agents.rllib.psro.stock_modules import LogitsQ, MaskedQ, SoftmaxQ
from strategic_envs.agents.rllib.register import register
from strategic_envs.agents.rllib.session import gpu_count
from strategic_envs.agents.rllib.tasks import Options, Task, task_for
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.seeding import numpy_stream

__all__ = ["SeededEpisodeReplayBuffer", "dqn_config", "dqn_task"]

_PLAYS = 16  # how often a one-shot game is played in an episode
_MODULES: dict[type, type] = {MarkovGame: SoftmaxQ, TurnBasedGame: MaskedQ, NormalFormGame: LogitsQ}


class SeededEpisodeReplayBuffer(MultiAgentPrioritizedEpisodeReplayBuffer):
    """RLlib's prioritised replay buffer with a seed, asked for the players in the order of their names.

    Args:
        capacity: Steps that it holds.
        seed: The seed of what is replayed.
        **settings: Those of RLlib's buffer.
    """

    def __init__(self, capacity: int = 50_000, *, seed: int = 0, **settings: Any) -> None:
        super().__init__(capacity, **settings)
        self.rng = numpy_stream(seed, "replay")

    def sample(self, *args: Any, modules_to_sample: list[Any] | None = None, **kwargs: Any) -> Any:
        ordered = modules_to_sample or sorted(self._module_to_indices)
        return super().sample(*args, modules_to_sample=ordered, **kwargs)


def dqn_task(environment: str, env: Mapping[str, Any], options: Options) -> Task:
    """How DQN's values of an environment are judged: as the logits of a policy, of which the largest is played.

    Raises:
        UnknownNameError: If there is no such environment.
        InvalidGameError: If there are infinitely many actions.
    """
    game = environment_game(environment, env)
    if not isinstance(game, MarkovGame | TurnBasedGame | NormalFormGame):
        raise InvalidGameError(
            f"{game.name}: dqn got a continuous game, expected one with finitely many actions, whose values it learns: "
            "use ppo, or one of the dynamics"
        )
    return task_for(game, options)


def dqn_config(
    environment: str,
    env: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    envs: int = 8,
    batch: int = 64,
    steps: int = 1000,
    epsilon: object = ((0, 1.0), (10_000, 0.05)),
    capacity: int = 50_000,
    hidden: Sequence[int] = (64, 64),
    device: str = "auto",
    **training: Any,
) -> DQNConfig:
    """The configuration of stock DQN on an environment, in one process.

    Args:
        environment: The id of the environment.
        env: Its options.
        seed: The seed of starts and draws.
        envs: Copies of the environment that are stepped together; there is one update each time all have made a step.
        batch: Transitions in an update.
        steps: Environment steps in an iteration, at least.
        epsilon: How the share of random actions falls: pairs of environment steps and the share then, the first at 0.
        capacity: Steps that are kept for replay.
        hidden: Hidden layers of the value networks.
        device: Where the learner works: `"auto"` takes a GPU if the cluster has one, `"cpu"`, `"cuda"`.
        **training: Settings of `DQNConfig.training`, such as `lr`, `target_network_update_freq`, `n_step`.

    Raises:
        UnknownNameError: If there is no such environment.
        InvalidGameError: If there are infinitely many actions.
        InvalidSettingError: If a setting makes no sense.

    Example:
        >>> dqn_config("duopoly_pricing_v0", lr=0.001).gamma
        0.95
    """
    env = dict(env or {})
    for name, value in [("envs", envs), ("batch", batch), ("steps", steps), ("capacity", capacity)]:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidSettingError(f"dqn: got {name}={value!r}, expected a whole number >= 1")
    if device not in ("auto", "cpu", "cuda"):
        raise InvalidSettingError(f"dqn: got device={device!r}, expected 'auto', 'cpu' or 'cuda'")
    register()
    task = dqn_task(environment, env, Options(seed=seed, hidden=tuple(hidden)))
    discount = task.game.move_discount if isinstance(task.game, MarkovGame) else 1.0
    if isinstance(task.game, NormalFormGame):  # nothing is carried over: longer episodes only save overhead
        env, discount = {"max_cycles": _PLAYS, **env}, 0.0
    config = DQNConfig().environment(environment, env_config=env, disable_env_checking=True)
    config.env_runners(num_env_runners=0, num_envs_per_env_runner=envs)
    config.learners(num_learners=0, num_gpus_per_learner=1 if device != "cpu" and gpu_count() else 0)
    config.reporting(min_sample_timesteps_per_iteration=steps)
    config.multi_agent(policies=dict.fromkeys(task.players, PolicySpec()), policy_mapping_fn=own_module)
    modules = _modules(task, _schedule(epsilon))
    config.rl_module(rl_module_spec=MultiRLModuleSpec(multi_rl_module_class=OrderedModules, rl_module_specs=modules))
    config.debugging(seed=seed)
    replay = {
        "type": f"{__name__}.SeededEpisodeReplayBuffer",
        "capacity": capacity,
        "alpha": 0.6,
        "beta": 0.4,
        "seed": seed,
    }
    stock = {"double_q": True, "dueling": False, "num_atoms": 1, "n_step": 1, "gamma": discount}
    try:
        return config.training(
            learner_class=DQNTorchLearner,
            train_batch_size_per_learner=batch,
            replay_buffer_config=replay,
            **{**stock, **training},
        )
    except (TypeError, ValueError) as error:
        raise InvalidSettingError(f"dqn: got settings {training}: {error}") from error


def _modules(task: Task, epsilon: list[list[float]]) -> dict[str, RLModuleSpec]:
    """The value network of each player, with the start of the policy network that judges it."""
    module = next(q for kind, q in _MODULES.items() if isinstance(task.game, kind))
    specs = zip(task.players, task.specs(), strict=True)
    return {
        player: RLModuleSpec(module, model_config={**dict(spec.model_config or {}), "epsilon": epsilon})  # pyright: ignore[reportArgumentType, reportCallIssue]
        for player, spec in specs
    }


def _schedule(epsilon: Any) -> list[list[float]]:
    """The points of a schedule as RLlib takes them."""
    try:
        points = [[int(at), float(share)] for at, share in epsilon]
    except (TypeError, ValueError):
        points = []
    rising = all(a[0] < b[0] for a, b in itertools.pairwise(points))
    if len(points) < 2 or points[0][0] != 0 or not rising or not all(0 <= share <= 1 for _, share in points):
        raise InvalidSettingError(
            f"dqn: got epsilon={epsilon!r}, expected at least two pairs of environment steps and a share in [0, 1], "
            "the first at step 0, such as [[0, 1.0], [10000, 0.05]]"
        )
    return points
