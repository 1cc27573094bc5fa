"""Uniformly random players, who never learn: the floor under every leaderboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from strategic_envs.agents.roster.base import Agent, Job, Result, Rows

__all__ = ["AGENT", "UniformRandom"]


class UniformRandom(Agent):
    """Everybody plays uniformly at random; the layers of a network keep the weights they were drawn with.

    How it is played and in which parameters its local gaps are measured: `strategic_envs.baselines.fixed`.
    """

    name: str = "uniform_random"
    summary: str = "uniformly random actions, or random weights: learns nothing"
    needs_ray: ClassVar[bool] = False

    def preset(self, environment: str) -> dict[str, Any]:
        return {"iterations": 1}

    def train(self, job: Job, on_row: Callable[[dict[str, Any]], None]) -> Result:
        from strategic_envs import registry
        from strategic_envs.baselines.fixed import local_gaps, parameterisation, uniform_play
        from strategic_envs.evaluators.figures import figures
        from strategic_envs.evaluators.report import evaluate

        settings = self.resolve(job)
        rows = Rows(job, self.name, on_row)
        game = registry.make(job.environment, **job.env).unwrapped.game
        play = uniform_play(game, job.seed)
        report = evaluate(game, play, local=local_gaps(game, play))
        told = {"local_gap_by": parameterisation(game), "cce_gap_of": "present play"}
        gaps = {**report.row(), **told, **figures(game, play)}
        final = rows.add(0, 0, gaps)
        return Result(rows.all, final, settings, None, None)


AGENT = UniformRandom()
