"""The pricing preset: who sets supracompetitive prices, and who defends them.

All learners and fixed firms on the duopoly of Calvano et al. (2020), in one table: the profit gain, what an exact best
response would gain, and what a price cut is answered with. High prices alone are no collusion: those of
`cooperative_gradient` and `monopoly` are the highest, and invite every cut. Q-learning comes with its controls: at a
discount factor of 0, and without memory, no threat can work. Without memory alone its prices are nevertheless as high
as the cartel's, because the value of the only state feeds on itself: that is what spurious collusion looks like.

The gradient dynamics take exact gradients here, so that their rows show where they lead and no noise: with Adam's steps
to a static equilibrium; with plain ones to price indices 2 and 3, beside it, where the slope of a softmax that has all
but decided has faded away. PPO, DQN and PSRO are as their presets have them, but for other lengths of runs.
"""

from __future__ import annotations

from typing import Any

from strategic_envs.scripts.cells import Cell

__all__ = ["AGENTS", "SUMMARY", "cells"]

SUMMARY = "the pricing duopoly: profit gain, exploitability and punishment of learners and of fixed firms"

_ENVIRONMENT = "duopoly_pricing_v0"
_EXACT = {"field": "exact", "games_per_sample": None, "horizon": None, "iterations": 200, "evaluate_every": 20}

AGENTS: dict[str, dict[str, Any]] = {
    "static_nash": {},
    "monopoly": {},
    "grim_trigger": {},
    "tit_for_tat": {},
    "best_reply": {},
    "uniform_random": {},
    "q_learning": {},
    "cooperative_gradient": {"iterations": 100, "evaluate_every": 10},
    "independent_gd": _EXACT,
    "extragradient": _EXACT,
    "adam_gradient": {**_EXACT, "iterations": 100},
    "dgnopt": {},
    "ppo": {"iterations": 30, "evaluate_every": 3},
    "dqn": {"evaluate_every": 2},
    "double_oracle": {},
    "psro": {"iterations": 5},
}
"""The agents and what they are given besides their presets."""

_SEEDS = {"q_learning": (0, 1, 2)}
_CONTROLS: tuple[dict[str, Any], ...] = ({"delta": 0.0}, {"delta": 0.0, "memory": 0}, {"memory": 0})  # of Q-learning


def cells() -> list[Cell]:
    """The cells: the baseline, then the controls.

    Example:
        >>> [cell.env for cell in cells() if cell.agent == "q_learning"][-2:]
        [{'delta': 0.0, 'memory': 0}, {'memory': 0}]
    """
    found = [
        Cell(_ENVIRONMENT, name, seed, options=dict(options))
        for name, options in AGENTS.items()
        for seed in _SEEDS.get(name, (0,))
    ]
    return found + [Cell(_ENVIRONMENT, "q_learning", env=dict(env)) for env in _CONTROLS]
