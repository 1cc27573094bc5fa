"""The preset of networks: layers that train a linear network and one with ReLU, with Wardrop gaps beside the others.

A linear network that is wide enough has no other local minima than global ones, and there alone its path gap is 0: a
run that stops at a saddle has layers in equilibrium and a path gap above 0. Of ReLU networks the path gap is
experimental, at frozen gates. The control is a network with random weights.
"""

from __future__ import annotations

from typing import Any

from strategic_envs.scripts.cells import Cell

__all__ = ["AGENTS", "NETWORKS", "SUMMARY", "cells"]

SUMMARY = "networks on digits as games of layers and of paths: gradient, Adam, DGNOpt, beside random weights"

_ENVIRONMENT = "layers_v0"

NETWORKS: tuple[dict[str, Any], ...] = (
    {"hidden": [12], "samples": 300, "activation": "identity", "loss": "mse"},
    {"hidden": [12], "samples": 300, "activation": "relu", "loss": "mse"},
)
_RUN = {"iterations": 50, "evaluate_every": 10, "steps_per_iteration": 20, "minibatch_size": 0, "wardrop": True}
AGENTS: dict[str, dict[str, Any]] = {
    "uniform_random": {},
    "independent_gd": {**_RUN, "step_size": 1.0},
    "adam_gradient": {**_RUN, "step_size": 0.003},
    "dgnopt": {**_RUN, "lr": 0.1},
}
"""The agents and what they are given besides their presets."""


def cells() -> list[Cell]:
    """The cells, network by network.

    Example:
        >>> len(cells())
        8
    """
    return [
        Cell(_ENVIRONMENT, name, seed=0, env=dict(env), options=dict(options))
        for env in NETWORKS
        for name, options in AGENTS.items()
    ]
