"""Meta-solvers: what mixture of the populations found so far PSRO responds to, one file each.

A file added to this folder with a subclass of `MetaSolver` is discovered; no list need be edited.

Example:
    >>> import torch
    >>> rock_paper_scissors = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]).double()
    >>> meta_solver("uniform")(torch.stack([rock_paper_scissors, -rock_paper_scissors])).marginals[0].tolist()
    [0.3333333333333333, 0.3333333333333333, 0.3333333333333333]
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from typing import Any

from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution, MetaSolver
from strategic_envs.errors import InvalidSettingError, UnknownNameError

__all__ = ["MetaSolution", "MetaSolver", "meta_solver", "meta_solvers"]


def meta_solvers() -> dict[str, type[MetaSolver]]:
    """All meta-solvers of this folder by name.

    Example:
        >>> "nash" in meta_solvers()
        True
    """
    found: dict[str, type[MetaSolver]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if not inspect.isclass(value) or value.__module__ != module.__name__ or inspect.isabstract(value):
                continue
            if issubclass(value, MetaSolver):
                found[value.name] = value
    return dict(sorted(found.items()))


def meta_solver(name: str, /, **settings: Any) -> MetaSolver:
    """A meta-solver by name.

    Args:
        name: One of `meta_solvers()`.
        **settings: Its settings.

    Raises:
        UnknownNameError: If there is no such meta-solver; the message offers the nearest names.
        InvalidSettingError: If a setting is unknown or makes no sense.
    """
    found = meta_solvers()
    if name not in found:
        raise UnknownNameError("meta-solver", name, found)
    fields = {f.name for f in dataclasses.fields(found[name])}  # pyright: ignore[reportArgumentType]
    if not set(settings) <= fields:
        raise InvalidSettingError(f"{name}: got settings {sorted(settings)}, expected some of {sorted(fields)}")
    return found[name](**settings)
