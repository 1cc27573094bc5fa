"""Stock PPO of RLlib, one policy a player: what most people would try first, and so the control of every claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategic_envs.agents.roster.stock import StockAgent

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


class PPO(StockAgent):
    """Proximal policy optimisation (Schulman et al. 2017) as RLlib has it, on our environments through our wrappers.

    Hyper-parameters are those of `strategic_envs.agents.rllib.ppo.ppo_config`.
    """

    name: str = "ppo"
    summary: str = "stock PPO of RLlib, one policy a player"
    presets: Mapping[str, Mapping[str, Any]] = {
        "continuous_game_v0": {"evaluate_every": 2, "lr": 1e-2},
        "duopoly_pricing_v0": {"lr": 1e-3},
        "sequential_pricing_v0": {"lr": 1e-3},
        "bertrand_pricing_v0": {"lr": 1e-3},
        "routing_v0": {"evaluate_every": 2, "lr": 1e-2},
        "larger_number_v0": {"lr": 0.05},
        "layers_v0": {"evaluate_every": 10, "envs": 8, "batch": 160, "deviation": 0.1, "lr": 1e-2},
        "tic_tac_toe_v0": {"lr": 1e-3},
    }

    def preset(self, environment: str) -> dict[str, Any]:
        return {**_ANYWHERE, **self.presets.get(environment, {})}

    def run_class(self) -> Any:
        from strategic_envs.agents.rllib.ppo_run import PPORun

        return PPORun


AGENT = PPO()
