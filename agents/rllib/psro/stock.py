"""Replies by stock PPO or DQN of RLlib: a single-agent run against the frozen mixture, one for each reply.

A reply is one unit of work. Its draws follow from the seed, the iteration and the player, so a run that is restored
between two replies learns the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME
from ray.tune.registry import register_env
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.machine import PSROState, Reply
from strategic_envs.agents.rllib.generators import seeded
from strategic_envs.agents.rllib.psro.stock_env import make_mixture_env
from strategic_envs.agents.rllib.psro.stock_modules import WARM, LogitsQ, MaskedQ, SoftmaxQ, policy_of
from strategic_envs.agents.rllib.psro.tasks import Response
from strategic_envs.agents.rllib.tasks.gaussian import GaussianTask, played
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.seeding import child_seed, numpy_stream

if TYPE_CHECKING:
    from strategic_envs.agents.rllib.psro.config import DoubleOracleConfig

__all__ = ["StockReplies", "check_stock"]

_ENV = "strategic_envs_mixture"
_PLAYS = 16  # how often a one-shot game is played in an episode
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "ppo": {"envs": 32, "batch": 512, "lr": 3e-3, "num_epochs": 8, "vf_clip_param": 1e6},
    "dqn": {
        "envs": 8,
        "batch": 64,
        "steps": 1000,  # of the environment, at least, in an iteration
        "lr": 1e-3,
        "epsilon": ((0, 1.0), (4000, 0.05)),
        "target_network_update_freq": 250,
    },
}
_DEVIATION = 0.5  # of Gaussians at the start, where half the range of an action is 1


def check_stock(config: DoubleOracleConfig, task: Response) -> None:
    """Refuses what a stock algorithm cannot learn.

    Raises:
        InvalidGameError: If there is no environment to learn in, or DQN would have to choose among infinitely many
            actions.
        InvalidSettingError: If a setting is for learned replies alone.
    """
    name, game = config.oracle, task.game
    if config.game is not None or not isinstance(config.env, str):
        raise InvalidGameError(
            f"{game.name}: oracle={name!r} learns in an environment, got a game: give the environment's id, such as "
            'config.environment("continuous_game_v0", env_config={"game": ...})'
        )
    finite = isinstance(game, NormalFormGame | MarkovGame | TurnBasedGame)
    if (name == "dqn" and not finite) or (isinstance(game, NormalFormGame) and task.parameterisation == "coordinates"):
        raise InvalidGameError(
            f"{game.name}: oracle={name!r} got strategies that are {task.parameterisation}, expected finitely many "
            "actions: use oracle='learned' or 'exact'" + ("" if name == "ppo" else ", or 'ppo' on continuous games")
        )
    if task.tremble:
        raise InvalidSettingError(
            f"{game.name}: got tremble={task.tremble} with oracle={name!r}, which trains against the mixture itself: "
            "use 0, or oracle='learned'"
        )
    if isinstance(game, TurnBasedGame) and task.parameterisation != "network":
        raise InvalidSettingError(f"{game.name}: oracle={name!r} learns networks: leave out strategy='logits'")
    stock_config(name, config.oracle_options)


def stock_config(name: str, options: Mapping[str, Any]) -> AlgorithmConfig:
    """The configuration of a stock algorithm, as far as no game is known.

    Args:
        name: `"ppo"` or `"dqn"`.
        options: `envs` (copies of the environment), `batch` (steps of a batch) and settings of the algorithm's own
            `training`; for DQN also `steps` (of the environment, in an iteration at least) and `epsilon`.

    Raises:
        InvalidSettingError: If an option is unknown, or makes no sense to the algorithm.
    """
    wanted = {**_DEFAULTS[name], **options}
    envs, batch = wanted.pop("envs"), wanted.pop("batch")
    wanted.pop("epsilon", None)  # of the module
    config = DQNConfig() if name == "dqn" else PPOConfig()
    config.env_runners(num_env_runners=0, num_envs_per_env_runner=envs)
    config.learners(num_learners=0, num_gpus_per_learner=0)
    if name == "dqn":
        config.reporting(min_sample_timesteps_per_iteration=wanted.pop("steps"))
        wanted = {"double_q": True, "dueling": False, "num_atoms": 1, "n_step": 1, **wanted}
    else:
        wanted = {"minibatch_size": min(batch, 512), **wanted}
    try:
        return config.training(train_batch_size_per_learner=batch, **wanted)
    except (TypeError, ValueError) as error:
        raise InvalidSettingError(f"oracle={name!r}: got options {dict(options)}: {error}") from error


class StockReplies:
    """Trains one algorithm a reply and freezes its policy.

    Args:
        config: The configuration of PSRO.
        task: The task; it faces the mixture.
        count: Is told the environment steps that were made.
    """

    def __init__(self, config: DoubleOracleConfig, task: Response, count: Callable[[int], None]) -> None:
        self.config, self.task, self._count = config, task, count
        self.learns = task
        if isinstance(task.game, Game) and not isinstance(task.game, NormalFormGame):
            self.learns = GaussianTask(task.game, task.options, _DEVIATION)
        register_env(_ENV, make_mixture_env)

    def reply(self, player: int, state: PSROState) -> Reply:
        """The policy of an algorithm that was trained against the mixture that the task faces."""
        seed = child_seed(self.task.options.seed, "reply", state.iteration, player) % 2**31
        config = self._config(player, state, seed)
        with seeded(seed, "stock"):
            algorithm = config.build_algo()
            replay: Any = getattr(algorithm, "local_replay_buffer", None)
            if replay is not None:
                replay.rng = numpy_stream(seed, "replay")  # RLlib leaves it to chance
            try:
                result: dict[str, Any] = {}
                for _ in range(self.config.oracle_steps):
                    result = algorithm.train()
                group: Any = algorithm.learner_group
                weights = group.get_weights(module_ids=[DEFAULT_MODULE_ID])[DEFAULT_MODULE_ID]
                module: Any = algorithm.get_module()
                module.set_state(weights)  # the runner's copy is not always the newest
                policy = self._frozen(player, policy_of(module))
            finally:
                algorithm.stop()
        self._count(int(result[ENV_RUNNER_RESULTS][NUM_ENV_STEPS_SAMPLED_LIFETIME]))
        if self.config.payoffs == "sampled":
            return Reply(policy)
        return Reply(policy, self.task.met(player, self.task.strategy(player, policy)))

    def _frozen(self, player: int, parameters: Tensor) -> Tensor:
        """What joins the population: parameters as they are; of a Gaussian, the point that its mean plays."""
        if not isinstance(self.learns, GaussianTask):
            return parameters.clone()
        mean, _ = parameters.double().chunk(2)
        return played(self.task.game.sets[player], mean)

    def _config(self, player: int, state: PSROState, seed: int) -> AlgorithmConfig:
        game = self.task.game
        env = dict(self.config.env_config)
        discount = game.move_discount if isinstance(game, MarkovGame) else 1.0
        if isinstance(game, Game):  # nothing is carried over: longer episodes only save overhead
            env, discount = {"max_cycles": _PLAYS, **env}, 0.0
        choices, weights = self.task.opponents.support(player)
        mixture = {
            "environment": self.config.env,
            "options": env,
            "player": player,
            "strategies": [self.task.population(j).numpy() for j in self.task.others(player)],
            "choices": choices.numpy(),
            "weights": weights.numpy(),
        }
        config = stock_config(self.config.oracle, self.config.oracle_options).training(gamma=discount)
        config.environment(_ENV, env_config=mixture, disable_env_checking=True)
        return config.rl_module(rl_module_spec=self._module(player, state, seed)).debugging(seed=seed)

    def _module(self, player: int, state: PSROState, seed: int) -> RLModuleSpec:
        from strategic_envs.agents.rllib.ppo import ppo_modules

        spec = ppo_modules(self.learns, _DEVIATION)[self.task.players[player]]
        settings: dict[str, Any] = {**spec.model_config, "seed": seed}  # pyright: ignore[reportGeneralTypeIssues]
        start = self._start(player, state)
        if start is not None:
            settings["policy"] = start.numpy()
        module = WARM[spec.module_class or object]
        if self.config.oracle == "dqn":
            epsilon = {**_DEFAULTS["dqn"], **self.config.oracle_options}["epsilon"]
            settings["epsilon"] = [list(point) for point in epsilon] if isinstance(epsilon, tuple | list) else epsilon
            kinds = {MarkovGame: SoftmaxQ, TurnBasedGame: MaskedQ, NormalFormGame: LogitsQ}
            module = next(q for kind, q in kinds.items() if isinstance(self.task.game, kind))
        return RLModuleSpec(module, model_config=settings)

    def _start(self, player: int, state: PSROState) -> Tensor | None:
        """The parameters a reply starts from; None for fresh ones."""
        how = self.config.warm_start or "fresh"
        if how == "fresh" or isinstance(self.learns, GaussianTask):
            return None
        policies = state.populations[player]
        if how == "newest":
            return policies[-1]
        assert state.meta is not None
        mean = state.table.mean[player].movedim(player, 0).flatten(1)
        pays = mean @ state.meta.others(player).reshape(-1)
        best = policies[int(pays.argmax())]
        return best if how == "best" else 0.5 * best + 0.5 * self.task.fresh(state.iteration)[player].to(best)
