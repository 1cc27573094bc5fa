"""What the dynamics of this project are called and can be set to, read from their source files.

Importing them would import torch, which takes longer than everything else that lists the roster does. So their files
are parsed: a class that derives from `Dynamic` and says its `name` is a dynamic, as it is for `dynamics()`.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["Described", "described"]

_UNKNOWN = object()


@dataclass(frozen=True)
class Described:
    """A dynamic as its source describes it.

    Args:
        name: What it is called.
        summary: What it does, in one line.
        needs: What it asks of an oracle.
        batched: Whether it takes many starts at once.
        experimental: Whether it is a rule without a theory.
        settings: Its hyper-parameters with their defaults; None where there is no default, or none that is a literal.
    """

    name: str
    summary: str
    needs: tuple[str, ...]
    batched: bool
    experimental: bool
    settings: Mapping[str, Any]


@functools.cache
def described() -> Mapping[str, Described]:
    """All dynamics by name, sorted.

    Example:
        >>> described()["online_gradient"].settings
        {'step_size': None, 'schedule': 'constant'}
    """
    spec = find_spec("strategic_envs.agents.dynamics")
    assert spec is not None and spec.submodule_search_locations is not None, "this package has a folder of dynamics"
    files = sorted(path for folder in spec.submodule_search_locations for path in Path(folder).glob("*.py"))
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    classes = {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}
    found = (_read(node, classes) for node in classes.values() if "name" in _constants(node))
    return dict(sorted((one.name, one) for one in found if one is not None))


def _read(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> Described | None:
    line = _ancestry(node, classes)
    if "Dynamic" not in [one.name for one in line[:-1]]:
        return None
    said: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for one in line:  # from the root down: what is said later counts
        said |= _constants(one)
        settings |= _settings(one)
    return Described(
        name=said["name"],
        summary=said.get("summary", ""),
        needs=said["needs"],
        batched=said["batched"],
        experimental=said["experimental"],
        settings=settings,
    )


def _ancestry(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> list[ast.ClassDef]:
    """The class and its bases in these files, the root first."""
    bases = (base.value if isinstance(base, ast.Subscript) else base for base in node.bases)
    names = [base.id for base in bases if isinstance(base, ast.Name) and base.id in classes]
    return [one for name in names for one in _ancestry(classes[name], classes)] + [node]


def _constants(node: ast.ClassDef) -> dict[str, Any]:
    """The class attributes that are literals."""
    found = {}
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and _is_class_variable(line):
            value = _literal(line.value)
            if value is not _UNKNOWN:
                found[line.target.id] = value
    return found


def _settings(node: ast.ClassDef) -> dict[str, Any]:
    """The fields of the dataclass."""
    fields = (line for line in node.body if isinstance(line, ast.AnnAssign) and not _is_class_variable(line))
    named = ((line.target.id, _literal(line.value)) for line in fields if isinstance(line.target, ast.Name))
    return {name: None if value is _UNKNOWN else value for name, value in named}


def _is_class_variable(line: ast.AnnAssign) -> bool:
    return ast.unparse(line.annotation).startswith("ClassVar")


def _literal(value: ast.expr | None) -> Any:
    if value is None:
        return _UNKNOWN
    try:
        return ast.literal_eval(value)
    except ValueError:
        return _UNKNOWN
