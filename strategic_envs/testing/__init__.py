"""Public contract checks: what a game, a dynamic, an environment or an evaluator must satisfy to belong here.

Each check raises `AssertionError` with what was got and what was expected, and lists its invariants in its docstring,
those not yet checked included. A test of a new game is one line: `check_game(my_game)`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategic_envs.testing.dynamics import check_dynamic
    from strategic_envs.testing.envs import check_env
    from strategic_envs.testing.evaluators import check_evaluator
    from strategic_envs.testing.games import check_game

__all__ = ["check_dynamic", "check_env", "check_evaluator", "check_game"]

_HOME = {"check_dynamic": "dynamics", "check_env": "envs", "check_evaluator": "evaluators", "check_game": "games"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: there are {', '.join(_HOME)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
