"""Environments by name: ours, and the same in PettingZoo's and Gymnasium's registries.

An environment is a module `<name>_v<N>` of `strategic_envs.envs`: a new file is a new environment, no list needs one.
Listing and registering read the modules' source and import none of them, so neither torch nor ray is loaded.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from strategic_envs import envs
from strategic_envs.errors import InvalidGameError, UnknownNameError

__all__ = [
    "Description",
    "describe",
    "environment_module",
    "list_environments",
    "make",
    "options",
    "register_all",
    "single_agent",
]

_NAME = re.compile(r"\w+_v\d+")


@dataclass(frozen=True)
class Description:
    """What an environment's source says of it.

    Args:
        summary: One line.
        modes: The ways it can be made: `"aec"` (players act in turn) and `"parallel"` (all at once).
    """

    summary: str
    modes: tuple[str, ...]


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(m.name for m in pkgutil.iter_modules(envs.__path__) if _NAME.fullmatch(m.name)))


def list_environments() -> list[str]:
    """The ids of all environments, sorted.

    Example:
        >>> "duopoly_pricing_v0" in list_environments()
        True
    """
    return list(_names())


def _check_name(name: object) -> str:
    if not isinstance(name, str) or name not in _names():
        raise UnknownNameError("environment", name, _names())
    return name


@functools.cache
def describe(name: str) -> Description:
    """What an environment is and how it can be made, read from its source.

    Raises:
        UnknownNameError: If there is no such environment.

    Example:
        >>> describe("tic_tac_toe_v0").modes
        ('aec',)
    """
    spec = importlib.util.find_spec(f"{envs.__name__}.{_check_name(name)}")
    source = getattr(spec.loader, "get_source", lambda _: None)(spec.name) if spec and spec.loader else None
    found: dict[str, Any] = {}
    for statement in ast.parse(source or "").body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name) and target.id in ("SUMMARY", "MODES"):
                    found[target.id] = ast.literal_eval(statement.value)
    if set(found) != {"SUMMARY", "MODES"}:  # computed, or no source at hand: ask the module itself
        module = environment_module(name)
        found = {"SUMMARY": module.SUMMARY, "MODES": module.MODES}
    return Description(found["SUMMARY"], tuple(found["MODES"]))


def environment_module(name: str) -> ModuleType:
    """The module of an environment, with `game`, `env`, `raw_env` and, where it has one, `parallel_env`.

    Raises:
        UnknownNameError: If there is no such environment.
    """
    return importlib.import_module(f"{envs.__name__}.{_check_name(name)}")


def options(name: str) -> dict[str, Any] | None:
    """The options that `make` passes on to an environment, with their defaults; None if any may be an option.

    Example:
        >>> sorted(options("tic_tac_toe_v0"))
        ['render_mode']
        >>> options("duopoly_pricing_v0")["memory"]
        1
    """
    module = environment_module(name)
    found: dict[str, Any] = {}
    for function in (getattr(module, "parallel_env", module.raw_env), module.game):
        parameters = _parameters(function)
        found.update({p.name: p.default for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)})
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return found
    return None


def _parameters(function: Callable[..., Any]) -> Iterable[inspect.Parameter]:
    return inspect.signature(function).parameters.values()


def make(name: str, /, mode: str | None = None, **keywords: Any) -> Any:
    """Makes an environment.

    Args:
        name: One of `list_environments()`.
        mode: `"parallel"`: all act at once; `"aec"`: they act in turn, as PettingZoo's `env()`. By default parallel
            where the environment offers it.
        **keywords: The environment's options, its game's among them.

    Returns:
        A PettingZoo `ParallelEnv` or `AECEnv`.

    Raises:
        UnknownNameError: If there is no such environment, mode or option; the message offers the nearest names.
        InvalidGameError: If an option has a value that the game refuses.

    Example:
        >>> make("duopoly_pricing_v0", m=5, max_cycles=10).action_space("player_0")
        Discrete(5)
        >>> make("tic_tac_to_v0")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
            ...
        strategic_envs.errors.UnknownNameError: unknown environment 'tic_tac_to_v0': did you mean 'tic_tac_toe_v0'? ...
    """
    modes = describe(name).modes
    if mode is None:
        mode = "parallel" if "parallel" in modes else modes[0]
    if mode not in modes:
        if mode == "parallel":
            raise InvalidGameError(
                f"{name} is turn-based only: got mode='parallel', expected mode='aec', or leave it out"
            )
        raise UnknownNameError(f"mode of {name},", mode, modes)
    known = options(name)
    for keyword in keywords:
        if known is not None and keyword not in known:
            raise UnknownNameError(f"option of {name},", keyword, known)
    module = environment_module(name)
    return module.parallel_env(**keywords) if mode == "parallel" else module.env(**keywords)


# --- the registries of others ----------------------------------------------------------------------------------------


def gymnasium_id(name: str) -> str:
    """The id of an environment in Gymnasium's registry.

    Example:
        >>> gymnasium_id("tic_tac_toe_v0")
        'strategic_envs/tic_tac_toe-v0'
    """
    return "strategic_envs/" + re.sub(r"_v(\d+)$", r"-v\1", name)


def single_agent(
    environment: str, *, opponent: Any = "uniform", player: int = 0, render_mode: str | None = None, **keywords: Any
) -> Any:
    """One learner against fixed opponents, by the name of the environment: what Gymnasium's registry makes.

    Args:
        environment: One of `list_environments()`.
        opponent: What every other player does; see `strategic_envs.envs.single_agent.SingleAgentEnv`.
        player: Who learns.
        render_mode: A render mode of the environment.
        **keywords: The environment's options.

    Returns:
        A `gymnasium.Env` with the player's own spaces.

    Example:
        >>> single_agent("duopoly_pricing_v0", m=5).action_space
        Discrete(5)
    """
    from strategic_envs.envs.single_agent import SingleAgentEnv

    env = make(environment, render_mode=render_mode, **keywords)
    return SingleAgentEnv(env, opponent=opponent, player=player)


def register_all() -> None:
    """Registers every environment with PettingZoo and Gymnasium; what is there already is left alone.

    PettingZoo: `pettingzoo.make("parallel", "strategic_envs/duopoly_pricing_v0")`. Gymnasium, where all players but one
    are fixed: `gymnasium.make("strategic_envs/duopoly_pricing-v0", opponent="uniform")`.
    """
    import gymnasium
    from pettingzoo.env_registry import registration as pettingzoo

    for name in list_environments():
        module, modes = f"{envs.__name__}.{name}", describe(name).modes
        key = gymnasium_id(name)  # PettingZoo keeps its ids in the same form
        if "aec" in modes and key not in pettingzoo.aec_registry:
            pettingzoo.register("aec", key, entry_point=f"{module}:env")
        if "parallel" in modes and key not in pettingzoo.parallel_registry:
            pettingzoo.register("parallel", key, entry_point=f"{module}:parallel_env")
        if key not in gymnasium.registry:
            gymnasium.register(key, entry_point=f"{__name__}:single_agent", kwargs={"environment": name})
