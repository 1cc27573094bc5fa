"""Configurations: a learning dynamic on a game, as an ordinary `AlgorithmConfig` of RLlib.

config = ExtragradientConfig().environment("duopoly_pricing_v0").training(step_size=0.5)
algorithm = config.build_algo()
row = algorithm.train()       # row["exploitability"], row["local_cce_gap"], ...
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec

from strategic_envs.agents.dynamics import Dynamic, dynamic, dynamics
from strategic_envs.agents.rllib.games import environment_game
from strategic_envs.agents.rllib.session import gpu_count
from strategic_envs.agents.rllib.tasks import Options, Task, task_for
from strategic_envs.errors import InvalidGameError, InvalidSettingError

if TYPE_CHECKING:
    from strategic_envs.agents.rllib.learner import GameLearner

__all__ = ["ExtragradientConfig", "GameDynamicsConfig", "IndependentGDConfig"]


class GameDynamicsConfig(AlgorithmConfig):
    """A dynamic of this project as an RLlib algorithm.

    Beside what every `AlgorithmConfig` has (`environment`, `env_runners`, `learners`, `debugging(seed=...)`, ...), see
    `training`. Evaluation happens in every iteration unless `evaluation(evaluation_interval=...)` says otherwise.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        from strategic_envs.agents.rllib.algorithm import GameDynamics

        super().__init__(algo_class=algo_class or GameDynamics)
        self.dynamic: str | Dynamic[Any] = "simultaneous_gradient"
        self.dynamic_options: Mapping[str, Any] = {}
        self.step_size: float | tuple[float, ...] | None = None
        self.steps_per_iteration = 1
        self.game: Any = None
        self.device: Literal["auto", "cpu", "cuda"] = "auto"
        self.field: Literal["exact", "sampled", "drawn"] | None = None
        self.strategy: Literal["logits", "coordinates"] | None = None
        self.games_per_sample: int | None = None
        self.horizon: int | None = None
        self.hidden: Sequence[int] | None = None
        self.start: Sequence[Sequence[float]] | None = None
        self.entropy: float | Sequence[float] | None = None
        self.exploring_starts: float | None = None
        self.num_env_runners = 0
        self.num_learners = 0
        self.seed = 0
        self.evaluation_interval = 1

    def training(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        *,
        dynamic: str | Dynamic[Any] = NotProvided,  # pyright: ignore[reportArgumentType]
        dynamic_options: Mapping[str, Any] = NotProvided,  # pyright: ignore[reportArgumentType]
        step_size: float | tuple[float, ...] | None = NotProvided,  # pyright: ignore[reportArgumentType]
        steps_per_iteration: int = NotProvided,  # pyright: ignore[reportArgumentType]
        game: Any = NotProvided,
        device: Literal["auto", "cpu", "cuda"] = NotProvided,  # pyright: ignore[reportArgumentType]
        field: Literal["exact", "sampled", "drawn"] | None = NotProvided,  # pyright: ignore[reportArgumentType]
        strategy: Literal["logits", "coordinates"] | None = NotProvided,  # pyright: ignore[reportArgumentType]
        games_per_sample: int = NotProvided,  # pyright: ignore[reportArgumentType]
        horizon: int = NotProvided,  # pyright: ignore[reportArgumentType]
        hidden: Sequence[int] = NotProvided,  # pyright: ignore[reportArgumentType]
        start: Sequence[Sequence[float]] = NotProvided,  # pyright: ignore[reportArgumentType]
        entropy: float | Sequence[float] | None = NotProvided,  # pyright: ignore[reportArgumentType]
        exploring_starts: float | None = NotProvided,  # pyright: ignore[reportArgumentType]
        **kwargs: Any,
    ) -> GameDynamicsConfig:
        """Sets what is learnt, how, and from how much play; what is not given keeps its value.

        Args:
            dynamic: The name of a dynamic (`dynamics()` lists them), or a dynamic with its settings.
            dynamic_options: Further settings of a dynamic that is given by name.
            step_size: The step size of a dynamic that is given by name; None takes the default of the kind of game, if
                the dynamic has none itself.
            steps_per_iteration: How many steps of the dynamic one training iteration takes.
            game: A game to train on, in place of an environment's id.
            device: Where learners work: `"auto"` takes a GPU if the cluster has one.
            field: `"exact"` or `"sampled"` gradients, or `"drawn"`: exact on fresh data at every call; None takes the
                default of the kind of game.
            strategy: `"logits"` or `"coordinates"`, where a game allows both.
            games_per_sample: How many games one sample plays, on each runner.
            horizon: Periods of a Markov game that is sampled.
            hidden: Sizes of the hidden layers of policy networks; `()` is linear.
            start: The start of strategies that are vectors, one list of numbers a player.
            entropy: In turn-based games, the weight of a player's own entropy, which it ascends beside its utility; or
                `(first, last, steps)`, how it falls. Gaps are of the game without it.
            exploring_starts: In turn-based games, the share of sampled games that start at any state.
            **kwargs: Those of `AlgorithmConfig.training`; `minibatch_size` is the number of rows of data in an
                iteration's minibatch where layers are players (0: all rows).

        Example:
            >>> IndependentGDConfig().training(step_size=0.1, hidden=(32,)).step_size
            0.1
        """
        super().training(**kwargs)
        own = {
            "dynamic": dynamic,
            "dynamic_options": dynamic_options,
            "step_size": step_size,
            "steps_per_iteration": steps_per_iteration,
            "game": game,
            "device": device,
            "field": field,
            "strategy": strategy,
            "games_per_sample": games_per_sample,
            "horizon": horizon,
            "hidden": hidden,
            "start": start,
            "entropy": entropy,
            "exploring_starts": exploring_starts,
        }
        for name, value in own.items():
            if value is not NotProvided:
                setattr(self, name, value)
        sizes = self.step_size if isinstance(self.step_size, tuple) else (self.step_size,)
        if not all(eta is None or 0 < eta < math.inf for eta in sizes):  # said here, not when it is built
            raise InvalidSettingError(f"got step_size={self.step_size!r}, expected a finite number > 0, such as 0.01")
        steps = self.steps_per_iteration
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise InvalidSettingError(f"got steps_per_iteration={steps!r}, expected a whole number >= 1")
        return self

    def validate(self) -> None:
        """Checks all settings, and fills in those that follow from the game and the cluster.

        Raises:
            UnknownNameError: If there is no such environment or dynamic.
            InvalidGameError: If the environment's game is none that RLlib trains here.
            InvalidSettingError: If a setting does not fit the game, or the dynamic refuses it.
            OracleError: If the dynamic needs derivatives that there are none of.
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
        """The task, if the dynamic can run on it; it starts nothing and makes nothing. Raises what `validate` does."""
        task = self.task()
        task.check(self.make_dynamic(task))
        return task

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
        )

    def task(self) -> Task:
        """The task: the game with the settings of this configuration."""
        if self.game is not None:
            return task_for(self.game, self.options())
        if not isinstance(self.env, str):
            raise InvalidGameError(
                f"got env={self.env!r} and no game, expected the id of an environment: "
                'config.environment("duopoly_pricing_v0"), or config.training(game=...)'
            )
        return task_for(environment_game(self.env, self.env_config), self.options())

    def make_dynamic(self, task: Task) -> Dynamic[Any]:
        """The dynamic that is run.

        Raises:
            UnknownNameError: If there is no dynamic of this name.
            InvalidSettingError: If it does not take the settings, or the step size is not one.
        """
        if isinstance(self.dynamic, Dynamic):
            return self.dynamic
        settings = {k: tuple(v) if isinstance(v, list) else v for k, v in self.dynamic_options.items()}
        if self.step_size is not None:
            settings = {"step_size": self.step_size, **settings}
        elif self.dynamic in dynamics():  # the default is of the kind of game, where the dynamic asks for one
            required = {f.name for f in fields(cast("Any", dynamics()[self.dynamic])) if f.default is MISSING}
            settings = {**dict.fromkeys(required & {"step_size"}, task.step_size), **settings}
        return dynamic(self.dynamic, **settings)

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


class IndependentGDConfig(GameDynamicsConfig):
    """Independent gradient: every player ascends its own utility, all at the same time."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class)
        self.dynamic = "simultaneous_gradient"


class ExtragradientConfig(GameDynamicsConfig):
    """Extragradient: look one step ahead, sample there anew, and move by the field found there."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class)
        self.dynamic = "extragradient"


def _own_module(agent: str, *args: Any, **kwargs: Any) -> str:
    return agent
