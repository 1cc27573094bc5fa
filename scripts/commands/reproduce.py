"""`strategic-envs reproduce`: runs a published result again and puts ours beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from tyro.conf import Positional, arg

from strategic_envs.errors import CheckpointError
from strategic_envs.results import versions, write_atomic
from strategic_envs.scripts.discover import find, names
from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.tables import console, print_table

_COLUMNS = ("quantity", "ours", "expected", "within", "source")
_VERDICTS = {True: "within", False: "MISSED", None: "-"}


@dataclass(frozen=True)
class Command:
    """Reproduces a published result and says where ours is within its tolerance and where it is missed.

    With no name, lists what can be reproduced. A reproduction may have options of its own: `reproduce NAME --help`.
    """

    name: Annotated[Positional[str | None], arg(metavar="NAME")] = None
    """Which result, such as gradient-cycles."""
    out: Path | None = None
    """The folder for tables and pictures; results/reproduce/NAME if not given."""
    seed: int = 0
    """The same seed gives the same numbers."""
    quick: bool = False
    """A shorter run, for a first look."""

    def run(self) -> None:
        """Prints the comparison."""
        out = console()
        if self.name is None:
            rows = [[name, find("reproduce", name, "reproduction").SUMMARY] for name in names("reproduce")]
            print_table(out, "reproductions", ["name", "what it is"], rows)
            return
        module = find("reproduce", self.name, "reproduction")
        if self.seed < 0:
            raise InputError(f"got --seed {self.seed}, expected a whole number from 0")
        asked: dict[str, Any] = {"seed": self.seed, "quick": self.quick}
        if hasattr(module, "Options"):
            asked["options"] = module.Options(**{f.name: getattr(self, f.name) for f in fields(module.Options)})
        folder = self._folder(module)
        rows = [dict(row) for row in module.reproduce(folder, **asked)]
        record = {"name": module.NAME, "finished": True, **asked, "versions": versions(), "rows": rows}
        write_atomic(folder / "reproduction.json", json.dumps(record, indent=2, default=_plain) + "\n")
        further = list(dict.fromkeys(key for row in rows for key in row if key not in _COLUMNS))
        shown = [
            [row["quantity"], row["ours"], row["expected"]]
            + [row.get(key, "") for key in further]
            + [_VERDICTS[None if row["within"] is None else bool(row["within"])], row["source"]]
            for row in rows
        ]
        print_table(out, module.SUMMARY, ["quantity", "ours", "expected", *further, "verdict", "source"], shown)
        judged = [bool(row["within"]) for row in rows if row["within"] is not None]
        out.print(
            f"{sum(judged)} of {len(judged)} within their tolerance; tables and pictures are in {folder}",
            highlight=False,
        )

    def _folder(self, module: ModuleType) -> Path:
        """The folder for results: a new or empty one, or one in which the same reproduction may go on."""
        folder = self.out or Path("results") / "reproduce" / module.NAME
        resumes = getattr(module, "RESUMES", False)
        if self.out is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            if not resumes:
                raise CheckpointError(f"{folder} is not an empty folder: choose another name")
            there = _started(folder)
            if there is None or there.get("name") != module.NAME:
                raise CheckpointError(
                    f"{folder} is neither empty nor the folder of a run of {module.NAME} that could go on: "
                    f"choose another name"
                )
        folder.mkdir(parents=True, exist_ok=True)
        if resumes:
            record = {"name": module.NAME, "finished": False, "seed": self.seed}
            write_atomic(folder / "reproduction.json", json.dumps(record) + "\n")
        return folder


def command_for(words: Sequence[str]) -> type[Command]:
    """The command with the options of the reproduction that the words name.

    Args:
        words: What follows `strategic-envs reproduce`.

    Returns:
        `Command`, or a subclass that has the fields of the reproduction's `Options` as well.

    Example:
        >>> command_for(["gradient-cycles", "--quick"]) is Command
        True
    """
    there = names("reproduce")
    spoken = (word for before, word in zip(["", *words], words, strict=False) if before != "--out")
    name = next((word for word in spoken if word.replace("_", "-") in there), None)
    options = getattr(find("reproduce", name, "reproduction"), "Options", None) if name else None
    if options is None:
        return Command
    own = type(Command.__name__, (options, Command), {"__doc__": Command.__doc__, "__module__": __name__})
    return dataclass(frozen=True)(own)


def _started(folder: Path) -> dict[str, Any] | None:
    """What the folder's record says; None if it has none."""
    try:
        record = json.loads((folder / "reproduction.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _plain(value: object) -> object:
    """What JSON does not know: options as a dictionary, paths as text, numbers of numpy as Python's."""
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: getattr(value, f.name) for f in fields(value)}  # pyright: ignore[reportArgumentType]
    return str(value) if isinstance(value, Path) else float(value)  # pyright: ignore[reportArgumentType]
