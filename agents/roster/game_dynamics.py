"""Agents that are an algorithm of this project run by RLlib: a learning dynamic, or PSRO."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from strategic_envs.agents.roster.base import Agent, Job, Result, Rows
from strategic_envs.agents.roster.kinds import any_game, lacking, one_shot, own_sets, unbounded_sets, unsuited
from strategic_envs.agents.roster.scan import Described, described

__all__ = ["OURS", "RUN", "TASK", "AlgorithmAgent", "DynamicsAgent"]

RUN: dict[str, Any] = {"iterations": 100, "evaluate_every": 5, "steps_per_iteration": None}
"""How long a run is; None leaves it to the algorithm."""
TASK: dict[str, Any] = {
    "field": None,
    "strategy": None,
    "games_per_sample": None,
    "horizon": None,
    "hidden": None,
    "minibatch_size": None,
    "start": None,
    "entropy": None,
    "exploring_starts": None,
    "wardrop": None,
}
"""What a task is told; None leaves it to the kind of game."""
OURS = ("iterations", "evaluate_every")
"""The settings that are the agent's own: the algorithm does not know them."""


class AlgorithmAgent(Agent):
    """An agent that trains by an algorithm of `agents/rllib`."""

    needs_ray: ClassVar[bool] = True

    @abstractmethod
    def _config(self, job: Job, settings: Mapping[str, Any]) -> Any:
        """The configuration of the algorithm."""

    def check(self, job: Job) -> None:
        from strategic_envs.agents.rllib.session import quiet

        quiet()  # of what RLlib says of itself when modules are built
        self._config(job, self.resolve(job)).check()

    def train(self, job: Job, on_row: Callable[[dict[str, Any]], None]) -> Result:
        settings = self.resolve(job)
        from strategic_envs.agents.rllib import session

        every, iterations = settings["evaluate_every"], settings["iterations"]
        config = self._config(job, settings)
        rows = Rows(job, self.name, on_row)
        with session():
            algorithm = config.build_algo()
            try:
                for iteration in range(1, iterations + 1):
                    result = algorithm.train()
                    over = result["outcome"] != "running"  # nothing moves any more
                    if iteration % every == 0 or iteration == iterations or over:
                        steps = int(result["env_steps"] or result["field_calls"])
                        told = {"outcome": result["outcome"], "explain": result["explain"]}
                        rows.add(iteration, steps, {**result, **algorithm.evaluate(), **told})
                    if job.checkpoint_every and iteration % job.checkpoint_every == 0:
                        self._save(algorithm, job)
                    if over:
                        break
                checkpoint = self._save(algorithm, job)
                moved, path = algorithm.moved(), algorithm.path()
            finally:
                algorithm.stop()
        return Result(rows.all, rows.all[-1], settings, checkpoint, moved, path)

    def _save(self, algorithm: Any, job: Job) -> Path | None:
        return None if job.out is None else Path(algorithm.save_to_path((Path(job.out) / "checkpoint").resolve()))


class DynamicsAgent(AlgorithmAgent):
    """A dynamic on the oracle of an environment.

    Hyper-parameters are those of `GameDynamicsConfig.training`, those of the dynamic itself, and `iterations` and
    `evaluate_every`, the number of iterations from one row to the next. A value of None leaves a setting to the kind of
    game, or to the dynamic.
    """

    dynamic: str
    presets: Mapping[str, Mapping[str, Any]]

    @property
    def about(self) -> Described:
        """The dynamic, as its source describes it."""
        return described()[self.dynamic]

    def own(self) -> dict[str, Any]:
        """The settings of the dynamic itself with their defaults, its step size left out."""
        settings = {name: value for name, value in self.about.settings.items() if name != "step_size"}
        return settings | {name: None for name in settings if name == "seed"}  # the run's own, unless it is set

    def refuses(self, environment: str) -> str | None:
        reason = lacking(environment, self.about.needs)
        if reason or any_game(environment):
            return reason
        return self._misfit(environment) if one_shot(environment) else self._bounded(environment)

    def _misfit(self, environment: str) -> str | None:
        """Why the dynamic cannot play on the sets of the environment's default game; None where it can."""
        return unsuited(self.dynamic, own_sets(environment))

    def _bounded(self, environment: str) -> str | None:
        """Why the dynamic cannot play on parameters without bounds."""
        reason = unsuited(self.dynamic, unbounded_sets())
        expected = (reason or "").partition("expected ")[2] or reason
        return reason and f"strategies are parameters without bounds (it expects {expected})"

    def preset(self, environment: str) -> dict[str, Any]:
        step = {"step_size": None} if "step_size" in self.about.settings else {}
        chosen = dict(self.presets.get(environment, {}))
        if not step:
            chosen.pop("step_size", None)
        face = self._face(environment)
        if face:
            chosen.pop("games_per_sample", None)  # nothing is sampled
        return {**RUN, **step, **TASK, **face, **self.own(), **chosen}

    def _face(self, environment: str) -> dict[str, Any]:
        """How a one-shot game must be looked at, so that it has the derivatives and the sets that the dynamic needs."""
        if not one_shot(environment):
            return {}
        more = set(self.about.needs) - {"field", "project", "sets"}
        strategy = {"strategy": "coordinates"} if self._bounded(environment) else {}
        return {"field": "exact", **strategy} if more else strategy

    def _config(self, job: Job, settings: Mapping[str, Any]) -> Any:
        from strategic_envs.agents import rllib

        given = {k: v for k, v in settings.items() if k not in OURS and v is not None}
        own = {k: given.pop(k) for k in self.own() if k in given}
        if "seed" in self.own():
            own.setdefault("seed", job.seed)
        config: Any = rllib.GameDynamicsConfig().environment(job.environment, env_config=dict(job.env))
        config.training(device=job.device, dynamic=self.dynamic, dynamic_options=own, **given)
        return config.debugging(seed=job.seed).evaluation(evaluation_interval=None)  # a row asks for it
