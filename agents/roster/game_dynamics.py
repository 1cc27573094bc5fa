"""Agents that are a learning dynamic of this project run by RLlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from strategic_envs.agents.roster.base import Agent, Job, Result, Rows

__all__ = ["DynamicsAgent"]

_ANYWHERE: dict[str, Any] = {
    "iterations": 100,
    "evaluate_every": 5,
    "step_size": None,
    "field": None,
    "strategy": None,
    "games_per_sample": None,
    "horizon": None,
    "hidden": None,
    "minibatch_size": None,
}


class DynamicsAgent(Agent):
    """A dynamic on the oracle of an environment.

    Hyper-parameters are those of `GameDynamicsConfig.training`, and `iterations` and `evaluate_every`, the number of
    iterations from one row to the next. A value of None leaves a setting to the kind of game.
    """

    needs_ray: ClassVar[bool] = True
    config: ClassVar[str]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]

    def preset(self, environment: str) -> dict[str, Any]:
        return {**_ANYWHERE, **self.presets.get(environment, {})}

    def train(self, job: Job, on_row: Callable[[dict[str, Any]], None]) -> Result:
        settings = self.resolve(job)
        from strategic_envs.agents import rllib

        every, iterations = settings["evaluate_every"], settings["iterations"]
        ours = ("iterations", "evaluate_every")
        learning = {k: v for k, v in settings.items() if k not in ours and v is not None}
        config = getattr(rllib, self.config)().environment(job.environment, env_config=dict(job.env))
        config.training(device=job.device, **learning).debugging(seed=job.seed)
        config.evaluation(evaluation_interval=None)  # a row asks for it
        rows = Rows(job, self.name, on_row)
        with rllib.session():
            algorithm = config.build_algo()
            try:
                start = algorithm.point()
                for iteration in range(1, iterations + 1):
                    result = algorithm.train()
                    if iteration % every == 0 or iteration == iterations:
                        gaps = {**algorithm.evaluate(), "outcome": result["outcome"]}
                        rows.add(iteration, int(result["env_steps"] or result["field_calls"]), gaps)
                    if job.checkpoint_every and iteration % job.checkpoint_every == 0:
                        self._save(algorithm, job)
                checkpoint = self._save(algorithm, job)
                moved = any(not a.equal(b) for a, b in zip(start, algorithm.point(), strict=True))
            finally:
                algorithm.stop()
        return Result(rows.all, rows.all[-1], settings, checkpoint, moved)

    def _save(self, algorithm: Any, job: Job) -> Path | None:
        return None if job.out is None else Path(algorithm.save_to_path((Path(job.out) / "checkpoint").resolve()))
