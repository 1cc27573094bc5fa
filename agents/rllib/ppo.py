"""Stock PPO of RLlib on the environments of this project, through our wrappers, judged like every other learner.

RLlib samples, estimates advantages and updates. Of that only the order is fixed in which players draw random numbers
(see `order.py`). One module a player, none shared. What is added is the judgement: after every iteration the present
policies become play, and play has gaps.

What a strategy is, and in which parameters the local gaps are measured (`local_gap_by`):

- finite one-shot games: a vector of logits, exact gradient through the softmax;
- games with states: a (masked) softmax network, exact gradient of the utility by dynamic programming over all states,
  not the one PPO estimates: no clipping, no normalised advantages, no critic;
- continuous games: a Gaussian, see `tasks/gaussian.py`: play is many of its draws, so no gap is exact;
- layers of a network: a Gaussian over weight updates; the strategy judged is the weights that an episode of the mean
  updates reaches, with the gradient of the loss in them, as for every other learner of layers.

The local CCE gap is the norm of the mean of these gradients over the policies of all iterations, the largest player's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.policy.policy import PolicySpec

from strategic_envs.agents.rllib.games import environment_game
from strategic_envs.agents.rllib.modules import MaskedNetwork, SoftmaxNetwork
from strategic_envs.agents.rllib.order import OrderedModules, OrderedPPOLearner
from strategic_envs.agents.rllib.ppo_modules import GaussianPPO, LogitsPPO, MaskedPPO, SoftmaxPPO
from strategic_envs.agents.rllib.register import register
from strategic_envs.agents.rllib.session import gpu_count
from strategic_envs.agents.rllib.tasks import Options, Task, task_for
from strategic_envs.agents.rllib.tasks.gaussian import GaussianTask
from strategic_envs.agents.rllib.tasks.layers import LayersTask
from strategic_envs.agents.rllib.tasks.logits import LogitsTask
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.larger_number import LargerNumber

__all__ = ["own_module", "ppo_config", "ppo_modules", "ppo_task"]

_PLAYS = 16  # how often a one-shot game is played in an episode


def ppo_task(environment: str, env: Mapping[str, Any], options: Options, deviation: float = 0.5) -> Task:
    """How PPO's policies of an environment are judged.

    Args:
        environment: The id of the environment.
        env: Its options.
        options: Seed, hidden layers and start of the policies.
        deviation: The standard deviation that Gaussians start with, where half the range of an action is 1.

    Raises:
        UnknownNameError: If there is no such environment.
        InvalidGameError: If PPO has no policy that could play the game.
    """
    game = environment_game(environment, env)
    if isinstance(game, LargerNumber) and game.kind == "integers":
        raise InvalidGameError(
            f"{game.name}: PPO draws real numbers or one of finitely many, not whole numbers without a bound: "
            "give a bound n, or kind='reals'"
        )
    if isinstance(game, Game) and not isinstance(game, NormalFormGame | DynamicGame):
        return GaussianTask(game, options, deviation)
    return task_for(game, options)


def ppo_modules(task: Task, deviation: float = 0.5) -> dict[str, RLModuleSpec]:
    """The module of each player: the policy as the task describes it, and a critic.

    RLlib fills in the spaces, which are those of the environment.
    """
    options = task.options
    critic = {"hidden": (64, 64) if options.hidden is None else tuple(options.hidden), "seed": options.seed}
    kinds: dict[type, type[TorchRLModule]] = {SoftmaxNetwork: SoftmaxPPO, MaskedNetwork: MaskedPPO}
    specs: dict[str, RLModuleSpec] = {}
    for i, (player, spec) in enumerate(zip(task.players, task.specs(), strict=True)):
        own: Any = spec.model_config
        settings: dict[str, Any] = {**critic, "player": i, **own}
        module = kinds.get(spec.module_class or object, LogitsPPO)
        if isinstance(task, GaussianTask):
            module, settings = GaussianPPO, {**settings, "start": task.means()[i].tolist(), "deviation": deviation}
        elif isinstance(task, LayersTask):
            means = [0.0] * len(settings["start"])
            module, settings = GaussianPPO, {**settings, "start": means, "deviation": deviation}
        specs[player] = RLModuleSpec(module, model_config=settings)
    return specs


def own_module(agent: Any, *args: Any, **kwargs: Any) -> str:
    """Every agent has the module of its own name."""
    return str(agent)


class _Numpy(RLlibCallback):
    """Turns episodes to arrays once, after sampling: RLlib's runner does so again at every step for all episodes."""

    def on_sample_end(self, *, samples: Any, **kwargs: Any) -> None:
        for episode in samples:
            episode.to_numpy()


