"""The game of an environment, by the environment's id."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

from strategic_envs import envs
from strategic_envs.errors import UnknownNameError

__all__ = ["environment_game"]

_FACE_OPTIONS = {"max_cycles", "mode", "render_mode"}  # of the environment, not of its game


def environment_game(environment: str, options: Mapping[str, Any]) -> Any:
    """The game that an environment shows.

    One process builds it once for the same id and options.

    Args:
        environment: The id.
        options: The environment's options; those of its face alone are passed over.

    Raises:
        UnknownNameError: If there is no such environment.
    """
    module = _module(environment)
    face = getattr(module, "parallel_env", module.raw_env)
    shown = _named(face) - _named(module.game) | _FACE_OPTIONS
    own = {k: v for k, v in options.items() if k not in shown}
    try:
        return _cached(environment, json.dumps(own, sort_keys=True))
    except TypeError:  # an option that is no plain value, such as a game
        return module.game(**own)


def _named(function: Callable[..., Any]) -> set[str]:
    """The parameters that a function names."""
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {p.name for p in inspect.signature(function).parameters.values() if p.kind not in variadic}


@functools.lru_cache(maxsize=16)
def _cached(environment: str, options: str) -> Any:
    return _module(environment).game(**json.loads(options))


def _module(environment: str) -> Any:
    names = [m.name for m in pkgutil.iter_modules(envs.__path__) if not m.ispkg and m.name.rpartition("_v")[1]]
    if environment not in names:
        raise UnknownNameError("environment", environment, names)
    return importlib.import_module(f"{envs.__name__}.{environment}")
