"""Stock PPO of RLlib, one policy a player: what most people would try first, and so the control of every claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from strategic_envs.agents.roster.base import Agent, Job, Result, Rows

__all__ = ["AGENT", "PPO"]

_ANYWHERE: dict[str, Any] = {
    "iterations": 20,
    "evaluate_every": 1,
    "batch": 512,
    "envs": 32,
    "hidden": (64, 64),
    "deviation": 0.5,
    "lr": 3e-3,
    "num_epochs": 8,
    "clip_param": 0.3,
    "entropy_coeff": 0.0,
    "vf_clip_param": 1e6,  # RLlib's 10 would stop a critic that is far off from learning at all
}


class PPO(Agent):
    """Proximal policy optimisation (Schulman et al. 2017) as RLlib has it, on our environments through our wrappers.

    Hyper-parameters are those of `strategic_envs.agents.rllib.ppo.ppo_config`.
    """

    name: str = "ppo"
    summary: str = "stock PPO of RLlib, one policy a player"
    needs_ray: ClassVar[bool] = True
    presets: Mapping[str, Mapping[str, Any]] = {
        "continuous_game_v0": {"evaluate_every": 2, "lr": 1e-2},
        "duopoly_pricing_v0": {"lr": 1e-3},
        "larger_number_v0": {"lr": 0.05},
        "layers_v0": {"evaluate_every": 10, "envs": 8, "batch": 160, "deviation": 0.1, "lr": 1e-2},
        "tic_tac_toe_v0": {"lr": 1e-3},
    }

    def preset(self, environment: str) -> dict[str, Any]:
        return {**_ANYWHERE, **self.presets.get(environment, {})}

    def train(self, job: Job, on_row: Callable[[dict[str, Any]], None]) -> Result:
        settings = self.resolve(job)
        from strategic_envs.agents.rllib.ppo_run import PPORun
        from strategic_envs.agents.rllib.session import session

        learning = {k: v for k, v in settings.items() if k not in ("iterations", "evaluate_every")}
        every, iterations = settings["evaluate_every"], settings["iterations"]
        rows = Rows(job, self.name, on_row)
        with session():
            run = PPORun(job.environment, job.env, seed=job.seed, device=job.device, **learning)
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


AGENT = PPO()
