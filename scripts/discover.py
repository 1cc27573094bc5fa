"""Finds what folders hold: commands, presets and reproductions are files, and no list names them."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from strategic_envs.errors import UnknownNameError

__all__ = ["find", "names"]


def names(folder: str) -> list[str]:
    """The names of a folder's modules, with dashes.

    Args:
        folder: A package of scripts: `"commands"`, `"presets"`, `"reproduce"`.

    Example:
        >>> "quick" in names("presets")
        True
    """
    package = importlib.import_module(f"strategic_envs.scripts.{folder}")
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name.replace("_", "-") for name in found if not name.startswith("_"))


def find(folder: str, name: str, kind: str) -> ModuleType:
    """The module called `name` in a folder of scripts.

    Args:
        folder: A package of scripts.
        name: A name out of `names(folder)`; underscores do as well.
        kind: What errors call it, in the singular.

    Raises:
        UnknownNameError: If there is none; the message offers the nearest.

    Example:
        >>> find("presets", "quik", "preset")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
            ...
        strategic_envs.errors.UnknownNameError: unknown preset 'quik': did you mean 'quick'? There are: quick
    """
    name = name.replace("_", "-")
    if name not in names(folder):
        raise UnknownNameError(kind, name, names(folder))
    return importlib.import_module(f"strategic_envs.scripts.{folder}.{name.replace('-', '_')}")
