"""`strategic-envs reproduce`: runs a published result again and puts ours beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from strategic_envs.errors import CheckpointError
from strategic_envs.results import versions, write_atomic
from strategic_envs.scripts.discover import find, names
from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.tables import console, print_table


@dataclass(frozen=True)
class Command:
    """Reproduces a published result and says where ours is within its tolerance and where it is missed.

    With no name, lists what can be reproduced.
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
        folder = self.out or Path("results") / "reproduce" / module.NAME
        if self.out is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CheckpointError(f"{folder} is not an empty folder: choose another name")
        folder.mkdir(parents=True, exist_ok=True)
        rows = [dict(row) for row in module.reproduce(folder, seed=self.seed, quick=self.quick)]
        record = {"name": module.NAME, "seed": self.seed, "quick": self.quick, "versions": versions(), "rows": rows}
        write_atomic(folder / "reproduction.json", json.dumps(record, indent=2, default=float) + "\n")
        shown = [
            [r["quantity"], r["ours"], r["expected"], "within" if r["within"] else "MISSED", r["source"]] for r in rows
        ]
        print_table(out, module.SUMMARY, ["quantity", "ours", "expected", "verdict", "source"], shown)
        within = sum(bool(row["within"]) for row in rows)
        out.print(
            f"{within} of {len(rows)} within their tolerance; tables and pictures are in {folder}", highlight=False
        )
