"""The roster: everybody who plays, as the command line and the leaderboards know them.

Each file of this folder that defines `AGENT` adds one, one that defines `AGENTS` several. Nothing here imports ray
before an agent trains with it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from pathlib import Path
from typing import Any

from strategic_envs.agents.roster.base import GAPS, Agent, Job, Result
from strategic_envs.errors import CheckpointError, UnknownNameError

__all__ = ["GAPS", "Agent", "Job", "Result", "agent", "agents", "checkpoint_play", "evaluate_checkpoint"]


@functools.cache
def _found() -> dict[str, Agent]:
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    found = [one for m in modules for one in (*getattr(m, "AGENTS", ()), *([m.AGENT] if hasattr(m, "AGENT") else []))]
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}


def agents() -> dict[str, Agent]:
    """All agents by name.

    Example:
        >>> {"extragradient", "independent_gd", "ppo", "uniform_random"} <= set(agents())
        True
    """
    return dict(_found())


def agent(name: str) -> Agent:
    """The agent of this name.

    Raises:
        UnknownNameError: If there is none; the message offers the nearest names.

    Example:
        >>> agent("ppo").needs_ray
        True
    """
    found = _found()
    if name not in found:
        raise UnknownNameError("agent", name, found)
    return found[name]


def evaluate_checkpoint(path: str | Path, environment: str | None = None) -> dict[str, Any]:
    """Judges a checkpoint again: the row that its run ended with, measured anew.

    Args:
        path: The folder of the checkpoint, or one that holds it as `checkpoint`.
        environment: If given, the checkpoint must be of this environment.

    Returns:
        A row: `environment`, `agent`, `seed`, `iteration`, `steps`, `seconds` and the gaps.

    Raises:
        CheckpointError: If it is missing, damaged, of another environment, or of an agent that is not known.
    """
    folder, about = _opened(path, environment)
    owner = _without_ray(about)
    if owner is not None:
        return owner.judged_again(folder, about)
    from strategic_envs.agents.rllib.judged import judged_again

    return judged_again(folder, about)


def checkpoint_play(path: str | Path, environment: str | None = None) -> tuple[Any, Any]:
    """The game of a checkpoint, and what everybody plays in it, as evaluators take it.

    Args:
        path: The folder of the checkpoint, or one that holds it as `checkpoint`.
        environment: If given, the checkpoint must be of this environment.

    Raises:
        CheckpointError: If it is missing, damaged, of another environment, or amounts to no play of the game's kind.
    """
    folder, about = _opened(path, environment)
    owner = _without_ray(about)
    if owner is not None:
        return owner.played_again(folder, about)
    from strategic_envs.agents.rllib.judged import played_again

    return played_again(folder, about)


def _without_ray(about: dict[str, Any]) -> Agent | None:
    """The agent that wrote a checkpoint, if it reads its own checkpoints without Ray."""
    owner = agents().get(str(about.get("agent")))
    return owner if owner is not None and not owner.needs_ray else None


def _opened(path: str | Path, environment: str | None) -> tuple[Path, dict[str, Any]]:
    """The folder of a checkpoint, and what it says of itself."""
    from strategic_envs.agents.checkpoint import read_metadata

    folder = Path(path)
    if not (folder / "strategic_envs.json").is_file() and (folder / "checkpoint").is_dir():
        folder = folder / "checkpoint"
    about = read_metadata(folder)
    if environment is not None and about.get("environment") != environment:
        raise CheckpointError(
            f"{folder}: the checkpoint is of {about.get('environment')!r}, expected one of {environment!r}"
        )
    return folder, about
