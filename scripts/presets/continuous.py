"""The continuous preset: nonconcave games where gradient play struggles, and the main ways to play them.

Every cell takes 500 steps (STON'R and double oracle as many as they need, PPO a few iterations) from the same start and
is judged with local and global gaps, side by side. Beside the leaderboard there are curves and, for games of two
numbers, the field with every path. Methods that converge on one of these games cycle on another: that is the point.
"""

from __future__ import annotations

from typing import Any

from strategic_envs.scripts.cells import Cell

__all__ = ["AGENTS", "GAMES", "MAPS", "SUMMARY", "cells"]

SUMMARY = (
    "nonconcave games: the main dynamics, DGNOpt, STON'R, double oracle and two controls, local beside global gaps"
)

MAPS = True  # of starts, drawn at the end

GAMES: tuple[dict[str, Any], ...] = (
    {"game": "f1", "box": 3.0},
    {"game": "f1", "box": 1.0},
    {"game": "f2"},
    {"game": "forsaken"},
    {"game": "global_forsaken"},
    {"game": "three_player_trigonometric"},
    {"game": "three_player_polynomial"},
    {"game": "squared_difference"},
)

_STEPS = {"iterations": 25, "evaluate_every": 6, "steps_per_iteration": 20}
AGENTS: dict[str, dict[str, Any]] = {
    "uniform_random": {},
    "ppo": {"iterations": 4, "evaluate_every": 4},
    "independent_gd": {**_STEPS, "step_size": 0.02},
    "extragradient": _STEPS,
    "optimistic_gradient": {**_STEPS, "step_size": 0.02},
    "curvature_eg_plus": _STEPS,
    "consensus_optimization": _STEPS,
    "symplectic_gradient": {**_STEPS, "step_size": 0.005},
    "follow_the_ridge": _STEPS,
    "dgnopt": _STEPS,
    "stonr": {"evaluate_every": 1000},
    "double_oracle": {"iterations": 30, "evaluate_every": 10, "tolerance": 1e-6},
}
"""The agents and what they are given besides their presets."""


def cells() -> list[Cell]:
    """The cells, game by game; a dynamic that is not made for a game is left out there.

    Example:
        >>> {cell.agent for cell in cells() if cell.env["game"] == "three_player_polynomial"} & {"follow_the_ridge"}
        set()
    """
    from strategic_envs.agents.roster import agents
    from strategic_envs.agents.roster.kinds import unsuited
    from strategic_envs.games import catalogue

    found = []
    for env in GAMES:
        game = catalogue.game(env["game"], **{key: value for key, value in env.items() if key != "game"})
        for name, options in AGENTS.items():
            dynamic = getattr(agents().get(name), "dynamic", None)
            if name in agents() and (dynamic is None or unsuited(dynamic, game.sets) is None):
                many = {"meta_solver": "cce"} if name == "double_oracle" and game.n_players > 2 else {}
                found.append(Cell("continuous_game_v0", name, env=env, options={**options, **many}))
    return found
