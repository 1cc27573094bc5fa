"""Run folders: what was asked, with what it was run, and what came out, row by row.

A run folder holds `run.json` (the resolved configuration and the versions) and `rows.jsonl` (one JSON object a line).
A row is on disk, whole, before `append` returns, so a killed run loses at most the row it was working on: opening the
folder again with the same configuration continues it. A folder that holds anything else is refused and left untouched.

Numbers that are not finite are written as Python's JSON does (`NaN`, `Infinity`).
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from strategic_envs.errors import CheckpointError

__all__ = [
    "FIGURE_COLUMNS",
    "LEADERBOARD_COLUMNS",
    "RunFolder",
    "read_leaderboard",
    "replace_folder",
    "versions",
    "write_atomic",
    "write_leaderboard",
]

LEADERBOARD_COLUMNS = (
    "environment",
    "options",
    "agent",
    "seed",
    "exploitability",
    "exploitability_exact",
    "cce_gap",
    "local_nash_gap",
    "local_cce_gap",
    "steps",
    "seconds",
)
"""What every row of a leaderboard has."""

FIGURE_COLUMNS = (
    "profit_gain",
    "best_reply_loss",
    "rival_response",
    "deviation_gain",
    "deviation_unprofitable",
    "layer_gap",
    "layer_excess",
    "path_gap",
    "norm_gap",
    "identity_error",
    "total_cost",
    "wardrop_excess",
    "relative_gap",
)
"""What rows about some games have beside: a leaderboard has such a column if a row of it does."""

_DISTRIBUTIONS = ("strategic-envs", "numpy", "torch", "gymnasium", "pettingzoo", "ray")


def versions(device: str = "cpu") -> dict[str, str]:
    """The versions that decide a result: Python, this package, its dependencies, and the device.

    Packages that are not installed are left out. Nothing is imported but, for a GPU's name, torch.

    Args:
        device: Where the run computes: `"cpu"`, `"cuda"`, or `"auto"` for a GPU if there is one.

    Example:
        >>> sorted(versions())[:2]
        ['device', 'gymnasium']
    """
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if "strategic-envs" not in found:  # a checkout that is not installed
        import strategic_envs

        found["strategic-envs"] = strategic_envs.__version__
    found["device"] = "cpu"
    if device != "cpu":
        import torch

        if torch.cuda.is_available():
            found["device"] = torch.cuda.get_device_name()
    return dict(sorted(found.items()))


def write_atomic(path: Path, text: str) -> None:
    """Writes a file so that a reader sees either the old content or the new, never a part.

    Example:
        >>> write_atomic(Path("note.txt"), "whole")
        >>> Path("note.txt").read_text()
        'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class RunFolder:
    """One run's folder. Made by `RunFolder.create` and read by `RunFolder.open`.

    Args:
        path: The folder.
        config: The resolved configuration, as JSON.

    Example:
        >>> run = RunFolder.create(Path("runs/first"), {"seed": 0})
        >>> run.append({"step": 1, "gap": 0.5})
        >>> RunFolder.create(Path("runs/first"), {"seed": 0}).rows()
        [{'step': 1, 'gap': 0.5}]
        >>> RunFolder.create(Path("runs/first"), {"seed": 1})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        strategic_envs.errors.CheckpointError: runs/first holds another run (it has seed=0, this one has seed=1): ...
    """

    path: Path
    config: dict[str, Any]

    @classmethod
    def create(
        cls, path: str | Path, config: Mapping[str, Any], *, device: str = "cpu", resume: bool = True
    ) -> RunFolder:
        """Makes a run folder, or continues the one that is there if it is the same run.

        Args:
            path: The folder; its parents are made.
            config: Everything that decides the result, of JSON's types.
            device: Where the run computes, as for `versions`.
            resume: Whether a folder of the same run may be continued.

        Raises:
            CheckpointError: If the folder holds another run, the same run made with other versions, a run although
                `resume` is False, or files that are no run. Nothing in it is changed.
        """
        folder, wanted, made_with = Path(path), _plain(config), versions(device)
        if folder.exists() and not folder.is_dir():
            raise CheckpointError(f"{folder} is a file, expected a folder for results: choose another name")
        if folder.is_dir() and any(folder.iterdir()):
            there = cls.open(folder)
            differences = _differences(there.config, wanted)
            if differences:
                raise CheckpointError(f"{folder} holds another run ({differences}): choose another folder")
            if not resume:
                raise CheckpointError(f"{folder} already holds this run: choose another folder")
            differences = _differences(there.versions(), made_with)
            if differences:
                raise CheckpointError(
                    f"{folder} holds this run, made elsewhere ({differences}): results of two machines or versions "
                    f"are not mixed, choose another folder"
                )
            return there
        write_atomic(folder / "run.json", json.dumps({"config": wanted, "versions": made_with}, indent=2) + "\n")
        return cls(folder, wanted)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """The run in a folder.

        Raises:
            CheckpointError: If there is no readable `run.json`.
        """
        folder = Path(path)
        record = _read_json(folder / "run.json", f"{folder} is no run folder: it has no readable run.json")
        if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
            raise CheckpointError(f"{folder}/run.json is damaged: expected an object with a configuration")
        return cls(folder, record["config"])

    def versions(self) -> dict[str, str]:
        """The versions that the run was started with."""
        record = _read_json(self.path / "run.json", f"{self.path} is no run folder")
        return record.get("versions", {})

    def discard_unused(self) -> None:
        """Removes a folder that holds nothing but its configuration: a run that failed before its first row."""
        if [path.name for path in self.path.iterdir()] == ["run.json"]:
            (self.path / "run.json").unlink()
            self.path.rmdir()

    @property
    def _rows_file(self) -> Path:
        return self.path / "rows.jsonl"

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row; it is on disk when this returns. A line that a killed run left unfinished is dropped."""
        line = json.dumps(_plain(row)) + "\n"
        with self._rows_file.open("ab+") as file:
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def rows(self) -> list[dict[str, Any]]:
        """All whole rows, in order.

        Raises:
            CheckpointError: If a line is not JSON.
        """
        if not self._rows_file.exists():
            return []
        lines = self._rows_file.read_bytes().split(b"\n")[:-1]  # what follows the last newline is unfinished
        rows = []
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise CheckpointError(f"{self._rows_file}, line {number} is damaged: {error}") from error
        return rows


def write_leaderboard(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a leaderboard: a JSON list of rows that have `LEADERBOARD_COLUMNS`, whole or not at all.

    Those of `FIGURE_COLUMNS` that a row has are written too.

    Raises:
        CheckpointError: If a row lacks a column or has no value in one; an existing file stays as it is.
    """
    table: list[dict[str, Any]] = []
    for row in rows:
        plain = _plain(row)
        empty = [name for name in LEADERBOARD_COLUMNS if plain.get(name) is None]
        if empty:
            raise CheckpointError(
                f"the row {plain.get('environment')}, {plain.get('agent')}, seed {plain.get('seed')} has no "
                f"{', '.join(empty)}: every row needs {', '.join(LEADERBOARD_COLUMNS)}"
            )
        more = [name for name in FIGURE_COLUMNS if plain.get(name) is not None]
        table.append({name: plain[name] for name in (*LEADERBOARD_COLUMNS, *more)})
    lines = ",\n".join(f"  {json.dumps(row)}" for row in table)
    write_atomic(Path(path), f"[\n{lines}\n]\n")


