"""What a checkpoint says of itself: whose it is, and whether it is whole.

Beside RLlib's own files a checkpoint holds `strategic_envs.json`: the environment, its options, the agent, versions,
and a digest of every other file. It is read before anything else is: nothing is loaded from a damaged checkpoint, or
from one of another environment. The other files are pickles, so load only checkpoints that you trust.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from strategic_envs.errors import CheckpointError

__all__ = ["check_belongs", "read_metadata", "write_metadata"]

_FILE = "strategic_envs.json"
_PACKAGES = ("strategic-envs", "ray", "torch", "numpy")


def write_metadata(path: str | Path, about: Mapping[str, Any]) -> None:
    """Writes the description of a checkpoint, last of all its files.

    Args:
        path: The folder of the checkpoint.
        about: What to say: `environment`, `env_options`, `agent`, `seed`, `iteration` and settings.
    """
    folder = Path(path)
    content = {**about, "versions": _versions(), "digests": _digests(folder)}
    (folder / _FILE).write_text(json.dumps(content, indent=1, sort_keys=True, default=repr))


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The description of a checkpoint, if the checkpoint is whole.

    Raises:
        CheckpointError: If there is no checkpoint, or a file of it is missing or has changed.
    """
    folder = Path(path)
    if not (folder / _FILE).is_file():
        what = "no such folder" if not folder.is_dir() else f"no file {_FILE} in it"
        raise CheckpointError(f"{folder}: {what}, expected a checkpoint that this project wrote (see train --out)")
    try:
        content = json.loads((folder / _FILE).read_text())
        expected: dict[str, str] = content["digests"]
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{folder / _FILE}: not readable ({error}): the checkpoint is damaged") from error
    found = _digests(folder)
    missing = sorted(set(expected) - set(found))
    changed = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
    if missing or changed:
        raise CheckpointError(
            f"{folder}: the checkpoint is damaged: missing {missing or 'nothing'}, changed {changed or 'nothing'}; "
            "take another checkpoint of the run, or train again"
        )
    return content


def check_belongs(path: str | Path, metadata: Mapping[str, Any], environment: str, options: Mapping[str, Any]) -> None:
    """Refuses a checkpoint of another environment.

    Args:
        path: The folder, for the message.
        metadata: What `read_metadata` returned.
        environment: The environment that is wanted.
        options: Its options.

    Raises:
        CheckpointError: If the environment or its options differ.
    """
    wanted = (environment, json.loads(json.dumps(dict(options), sort_keys=True, default=repr)))
    got = (metadata.get("environment"), metadata.get("env_options"))
    if got != wanted:
        raise CheckpointError(
            f"{path}: the checkpoint is of {got[0]!r} with options {got[1]}, expected {wanted[0]!r} with options "
            f"{wanted[1]}: build the algorithm for the environment of the checkpoint"
        )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "a checkout"
    return found


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != _FILE and not p.name.startswith("."))
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
