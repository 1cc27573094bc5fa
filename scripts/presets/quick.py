"""The quick preset: two dynamics, DGNOpt, two double oracles and two controls, in under three minutes on two cores."""

from __future__ import annotations

from strategic_envs.scripts.cells import Cell

__all__ = ["AGENTS", "ENVIRONMENTS", "SUMMARY", "cells"]

SUMMARY = (
    "independent gradient, extragradient, DGNOpt, double oracle and PSRO beside random play and stock PPO, one seed"
)
ENVIRONMENTS = (
    "continuous_game_v0",
    "duopoly_pricing_v0",
    "larger_number_v0",
    "layers_v0",
    "routing_v0",
    "tic_tac_toe_v0",
)
AGENTS = ("uniform_random", "independent_gd", "extragradient", "dgnopt", "double_oracle", "psro", "ppo")
OPTIONS = {
    "continuous_game_v0": {"game": "matching_pennies_box"},  # gradient circles, extragradient settles
    "routing_v0": {"players": "atomic"},  # which everybody plays
}
SHORT = {"psro": {"iterations": 6}}  # beside presets that take longer


def cells() -> list[Cell]:
    """The cells, environment by environment.

    Example:
        >>> len({cell.environment for cell in cells()})
        6
    """
    from strategic_envs.agents.roster import agent

    pairs = [(environment, name) for environment in ENVIRONMENTS for name in AGENTS]
    return [
        Cell(environment, name, seed=0, env=OPTIONS.get(environment, {}), options=dict(SHORT.get(name, {})))
        for environment, name in pairs
        if agent(name).refuses(environment) is None
    ]
