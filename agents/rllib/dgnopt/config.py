"""The configuration of DGNOpt, as an ordinary `AlgorithmConfig` of RLlib.

config = DGNOptConfig().environment("layers_v0").training(info="FNE", curvature="kfac", lr=0.03)
algorithm = config.build_algo()
row = algorithm.train()       # row["utility_0"] is minus the loss, row["outcome"] says whether steps were refused
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ray.rllib.algorithms.algorithm_config import NotProvided

from strategic_envs.agents.rllib.dgnopt.learner import DGNOptLearner
from strategic_envs.agents.rllib.dgnopt.teams import teams
from strategic_envs.agents.rllib.game_config import GameConfig
from strategic_envs.agents.rllib.psro.sums import constant_sum
from strategic_envs.agents.rllib.tasks import Options, Task
from strategic_envs.agents.rllib.tasks.layers import LayersTask
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.vi import VIGame

__all__ = ["DGNOptConfig"]


class DGNOptConfig(GameConfig):
    """DGNOpt as an RLlib algorithm: see `training`, that of `GameConfig`, and `strategic_envs.agents.dgnopt.DGNOpt`.

    Where layers are the players of the environment (`layers_v0`), the network is one team. Everywhere else players
    have policy networks, in one-shot games with a constant input, and the layers of each are a team that ascends what
    the player does.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        from strategic_envs.agents.rllib.dgnopt.algorithm import DGNOptAlgorithm

        super().__init__(algo_class or DGNOptAlgorithm)
        self.objective = "own"
        self.info = "FNE"
        self.curvature = "kfac"
        self.lr = 0.03
        self.weight_decay = 0.0
        self.damping: float | None = None
        self.cap = 0.5
        self.value_hessian = "mc"
        self.rank = 1
        self.value = "none"
        self.statistic = "ef"
        self.cooperation = "exact"
        self.cg_iterations = 5
        self.fictitious = 1
        self.alignment: str | Mapping[str, int] | None = None
        self.momentum = 0.0
        self.kl_clip: float | str | None = None
        self.curvature_options: Mapping[str, Any] = {}

    def training(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        *,
        objective: str = NotProvided,  # pyright: ignore[reportArgumentType]
        info: str = NotProvided,  # pyright: ignore[reportArgumentType]
        curvature: str = NotProvided,  # pyright: ignore[reportArgumentType]
        lr: float = NotProvided,  # pyright: ignore[reportArgumentType]
        weight_decay: float = NotProvided,  # pyright: ignore[reportArgumentType]
        damping: float | None = NotProvided,  # pyright: ignore[reportArgumentType]
        cap: float = NotProvided,  # pyright: ignore[reportArgumentType]
        value_hessian: str = NotProvided,  # pyright: ignore[reportArgumentType]
        rank: int = NotProvided,  # pyright: ignore[reportArgumentType]
        value: str = NotProvided,  # pyright: ignore[reportArgumentType]
        statistic: str = NotProvided,  # pyright: ignore[reportArgumentType]
        cooperation: str = NotProvided,  # pyright: ignore[reportArgumentType]
        cg_iterations: int = NotProvided,  # pyright: ignore[reportArgumentType]
        fictitious: int = NotProvided,  # pyright: ignore[reportArgumentType]
        alignment: str | Mapping[str, int] | None = NotProvided,  # pyright: ignore[reportArgumentType]
        momentum: float = NotProvided,  # pyright: ignore[reportArgumentType]
        kl_clip: float | str | None = NotProvided,  # pyright: ignore[reportArgumentType]
        curvature_options: Mapping[str, Any] = NotProvided,  # pyright: ignore[reportArgumentType]
        **kwargs: Any,
    ) -> DGNOptConfig:
        """Sets what players ascend, and how their layers play; what is not given keeps its value.

        Args:
            objective: What a player with a policy ascends: its `"own"` utility, or the group-rational `"welfare"`, the
                sum of everybody's. The layers of one network share its loss, so there both are the same.
            info: `OLNE`, `FNE`, `GR` or `O-CG`.
            curvature: `identity`, `rms`, `adam`, `kfac` or `ekfac`.
            lr: The learning rate.
            weight_decay: Decay of all weights, beside that of the game.
            damping: The curvature's damping; its own default if None.
            cap: The largest `|feedback| / |gradient|` of a layer.
            value_hessian: The factor of the loss's second derivative: `mc`, `gn1`, `full` or `topr`; of policies see
                `strategic_envs.agents.rllib.dgnopt.losses`.
            rank: Its columns, where that is free.
            value: The value recursion, `none`, `own` or `sum`.
            statistic: What the curvature's output side is made of, `ef` or `gn`.
            cooperation: `exact` or `prop5`.
            cg_iterations: Conjugate gradients of the joint solve, where it has no closed form.
            fictitious: Each layer as so many fictitious players.
            alignment: The stages of the layers: `late`, `early`, `random` in each step, or a mapping of names.
            momentum: Of the steps.
            kl_clip: The trust region, a number or `auto`; None, the default here, switches it off.
            curvature_options: Further settings of the curvature, such as `every`.
            **kwargs: Those of `GameConfig.training`, such as `steps_per_iteration`, `field` or `hidden`.

        Example:
            >>> DGNOptConfig().training(info="GR", lr=0.1, hidden=(32,)).info
            'GR'
        """
        super().training(**kwargs)
        self._take(
            objective=objective,
            info=info,
            curvature=curvature,
            lr=lr,
            weight_decay=weight_decay,
            damping=damping,
            cap=cap,
            value_hessian=value_hessian,
            rank=rank,
            value=value,
            statistic=statistic,
            cooperation=cooperation,
            cg_iterations=cg_iterations,
            fictitious=fictitious,
            alignment=alignment,
            momentum=momentum,
            kl_clip=kl_clip,
            curvature_options=curvature_options,
        )
        return self

    def optimizer_settings(self) -> dict[str, Any]:
        """The settings of `DGNOpt`."""
        return {
            "info": self.info,
            "curvature": self.curvature,
            "lr": self.lr,
            "weight_decay": self.weight_decay,
            "damping": self.damping,
            "cap": self.cap,
            "value_hessian": self.value_hessian,
            "rank": self.rank,
            "value": self.value,
            "statistic": self.statistic,
            "cooperation": self.cooperation,
            "cg_iterations": self.cg_iterations,
            "fictitious": self.fictitious,
            "alignment": self.alignment,
            "momentum": self.momentum,
            "kl_clip": self.kl_clip,
            **self.curvature_options,
        }

    def options(self) -> Options:
        game, options = self.trained_game(), super().options()
        if isinstance(game, DynamicGame):
            return options if self.objective == "welfare" else replace(options, objective=self.objective)
        strategy = "network" if isinstance(game, VIGame) and self.strategy is None else self.strategy
        return replace(options, objective=self.objective, strategy=strategy)

    def check(self) -> Task:
        """The task, if DGNOpt can train on it; it starts nothing.

        Raises:
            UnknownNameError: If there is no such environment, or one of the settings names what there is not.
            InvalidGameError: If the game is none that RLlib trains here, or its network cannot be staged.
            InvalidSettingError: If a setting makes no sense or does not fit the game.
        """
        task = self.task()
        if self.num_learners and self.num_learners > 1:
            raise InvalidSettingError(
                f"got num_learners={self.num_learners}, expected 0 or 1: the layers of a team play one after the other"
            )
        if self.alignment == "exp3++":
            raise InvalidSettingError(
                "got alignment='exp3++', which learns from the accuracy on a batch that nobody gives here, expected "
                "'late', 'early', 'random' or a mapping"
            )
        if self.objective == "welfare" and not isinstance(task, LayersTask) and constant_sum(task.game):
            raise InvalidSettingError(
                f"{task.game.name}: got objective='welfare', but the sum of the utilities is constant, so nothing "
                "would ever move: use 'own'"
            )
        teams(task, task.modules, self.optimizer_settings())
        return task

    def get_default_learner_class(self) -> type[DGNOptLearner]:
        return DGNOptLearner
