"""Stock DQN of RLlib, one value network a player: the deep form of Q-learning, where actions are finitely many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategic_envs.agents.roster.base import Job
from strategic_envs.agents.roster.kinds import finite_actions
from strategic_envs.agents.roster.stock import StockAgent

__all__ = ["AGENT", "DQN"]

_ANYWHERE: dict[str, Any] = {
    "iterations": 20,
    "evaluate_every": 1,
    "steps": 1000,
    "envs": 16,
    "batch": 64,
    "hidden": (64, 64),
    "lr": 1e-3,
    "epsilon": ((0, 1.0), (10_000, 0.05)),
    "capacity": 50_000,
    "target_network_update_freq": 500,
    "double_q": True,
    "n_step": 1,
}


class DQN(StockAgent):
    """Deep Q-networks (Mnih et al. 2015; double, with prioritised replay) as RLlib has them, through our wrappers.

    Every player learns values of its own while the others do the same. The greedy policies are judged. Hyper-parameters
    are those of `strategic_envs.agents.rllib.dqn.dqn_config`.
    """

    name: str = "dqn"
    summary: str = "stock DQN of RLlib, one value network a player; its greedy policies are judged"
    presets: Mapping[str, Mapping[str, Any]] = {}

    def refuses(self, environment: str) -> str | None:
        if finite_actions(environment):
            return None
        return "its actions are points of a set, and values are learnt of finitely many"

    def check(self, job: Job) -> None:
        from strategic_envs.agents.rllib.dqn import dqn_config
        from strategic_envs.agents.rllib.session import quiet

        settings = self.resolve(job)
        quiet()
        learning = {k: v for k, v in settings.items() if k not in ("iterations", "evaluate_every")}
        dqn_config(job.environment, job.env, seed=job.seed, **learning)

    def preset(self, environment: str) -> dict[str, Any]:
        return {**_ANYWHERE, **self.presets.get(environment, {})}

    def run_class(self) -> Any:
        from strategic_envs.agents.rllib.dqn_run import DQNRun

        return DQNRun


AGENT = DQN()
