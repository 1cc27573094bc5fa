"""The configuration of PSRO, as an ordinary `AlgorithmConfig` of RLlib.

config = DoubleOracleConfig().environment("tic_tac_toe_v0").training(dynamic="adam_gradient", tremble=0.2)
algorithm = config.build_algo()
row = algorithm.train()       # one iteration: a reply of every player, their payoffs, the next meta-strategy
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.rllib.algorithms.algorithm_config import NotProvided

from strategic_envs.agents.double_oracle.policy_space.exact import Arena, arena
from strategic_envs.agents.double_oracle.policy_space.meta import MetaSolver, meta_solver
from strategic_envs.agents.rllib.config import GameDynamicsConfig
from strategic_envs.agents.rllib.games import environment_game
from strategic_envs.agents.rllib.psro.sums import constant_sum
from strategic_envs.agents.rllib.psro.tasks import Response, response_task
from strategic_envs.errors import InvalidGameError, InvalidSettingError, UnknownNameError

__all__ = ["ORACLES", "DoubleOracleConfig"]

ORACLES = ("learned", "ppo", "dqn", "exact")
_FORMS = {"learned": "parameters", "ppo": "parameters", "dqn": "greedy", "exact": "strategies"}
_STARTS = ("best", "newest", "shrunk", "fresh")


class DoubleOracleConfig(GameDynamicsConfig):
    """PSRO: populations that grow by replies to a mixture of themselves.

    Replies are learnt by a dynamic on the batched runner, by stock PPO or DQN, or found exactly. Beside what every
    `AlgorithmConfig` has, see `training`.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        from strategic_envs.agents.rllib.psro.algorithm import DoubleOracle

        super().__init__(algo_class or DoubleOracle)
        self.oracle = "learned"
        self.oracle_steps = 100
        self.oracle_options: Mapping[str, Any] = {}
        self.meta_solver: str | None = None
        self.meta_options: Mapping[str, Any] = {}
        self.payoffs = "exact"
        self.games_per_cell = 1000
        self.cells_per_unit = 64
        self.warm_start: str | None = None
        self.tremble = 0.0
        self.tolerance = 1e-9
        self.units_per_iteration: int | None = None

    def training(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        *,
        oracle: str = NotProvided,  # pyright: ignore[reportArgumentType]
        oracle_steps: int = NotProvided,  # pyright: ignore[reportArgumentType]
        oracle_options: Mapping[str, Any] = NotProvided,  # pyright: ignore[reportArgumentType]
        meta_solver: str | None = NotProvided,  # pyright: ignore[reportArgumentType]
        meta_options: Mapping[str, Any] = NotProvided,  # pyright: ignore[reportArgumentType]
        payoffs: str = NotProvided,  # pyright: ignore[reportArgumentType]
        games_per_cell: int = NotProvided,  # pyright: ignore[reportArgumentType]
        cells_per_unit: int = NotProvided,  # pyright: ignore[reportArgumentType]
        warm_start: str | None = NotProvided,  # pyright: ignore[reportArgumentType]
        tremble: float = NotProvided,  # pyright: ignore[reportArgumentType]
        tolerance: float = NotProvided,  # pyright: ignore[reportArgumentType]
        units_per_iteration: int | None = NotProvided,  # pyright: ignore[reportArgumentType]
        **kwargs: Any,
    ) -> DoubleOracleConfig:
        """Sets how replies are found, what is replied to, and how much work a training iteration does.

        Args:
            oracle: `"learned"` by the `dynamic` of the configuration, stock `"ppo"` or `"dqn"`, or `"exact"`.
            oracle_steps: Steps of the dynamic, or iterations of the stock algorithm, that a reply takes.
            oracle_options: Settings of the stock algorithm or of the exact oracle.
            meta_solver: What is replied to: the name of a meta-solver; None is `"nash"` where two players' payoffs sum
                to a constant and `"projected_replicator"` elsewhere.
            meta_options: The meta-solver's settings.
            payoffs: Whether the payoff table is `"exact"` or `"sampled"` by the runners.
            games_per_cell: How many games of a cell of the table are played, if they are sampled.
            cells_per_unit: How many cells one unit of work fills.
            warm_start: Where a learned reply starts: at the `"best"` policy of its population against the mixture, the
                `"newest"`, a `"fresh"` one, or `"shrunk"`: half way from a fresh one to the best, which keeps what was
                learnt and can still learn (Ash and Adams 2020). None is `"shrunk"` for networks and `"fresh"` for
                vectors and for stock algorithms.
            tremble: With which probability everybody plays uniformly at each move while replies are learnt, so that a
                reply knows what to do in states that the mixture never reaches.
            tolerance: The run has converged when exact replies gain no more than this in total.
            units_per_iteration: Units of work (steps of a dynamic, parts of the table, meta-solutions) of a training
                iteration; None: until the next meta-strategy is found.
            **kwargs: Those of `GameDynamicsConfig.training`, such as `dynamic`, `step_size`, `hidden`.

        Example:
            >>> DoubleOracleConfig().training(oracle="exact", meta_solver="uniform").meta_solver
            'uniform'
        """
        super().training(**kwargs)
        own = {
            "oracle": oracle,
            "oracle_steps": oracle_steps,
            "oracle_options": oracle_options,
            "meta_solver": meta_solver,
            "meta_options": meta_options,
            "payoffs": payoffs,
            "games_per_cell": games_per_cell,
            "cells_per_unit": cells_per_unit,
            "warm_start": warm_start,
            "tremble": tremble,
            "tolerance": tolerance,
            "units_per_iteration": units_per_iteration,
        }
        for name, value in own.items():
            if value is not NotProvided:
                setattr(self, name, value)
        self._check_settings()
        return self

    def _check_settings(self) -> None:
        """Refuses what no game could make sense of."""
        for name, value, none in (
            ("oracle_steps", self.oracle_steps, False),
            ("games_per_cell", self.games_per_cell, False),
            ("cells_per_unit", self.cells_per_unit, False),
            ("units_per_iteration", self.units_per_iteration, True),
        ):
            if isinstance(value, bool) or not ((isinstance(value, int) and value >= 1) or (none and value is None)):
                raise InvalidSettingError(f"got {name}={value!r}, expected a whole number >= 1")
        if self.entropy is not None or self.exploring_starts is not None:
            raise InvalidSettingError(
                f"got entropy={self.entropy!r} and exploring_starts={self.exploring_starts!r}, but replies ascend "
                "their own utility alone: leave them out, and use tremble for replies that know every state"
            )
        if self.oracle not in ORACLES:
            raise UnknownNameError("oracle", self.oracle, ORACLES)
        if self.warm_start not in (None, *_STARTS):
            raise UnknownNameError("warm start", self.warm_start, _STARTS)
        if self.payoffs not in ("exact", "sampled"):
            raise InvalidSettingError(f"got payoffs={self.payoffs!r}, expected 'exact' or 'sampled'")
        if not (isinstance(self.tolerance, int | float) and self.tolerance >= 0):
            raise InvalidSettingError(f"got tolerance={self.tolerance!r}, expected a number >= 0")

    def task(self) -> Response:
        """The task of answering a mixture of frozen policies."""
        game = self.game
        if game is None:
            if not isinstance(self.env, str):
                raise InvalidGameError(
                    f"got env={self.env!r} and no game, expected the id of an environment: "
                    'config.environment("tic_tac_toe_v0"), or config.training(game=...)'
                )
            game = environment_game(self.env, self.env_config)
        return response_task(game, self.options(), form=_FORMS[self.oracle], tremble=self.tremble)

    def plays(self, task: Any) -> bool:
        """Whether runners have anything to play."""
        return self.payoffs == "sampled" or (self.oracle == "learned" and task.sampled)

    def check(self) -> Response:
        """The task, if everything fits together; raises what `validate` does."""
        task = self.task()
        if self.oracle == "learned":
            task.check(self.make_dynamic(task))
        elif self.oracle == "exact":
            self.make_arena(task)
        else:
            from strategic_envs.agents.rllib.psro.stock import check_stock

            check_stock(self, task)
        if self.payoffs == "sampled" and not task.plays:
            raise InvalidSettingError(
                f"{task.game.name}: got payoffs='sampled', but strategies are points and payoffs are exact: use "
                "payoffs='exact'"
            )
        self.make_meta_solver(task)
        if self.num_env_runners and not self.plays(task):
            raise InvalidSettingError(
                f"{task.game.name}: got num_env_runners={self.num_env_runners}, but nothing is played where replies "
                f"come from oracle={self.oracle!r} with field={task.field!r} and payoffs={self.payoffs!r}: use 0, "
                "payoffs='sampled', or sampled gradients"
            )
        return task

    def make_arena(self, task: Response) -> Arena | None:
        """Where exact replies come from; None if they are not wanted.

        Raises:
            InvalidSettingError: If an option is none of the kind of game, or replies should tremble.
            InvalidGameError: If the kind of game has no exact replies.
        """
        if self.oracle != "exact":
            return None
        if self.tremble:
            raise InvalidSettingError(
                f"{task.game.name}: got tremble={self.tremble!r} with oracle='exact', which replies to the mixture "
                "itself: use 0, or a learned oracle"
            )
        return arena(task.game, **self.oracle_options)

    def make_meta_solver(self, task: Response) -> MetaSolver:
        """The meta-solver.

        Raises:
            UnknownNameError: If there is none of this name.
            InvalidSettingError: If it does not take the settings.
            InvalidGameError: If it is for other games.
        """
        game = task.game
        two_sided = game.n_players == 2 and constant_sum(game)
        name = self.meta_solver or ("nash" if two_sided else "projected_replicator")
        if name == "nash" and not two_sided and not self.meta_options.get("slack"):
            raise InvalidGameError(
                f"{game.name}: meta_solver='nash' is for two players whose payoffs sum to a constant, got "
                f"{game.n_players} players" + ("" if game.n_players != 2 else " with another sum of payoffs") + ": use "
                "'cce', 'alpha_rank', 'projected_replicator' or 'uniform'"
            )
        return meta_solver(name, **self.meta_options)
