"""DGNOpt: networks are trained by the optimizer whose players are their layers.

On `layers_v0` it trains the network of the environment. Everywhere else it trains the players' policy networks, in
one-shot games networks with a constant input; each layer reacts to what the layers before it have already changed.
Liu, Chen and Theodorou, "Dynamic Game Theoretic Neural Optimizer", ICML 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategic_envs.agents.roster.base import Job
from strategic_envs.agents.roster.game_dynamics import OURS, RUN, TASK, AlgorithmAgent

__all__ = ["AGENT", "DGNOptAgent"]

_TASK = {name: value for name, value in TASK.items() if name != "strategy"}  # networks, always
_OWN: dict[str, Any] = {  # the defaults of `DGNOptConfig`
    "objective": "own",
    "info": "FNE",
    "curvature": "kfac",
    "lr": 0.03,
    "weight_decay": 0.0,
    "damping": None,
    "cap": 0.5,
    "value_hessian": "mc",
    "rank": 1,
    "value": "none",
    "statistic": "ef",
    "cooperation": "exact",
    "cg_iterations": 5,
    "fictitious": 1,
    "alignment": None,
    "momentum": 0.0,
    "kl_clip": None,
}


class DGNOptAgent(AlgorithmAgent):
    """DGNOpt on the network of an environment, or on every player's own.

    Hyper-parameters are those of `DGNOptConfig.training`, and `iterations` and `evaluate_every`, the number of
    iterations from one row to the next. A value of None leaves a setting to the kind of game, or to the optimizer.
    """

    name: str = "dgnopt"
    summary: str = "DGNOpt: the layers of networks are players who see what earlier layers have changed"
    presets: Mapping[str, Mapping[str, Any]] = {
        "continuous_game_v0": {"iterations": 200, "evaluate_every": 10, "lr": 0.003},
        "duopoly_pricing_v0": {"iterations": 40, "lr": 0.3, "field": "exact"},
        "sequential_pricing_v0": {"iterations": 40, "lr": 0.3, "field": "exact"},
        "bertrand_pricing_v0": {"iterations": 40, "lr": 0.03, "field": "exact"},
        "routing_v0": {"evaluate_every": 10},
        "larger_number_v0": {"games_per_sample": 4096},
        "layers_v0": {"iterations": 100, "evaluate_every": 50, "lr": 0.3, "minibatch_size": 128},
        "tic_tac_toe_v0": {
            "iterations": 40,
            "evaluate_every": 5,
            "steps_per_iteration": 10,
            "lr": 1.0,
            "field": "exact",
            "exploring_starts": 1.0,
            "entropy": [0.1, 0.02, 300],
        },
    }

    def own(self) -> dict[str, Any]:
        return dict(_OWN)

    def preset(self, environment: str) -> dict[str, Any]:
        return {**RUN, **_TASK, **_OWN, **self.presets.get(environment, {})}

    def _config(self, job: Job, settings: Mapping[str, Any]) -> Any:
        from strategic_envs.agents import rllib

        given = {k: v for k, v in settings.items() if k not in OURS and v is not None}
        config: Any = rllib.DGNOptConfig().environment(job.environment, env_config=dict(job.env))
        config.training(device=job.device, **given)
        return config.debugging(seed=job.seed).evaluation(evaluation_interval=None)  # a row asks for it


AGENT = DGNOptAgent()
