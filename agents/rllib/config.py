"""Configurations: a learning dynamic on a game, as an ordinary `AlgorithmConfig` of RLlib.

config = ExtragradientConfig().environment("duopoly_pricing_v0").training(step_size=0.5)
algorithm = config.build_algo()
row = algorithm.train()       # row["exploitability"], row["local_cce_gap"], ...
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, cast

from ray.rllib.algorithms.algorithm_config import NotProvided

from strategic_envs.agents.dynamics import Dynamic, dynamic, dynamics
from strategic_envs.agents.rllib.game_config import GameConfig
from strategic_envs.agents.rllib.tasks import Task
from strategic_envs.errors import InvalidSettingError

__all__ = ["ExtragradientConfig", "GameDynamicsConfig", "IndependentGDConfig"]


class GameDynamicsConfig(GameConfig):
    """A dynamic of this project as an RLlib algorithm: see `training`, and that of `GameConfig`."""

    def __init__(self, algo_class: type | None = None) -> None:
        from strategic_envs.agents.rllib.algorithm import GameDynamics

        super().__init__(algo_class or GameDynamics)
        self.dynamic: str | Dynamic[Any] = "simultaneous_gradient"
        self.dynamic_options: Mapping[str, Any] = {}
        self.step_size: float | tuple[float, ...] | None = None

    def training(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        *,
        dynamic: str | Dynamic[Any] = NotProvided,  # pyright: ignore[reportArgumentType]
        dynamic_options: Mapping[str, Any] = NotProvided,  # pyright: ignore[reportArgumentType]
        step_size: float | tuple[float, ...] | None = NotProvided,  # pyright: ignore[reportArgumentType]
        **kwargs: Any,
    ) -> GameDynamicsConfig:
        """Sets what is learnt, how, and from how much play; what is not given keeps its value.

        Args:
            dynamic: The name of a dynamic (`dynamics()` lists them), or a dynamic with its settings.
            dynamic_options: Further settings of a dynamic that is given by name.
            step_size: The step size of a dynamic that is given by name; None takes the default of the kind of game, if
                the dynamic has none itself.
            **kwargs: Those of `GameConfig.training`, such as `field`, `games_per_sample`, `hidden`, `start`.

        Example:
            >>> IndependentGDConfig().training(step_size=0.1, hidden=(32,)).step_size
            0.1
        """
        super().training(**kwargs)
        self._take(dynamic=dynamic, dynamic_options=dynamic_options, step_size=step_size)
        sizes = self.step_size if isinstance(self.step_size, tuple) else (self.step_size,)
        if not all(eta is None or 0 < eta < math.inf for eta in sizes):  # said here, not when it is built
            raise InvalidSettingError(f"got step_size={self.step_size!r}, expected a finite number > 0, such as 0.01")
        return self

    def check(self) -> Task:
        task = self.task()
        task.check(self.make_dynamic(task))
        return task

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