def ppo_config(
    environment: str,
    env: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    envs: int = 32,
    batch: int = 512,
    deviation: float = 0.5,
    hidden: Sequence[int] = (64, 64),
    device: str = "auto",
    runners: int = 0,
    **training: Any,
) -> PPOConfig:
    """The configuration of stock PPO on an environment, in one process unless `runners` says otherwise.

    Args:
        environment: The id of the environment.
        env: Its options.
        seed: The seed of starts and draws.
        envs: Copies of the environment that a runner steps together.
        batch: Environment steps in an iteration.
        deviation: The standard deviation that Gaussians start with, where half the range of an action is 1.
        hidden: Hidden layers of policy and critic.
        device: Where the learner works: `"auto"` takes a GPU if the cluster has one, `"cpu"`, `"cuda"`.
        runners: Runner processes beside this one; 0 samples in this process, which alone is repeatable.
        **training: Settings of `PPOConfig.training`, such as `lr`, `num_epochs`, `minibatch_size`.

    Raises:
        UnknownNameError: If there is no such environment.
        InvalidSettingError: If a setting makes no sense.

    Example:
        >>> ppo_config("tic_tac_toe_v0", lr=0.001).lr
        0.001
    """
    env = dict(env or {})
    for name, value, least in [("envs", envs, 1), ("batch", batch, 1), ("runners", runners, 0)]:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidSettingError(f"ppo: got {name}={value!r}, expected a whole number >= {least}")
    if not (math.isfinite(deviation) and deviation > 0):
        raise InvalidSettingError(f"ppo: got deviation={deviation!r}, expected a number > 0")
    if device not in ("auto", "cpu", "cuda"):
        raise InvalidSettingError(f"ppo: got device={device!r}, expected 'auto', 'cpu' or 'cuda'")
    register()
    task = ppo_task(environment, env, Options(seed=seed, hidden=tuple(hidden)), deviation)
    discount = task.game.move_discount if isinstance(task.game, MarkovGame) else 1.0
    if isinstance(task, GaussianTask | LogitsTask):  # nothing is carried over: longer episodes only save overhead
        env, discount = {"max_cycles": _PLAYS, **env}, 0.0
    settings = {"gamma": discount, "minibatch_size": min(batch, 512), "num_epochs": 8, "lr": 3e-3, **training}
    config = PPOConfig().environment(environment, env_config=env, disable_env_checking=True)
    config.env_runners(num_env_runners=runners, num_envs_per_env_runner=envs, episodes_to_numpy=False)
    config.learners(num_learners=0, num_gpus_per_learner=1 if device != "cpu" and gpu_count() else 0)
    config.multi_agent(policies=dict.fromkeys(task.players, PolicySpec()), policy_mapping_fn=own_module)
    modules = ppo_modules(task, deviation)
    config.rl_module(rl_module_spec=MultiRLModuleSpec(multi_rl_module_class=OrderedModules, rl_module_specs=modules))
    config.callbacks(_Numpy).debugging(seed=seed)
    return config.training(learner_class=OrderedPPOLearner, train_batch_size_per_learner=batch, **settings)
