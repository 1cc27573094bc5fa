"""What every algorithm here is configured with: which game, where its field comes from, and what strategies are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec

from strategic_envs.agents.rllib.games import environment_game
from strategic_envs.agents.rllib.session import gpu_count
from strategic_envs.agents.rllib.tasks import Options, Task, task_for
from strategic_envs.errors import InvalidGameError, InvalidSettingError

if TYPE_CHECKING:
    from strategic_envs.agents.rllib.learner import GameLearner

__all__ = ["GameConfig"]


class GameConfig(AlgorithmConfig):
    """An algorithm of this project on a game of an environment; subclasses say by which rule players learn.

    Beside what every `AlgorithmConfig` has (`environment`, `env_runners`, `learners`, `debugging(seed=...)`, ...), see
    `training`. Evaluation happens in every iteration unless `evaluation(evaluation_interval=...)` says otherwise.
    """

    def __init__(self, algo_class: type) -> None:
        super().__init__(algo_class=algo_class)
        self.steps_per_iteration = 1
        self.game: Any = None
        self.device: Literal["auto", "cpu", "cuda"] = "auto"
        self.field: Literal["exact", "sampled", "drawn"] | None = None
        self.strategy: Literal["logits", "coordinates", "network"] | None = None
        self.games_per_sample: int | None = None
        self.horizon: int | None = None
        self.hidden: Sequence[int] | None = None
        self.start: Sequence[Sequence[float]] | None = None
        self.entropy: float | Sequence[float] | None = None
        self.exploring_starts: float | None = None
        self.wardrop: bool | None = None
        self.num_env_runners = 0
        self.num_learners = 0
        self.seed = 0
        self.evaluation_interval = 1

    def training(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        *,
        steps_per_iteration: int = NotProvided,  # pyright: ignore[reportArgumentType]
        game: Any = NotProvided,
        device: Literal["auto", "cpu", "cuda"] = NotProvided,  # pyright: ignore[reportArgumentType]
        field: Literal["exact", "sampled", "drawn"] | None = NotProvided,  # pyright: ignore[reportArgumentType]
        strategy: Literal["logits", "coordinates", "network"] | None = NotProvided,  # pyright: ignore[reportArgumentType]
        games_per_sample: int = NotProvided,  # pyright: ignore[reportArgumentType]
        horizon: int = NotProvided,  # pyright: ignore[reportArgumentType]
        hidden: Sequence[int] = NotProvided,  # pyright: ignore[reportArgumentType]
        start: Sequence[Sequence[float]] = NotProvided,  # pyright: ignore[reportArgumentType]
        entropy: float | Sequence[float] | None = NotProvided,  # pyright: ignore[reportArgumentType]
        exploring_starts: float | None = NotProvided,  # pyright: ignore[reportArgumentType]
        wardrop: bool | None = NotProvided,  # pyright: ignore[reportArgumentType]
        **kwargs: Any,
    ) -> Any:
        """Sets what is learnt and from how much play; what is not given keeps its value.

        Args:
            steps_per_iteration: How many steps of the rule one training iteration takes.
            game: A game to train on, in place of an environment's id.
            device: Where learners work: `"auto"` takes a GPU if the cluster has one.
            field: `"exact"` or `"sampled"` gradients, or `"drawn"`: exact on fresh data at every call; None takes the
                default of the kind of game.
            strategy: In one-shot games `"logits"`, `"coordinates"`, or `"network"`: what a small network with a
                constant input gives; in turn-based games `"logits"`, or a network when it is None.
            games_per_sample: How many games one sample plays, on each runner.
            horizon: Periods of a Markov game that is sampled.
            hidden: Sizes of the hidden layers of policy networks; `()` is linear.
            start: The start of strategies that are vectors, one list of numbers a player.
            entropy: In turn-based games, the weight of a player's own entropy, which it ascends beside its utility; or
                `(first, last, steps)`, how it falls. Gaps are of the game without it.
            exploring_starts: In turn-based games, the share of sampled games that start at any state.
            wardrop: Where layers are players, whether every evaluation also measures the network's Wardrop gaps
                (`strategic_envs.evaluators.figures.wardrop_figures`); they can cost more than the training.
            **kwargs: Those of `AlgorithmConfig.training`; `minibatch_size` is the number of rows of data in an
                iteration's minibatch where layers are players (0: all rows).
        """
        super().training(**kwargs)
        self._take(
            steps_per_iteration=steps_per_iteration,
            game=game,
            device=device,
            field=field,
            strategy=strategy,
            games_per_sample=games_per_sample,
            horizon=horizon,
            hidden=hidden,
            start=start,
            entropy=entropy,
            exploring_starts=exploring_starts,
            wardrop=wardrop,
        )
        steps = self.steps_per_iteration
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise InvalidSettingError(f"got steps_per_iteration={steps!r}, expected a whole number >= 1")
        return self

    def _take(self, **given: Any) -> None:
        """Keeps the settings that were given."""
        for name, value in given.items():
            if value is not NotProvided:
                setattr(self, name, value)

    def validate(self) -> None:
        """Checks all settings, and fills in those that follow from the game and the cluster.

        Raises:
            UnknownNameError: If there is no such environment, or no rule of this name.
            InvalidGameError: If the environment's game is none that RLlib trains here.
            InvalidSettingError: If a setting does not fit the game, or the rule refuses it.
            OracleError: If the rule needs derivatives that there are none of.
        """
        from strategic_envs.agents.rllib.null_runner import NullEnvRunner
        from strategic_envs.agents.rllib.runner import BatchedEnvRunner

        task = self.check()
        self.policies = dict.fromkeys(task.players, (None, None, None, None))  # pyright: ignore[reportAttributeAccessIssue]
        self.policy_mapping_fn = _own_module
        self.env_runner_cls = BatchedEnvRunner if self.plays(task) else NullEnvRunner
        if not self.plays(task):
            self.num_env_runners = 0
        self._choose_device()
        super().validate()

    def plays(self, task: Task) -> bool:
        """Whether runners have anything to play."""
        return task.sampled

    def check(self) -> Task:
        """The task, if the rule can run on it; it starts nothing and makes nothing. Raises what `validate` does."""
        return self.task()

    def _choose_device(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise InvalidSettingError(f"device: got {self.device!r}, expected 'auto', 'cpu' or 'cuda'")
        gpus = gpu_count() if self.device != "cpu" else 0
        if self.device == "cuda" and gpus == 0:
            raise InvalidSettingError("device: got 'cuda', but the cluster has no GPU: use 'auto' or 'cpu'")
        if gpus == 0:
            self.num_gpus_per_learner = 0
        elif not self.num_gpus_per_learner:
            self.num_gpus_per_learner = 1
        if gpus and self.num_learners == 0 and not torch.cuda.is_available():
            self.num_learners = 1  # the GPU is on another machine: the learner goes there

    def options(self) -> Options:
        """The settings of the task."""
        return Options(
            seed=0 if self.seed is None else self.seed,
            strategy=self.strategy,
            field=self.field,
            games=self.games_per_sample,
            horizon=self.horizon,
            minibatch=self.minibatch_size,
            hidden=None if self.hidden is None else tuple(self.hidden),
            start=self.start,
            entropy=self.entropy,
            exploring_starts=self.exploring_starts,
            wardrop=self.wardrop,
        )

    def trained_game(self) -> Any:
        """The game that is trained on.

        Raises:
            UnknownNameError: If there is no such environment.
            InvalidGameError: If neither an environment nor a game was given.
        """
        if self.game is not None:
            return self.game
        if not isinstance(self.env, str):
            raise InvalidGameError(
                f"got env={self.env!r} and no game, expected the id of an environment: "
                'config.environment("duopoly_pricing_v0"), or config.training(game=...)'
            )
        return environment_game(self.env, self.env_config)

    def task(self) -> Task:
        """The task: the game with the settings of this configuration."""
        return task_for(self.trained_game(), self.options())

    def get_default_learner_class(self) -> type[GameLearner]:
        from strategic_envs.agents.rllib.learner import GameLearner

        return GameLearner

    def get_default_rl_module_spec(self) -> MultiRLModuleSpec:
        return self.get_multi_rl_module_spec()

    def get_multi_rl_module_spec(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *, env: Any = None, spaces: Any = None, inference_only: bool = False
    ) -> MultiRLModuleSpec:
        task = self.task()
        specs = dict(zip(task.players, task.specs(), strict=True))
        for spec in specs.values():
            spec.inference_only = inference_only
        return MultiRLModuleSpec(rl_module_specs=specs, inference_only=inference_only)


def _own_module(agent: str, *args: Any, **kwargs: Any) -> str:
    return agent
