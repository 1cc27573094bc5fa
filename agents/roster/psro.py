"""Double oracle and PSRO: populations that grow by replies to a mixture of themselves.

`double_oracle` replies exactly, so it ends at an equilibrium of zero-sum games and says when it is there; `psro` learns
its replies as everybody else learns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategic_envs.agents.roster.game_dynamics import AlgorithmAgent
from strategic_envs.agents.roster.kinds import layered

__all__ = ["AGENTS", "PopulationAgent"]

_RUN: dict[str, Any] = {"iterations": 20, "evaluate_every": 1}
_META: dict[str, Any] = {
    "meta_solver": None,
    "meta_options": {},
    "payoffs": "exact",
    "games_per_cell": 1000,
    "tolerance": 1e-9,
}
_LEARNING: dict[str, Any] = {
    "oracle": "learned",
    "oracle_steps": 100,
    "oracle_options": {},
    "dynamic": "extragradient",
    "dynamic_options": {},
    "step_size": None,
    "field": None,
    "strategy": None,
    "games_per_sample": None,
    "horizon": None,
    "hidden": None,
    "warm_start": None,
    "tremble": 0.0,
}
_PRICING: dict[str, Any] = {
    "iterations": 10,
    "step_size": 20.0,
    "hidden": (16,),
    "games_per_sample": 64,
    "horizon": 40,
    "oracle_steps": 30,
}
_OURS = ("iterations", "evaluate_every")


class PopulationAgent(AlgorithmAgent):
    """Policy-space response oracles with one kind of oracle.

    Hyper-parameters are those of `DoubleOracleConfig.training`, and `iterations` and `evaluate_every`. A value of None
    leaves a setting to the kind of game.

    Args:
        name: What it is called.
        summary: What it does, in one line.
        settings: Its hyper-parameters with their defaults, beside those of every run.
        presets: What is set otherwise, by environment.
    """

    def __init__(
        self, name: str, summary: str, settings: Mapping[str, Any], presets: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.name, self.summary, self.settings, self.presets = name, summary, dict(settings), presets

    def refuses(self, environment: str) -> str | None:
        return (
            "the layers of a network share one loss: nobody is there to be answered" if layered(environment) else None
        )

    def preset(self, environment: str) -> dict[str, Any]:
        return {**_RUN, **_META, **self.settings, **self.presets.get(environment, {})}

    def _config(self, job: Any, settings: Mapping[str, Any]) -> Any:
        from strategic_envs.agents import rllib

        given = {k: v for k, v in settings.items() if k not in _OURS and v is not None}
        config: Any = rllib.DoubleOracleConfig().environment(job.environment, env_config=dict(job.env))
        config.training(**{"device": job.device, "oracle": "exact", **given})
        return config.debugging(seed=job.seed).evaluation(evaluation_interval=None)  # a row asks for it


AGENTS = (
    PopulationAgent(
        "double_oracle",
        "double oracle: exact replies to the solution of a growing game, until there is none that gains",
        {},
        {
            "continuous_game_v0": {"iterations": 60, "evaluate_every": 5},
            "routing_v0": {"meta_solver": "cce"},
            "larger_number_v0": {"iterations": 100, "evaluate_every": 5},
            "tic_tac_toe_v0": {"iterations": 400, "evaluate_every": 20},
        },
    ),
    PopulationAgent(
        "psro",
        "PSRO: replies learnt by extragradient, PPO or DQN to a mixture of all earlier policies",
        _LEARNING,
        {
            "continuous_game_v0": {"step_size": 0.05},
            "duopoly_pricing_v0": _PRICING,
            "sequential_pricing_v0": _PRICING,
            "bertrand_pricing_v0": {**_PRICING, "step_size": 1.0, "horizon": 1},
            "routing_v0": {"iterations": 12, "field": "exact", "step_size": 2.0, "meta_solver": "cce"},
            "larger_number_v0": {"iterations": 12, "field": "exact", "step_size": 2.0},
            "tic_tac_toe_v0": {
                "iterations": 12,
                "dynamic": "adam_gradient",
                "step_size": 0.1,
                "strategy": "logits",
                "field": "exact",
                "oracle_steps": 60,
                "tremble": 0.3,
                "warm_start": "fresh",
            },
        },
    ),
)
