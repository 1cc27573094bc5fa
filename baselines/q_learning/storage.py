"""Sessions in a folder: saved as they finish, read again by a later run of the same settings.

`settings.json` says what the sessions depend on, except their numbers; `part-00001.npz`, ... hold their ends. Files are
written beside their place and then moved to it, so a killed run leaves whole files or none.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from strategic_envs.baselines.q_learning.session import Outcome, Plan
from strategic_envs.errors import CheckpointError

__all__ = ["Store"]

_FORMAT = 1  # changes with the draws or the files
_PART, _SECONDS = 64, 5.0  # a part is written after so many sessions, or so many seconds


class Store:
    """A folder of sessions of one plan.

    Args:
        folder: The folder; made if it is not there.
        plan: What the sessions depend on.

    Raises:
        CheckpointError: If the folder holds sessions of another plan; the message says what differs.
    """

    def __init__(self, folder: str | Path, plan: Plan) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._waiting: list[Outcome] = []
        self._written = time.monotonic()
        self._agree(_fingerprint(plan))

    def _agree(self, ours: dict[str, Any]) -> None:
        path = self.folder / "settings.json"
        if not path.exists():
            if any(self.folder.glob("part-*.npz")):
                raise CheckpointError(f"{self.folder} holds sessions but no settings.json: take another folder")
            text = json.dumps({**ours, "versions": {"numpy": np.__version__, "numba": version("numba")}}, indent=1)
            _write(path, text.encode())
            return
        try:
            theirs = json.loads(path.read_text())
        except ValueError as error:
            raise CheckpointError(f"{path} is damaged ({error}): delete the folder or take another one") from error
        differing = [name for name in ours if ours[name] != theirs.get(name)]
        if differing:
            parts = "; ".join(f"{name}: saved {theirs.get(name)!r}, asked for {ours[name]!r}" for name in differing)
            raise CheckpointError(
                f"{self.folder} holds sessions of other settings ({parts}): take another folder, or the same settings"
            )

    def read(self, numbers: set[int]) -> dict[int, Outcome]:
        """The saved ends of those sessions that are there.

        Raises:
            CheckpointError: If a file is damaged.
        """
        found: dict[int, Outcome] = {}
        for path in sorted(self.folder.glob("part-*.npz")):
            try:
                with np.load(path) as saved:
                    found.update((end.number, end) for end in _unpacked(saved) if end.number in numbers)
            except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
                raise CheckpointError(
                    f"{path} is damaged ({error}): delete it, and its sessions are played again"
                ) from error
        return found

    def add(self, end: Outcome) -> None:
        """Takes a session that has finished; it is on disk within some seconds of work."""
        self._waiting.append(end)
        if len(self._waiting) >= _PART or time.monotonic() - self._written > _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        if self._waiting:
            last = max((int(path.stem[5:]) for path in self.folder.glob("part-*.npz")), default=0)
            _write_part(self.folder / f"part-{last + 1:05d}.npz", self._waiting)
            self._waiting = []
        self._written = time.monotonic()


def _write_part(path: Path, ends: list[Outcome]) -> None:
    arrays: dict[str, Any] = {
        name: np.array([getattr(end, name) for end in ends])
        for name in ("number", "state", "periods", "converged", "visited")
    }
    arrays["strategy"] = np.stack([end.strategy for end in ends])
    arrays["blocks"] = np.array([len(end.gain) for end in ends])
    arrays["gain"] = np.concatenate([end.gain for end in ends])
    if ends[0].q is not None:
        arrays["q"] = np.stack([end.q for end in ends if end.q is not None])
    beside = path.with_suffix(".tmp")
    with beside.open("wb") as file:
        np.savez(file, **arrays)
    beside.replace(path)


def _unpacked(saved: Any) -> list[Outcome]:
    arrays = {name: saved[name] for name in saved.files}
    gains = np.split(arrays["gain"], np.cumsum(arrays["blocks"])[:-1])
    return [
        Outcome(
            number=int(arrays["number"][r]),
            strategy=arrays["strategy"][r],
            state=int(arrays["state"][r]),
            periods=int(arrays["periods"][r]),
            converged=bool(arrays["converged"][r]),
            visited=int(arrays["visited"][r]),
            q=arrays["q"][r] if "q" in arrays else None,
            gain=gains[r],
        )
        for r in range(len(arrays["number"]))
    ]


def _fingerprint(plan: Plan) -> dict[str, Any]:
    """What the sessions of a plan depend on, in words and digests."""
    tables, learner = plan.tables, plan.learner
    arrays = (tables.grid, tables.profit, tables.chain, tables.present, tables.nash_profits, tables.monopoly_profits)
    first = learner.initial.table(tables) if plan.start_q is None else plan.start_q
    return {
        "format": _FORMAT,
        "game": f"n={tables.n}, m={tables.m}, memory={tables.memory}, delta={tables.delta}, {_digest(*arrays)}",
        "alpha": repr(learner.alpha),
        "exploration": repr(learner.schedule),
        "first values": f"{type(learner.initial).__name__ if plan.start_q is None else 'start_q'}, {_digest(first)}",
        "spread of first values": repr(learner.initial.spread) if plan.start_q is None else "0.0",
        "ties": learner.ties,
        "window": int(learner.window),
        "cap": int(learner.cap),
        "seed": plan.seed if plan.draws != "replay" else 0,
        "draws": plan.draws,
        "dtype": plan.dtype,
        "keep_q": plan.keep_q,
        "gain_every": plan.gain_every,
        "start_state": "drawn" if plan.start_state is None else _digest(plan.start_state),
        "frozen": {str(firm): _digest(plan.frozen[firm]) for firm in sorted(plan.frozen)},
    }


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _write(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".tmp")
    beside.write_bytes(content)
    beside.replace(path)
