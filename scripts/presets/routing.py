"""The routing preset: who finds the Wardrop equilibrium of Pigou's and Braess's roads, and what that costs everybody.

Populations that step along their members' costs come to the equilibrium, whose excess is 0 and whose total cost is the
price of selfishness: Braess's shortcut makes it larger. Dynamics that ascend the common good (`cooperative_gradient`,
DGNOpt with `objective="welfare"`) come to the system optimum, and PPO between the two: its agents maximise the reward
of a whole population, which counts the delays that its own members cause each other. Atomic players come to equilibria
of their own. Uniformly random shares are the floor.
"""

from __future__ import annotations

from typing import Any

from strategic_envs.scripts.cells import Cell

__all__ = ["AGENTS", "NETWORKS", "SUMMARY", "cells"]

SUMMARY = "Pigou and Braess: total cost and Wardrop excess of selfish, cooperative and random travellers"

_ENVIRONMENT = "routing_v0"

NETWORKS: tuple[dict[str, Any], ...] = (
    {"network": "pigou"},
    {"network": "braess", "shortcut": False},
    {"network": "braess", "shortcut": True},
    {"network": "braess_six"},
)
"""Equilibrium and least total cost: 1 and 0.75; 1.5 and 1.5; 2 and 1.5; 552 and 498."""

_STEPS = {"iterations": 40, "evaluate_every": 4, "steps_per_iteration": 10}
AGENTS: dict[str, dict[str, Any]] = {
    "uniform_random": {},
    "ppo": {"evaluate_every": 4},
    "independent_gd": {**_STEPS, "step_size": 0.3},
    "extragradient": {**_STEPS, "step_size": 0.3},
    "hedge": {**_STEPS, "step_size": 0.5},
    "replicator": _STEPS,
    "smith": _STEPS,
    "cooperative_gradient": {**_STEPS, "step_size": 0.3},
    "dgnopt": {**_STEPS, "objective": "welfare"},
}
"""The agents and what they are given besides their presets."""

ATOMIC = ("uniform_random", "ppo", "dqn", "independent_gd", "double_oracle", "psro")
"""The agents of the same roads with four atomic players."""

_SCALE = {"braess_six": 1 / 60}  # of steps, where costs and trips are so much larger
_STEPPED = ("independent_gd", "extragradient", "hedge", "cooperative_gradient")


def cells() -> list[Cell]:
    """The cells, network by network, first populations and then atomic players.

    Example:
        >>> sum(cell.env.get("players") == "atomic" for cell in cells())
        6
    """
    from strategic_envs.agents.roster import agents

    found = []
    for env in NETWORKS:
        for name, options in AGENTS.items():
            if name in agents():
                scale = _SCALE.get(env["network"], 1.0) if name in _STEPPED else None
                step = {"step_size": options["step_size"] * scale} if scale is not None else {}
                found.append(Cell(_ENVIRONMENT, name, env=dict(env), options={**options, **step}))
    braess = {"network": "braess", "players": "atomic"}
    return found + [Cell(_ENVIRONMENT, name, env=dict(braess)) for name in ATOMIC]