def read_leaderboard(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a leaderboard.

    Raises:
        CheckpointError: If the file is missing or not a JSON list.
    """
    table = _read_json(Path(path), f"{path} is no leaderboard: it is missing or not JSON")
    if not isinstance(table, list):
        raise CheckpointError(f"{path} is no leaderboard: expected a list of rows, got a {type(table).__name__}")
    return table


def replace_folder(new: str | Path, old: str | Path) -> None:
    """Puts a finished folder in the place of another; the other is deleted only once the new one is there."""
    new, old = Path(new), Path(old)
    aside = old.with_name(f".{old.name}.replaced")
    if old.exists():
        if aside.exists():
            shutil.rmtree(aside)
        old.rename(aside)
    new.rename(old)
    shutil.rmtree(aside, ignore_errors=True)


def _plain(value: Any) -> Any:
    """The same value in JSON's types: numbers of numpy and torch become Python's, tuples lists, paths strings."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str | bool | int | float) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    raise TypeError(f"got a {type(value).__name__}, which JSON cannot hold: pass numbers, strings, lists and mappings")


def _differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    keys = [key for key in sorted({*there, *wanted}) if there.get(key) != wanted.get(key)]
    had = ", ".join(f"{key}={there.get(key)!r}" for key in keys[:3])
    have = ", ".join(f"{key}={wanted.get(key)!r}" for key in keys[:3])
    return f"it has {had}, this one has {have}" if keys else ""


def _read_json(path: Path, message: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{message} ({type(error).__name__})") from error
