"""Agents that are a stock algorithm of RLlib on our environments, through our wrappers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from strategic_envs.agents.roster.base import Agent, Job, Result, Rows

__all__ = ["StockAgent"]


class StockAgent(Agent):
    """An agent whose run is a `StockRun` of `agents/rllib`.

    Hyper-parameters are those of the run, and `iterations` and `evaluate_every`, the number of iterations from one row
    to the next.
    """

    needs_ray: ClassVar[bool] = True

    @abstractmethod
    def run_class(self) -> Any:
        """The class of its runs; Ray is imported here."""

    def train(self, job: Job, on_row: Callable[[dict[str, Any]], None]) -> Result:
        settings = self.resolve(job)
        from strategic_envs.agents.rllib.session import session

        learning = {k: v for k, v in settings.items() if k not in ("iterations", "evaluate_every")}
        every, iterations = settings["evaluate_every"], settings["iterations"]
        rows = Rows(job, self.name, on_row)
        with session():
            run = self.run_class()(job.environment, job.env, seed=job.seed, device=job.device, **learning)
            folder = None if job.out is None else Path(job.out) / "checkpoint"
            try:
                for iteration in range(1, iterations + 1):
                    run.step()
                    if iteration % every == 0 or iteration == iterations:
                        rows.add(iteration, run.steps, run.row())
                    if folder and job.checkpoint_every and iteration % job.checkpoint_every == 0:
                        run.save(folder)
                if folder:
                    run.save(folder)
                moved = run.moved()
            finally:
                run.stop()
        return Result(rows.all, rows.all[-1], settings, folder, moved)
