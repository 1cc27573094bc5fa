"""The catalogue: every game of this folder, by name.

A module of `strategic_envs.games` offers its games in a dictionary `GAMES` from name to factory. The modules are
discovered, so a new file is a new entry and no list needs a line. Names that it repeats in `READS_FILES` are games that
nobody can build without files of their own.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from strategic_envs import games
from strategic_envs.errors import InvalidGameError, UnknownNameError

__all__ = ["factories", "game", "list_games", "reads_files"]


@functools.cache
def factories() -> Mapping[str, Callable[..., Any]]:
    """Every factory of the catalogue by the name of its game.

    Raises:
        InvalidGameError: If two modules offer one name.

    Example:
        >>> "forsaken" in factories()
        True
    """
    found: dict[str, Callable[..., Any]] = {}
    for module in _modules():
        for name, factory in getattr(module, "GAMES", {}).items():
            if name in found:
                raise InvalidGameError(f"two modules of the catalogue offer a game {name!r}: rename one of them")
            found[name] = factory
    return dict(sorted(found.items()))


@functools.cache
def reads_files() -> frozenset[str]:
    """The names of the games that are made from a user's files, such as road networks.

    Example:
        >>> "sioux_falls" in reads_files()
        True
    """
    return frozenset(name for module in _modules() for name in getattr(module, "READS_FILES", ()))


@functools.cache
def _modules() -> tuple[ModuleType, ...]:
    found = (m.name for m in pkgutil.iter_modules(games.__path__) if not m.ispkg and m.name != "catalogue")
    return tuple(importlib.import_module(f"{games.__name__}.{name}") for name in found)


def list_games(*, files: bool = True) -> list[str]:
    """The names of the games of the catalogue, sorted.

    Args:
        files: Whether games are among them that are made from a user's files.

    Example:
        >>> [name for name in list_games() if name.startswith("matching")]
        ['matching_pennies', 'matching_pennies_box']
    """
    return [name for name in factories() if files or name not in reads_files()]


def game(name: str, /, **options: Any) -> Any:
    """The game of the catalogue called `name`.

    Args:
        name: One of `list_games()`.
        **options: The options of that game, such as `box=5.0` of `f1`.

    Returns:
        The game, of the kind its factory makes (most are `strategic_envs.games.kinds.game.Game`).

    Raises:
        UnknownNameError: If there is no such game, or it has no such option; the message offers the nearest names.
        InvalidGameError: If an option that the game needs is missing, or has a value that it refuses.

    Example:
        >>> game("f1", box=5.0).sets[0]
        Box(-5.0, 5.0)
        >>> game("forsakn")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
            ...
        strategic_envs.errors.UnknownNameError: unknown game 'forsakn': did you mean 'forsaken'? There are: ...
    """
    if name not in factories():
        raise UnknownNameError("game", name, factories())
    factory = factories()[name]
    parameters = inspect.signature(factory).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        for option in options:
            if option not in parameters:
                raise UnknownNameError(f"option of the game {name!r},", option, parameters)
    missing = [
        p.name
        for p in parameters.values()
        if p.default is p.empty
        and p.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        and p.name not in options
    ]
    if missing:
        raise InvalidGameError(f"{name}: needs {', '.join(missing)}: pass {missing[0]}=...")
    return factory(**options)
