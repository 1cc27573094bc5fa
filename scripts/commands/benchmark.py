"""`strategic-envs benchmark`: a preset's cells, one after the other, into one leaderboard with curves."""

from __future__ import annotations

import json
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from strategic_envs.errors import CheckpointError, require
from strategic_envs.results import RunFolder, replace_folder, versions, write_atomic, write_leaderboard
from strategic_envs.scripts.cells import Cell, check_cell, ray_session, train_cell, variant
from strategic_envs.scripts.curves import draw_curves
from strategic_envs.scripts.discover import find
from strategic_envs.scripts.maps import draw_maps
from strategic_envs.scripts.pictures import draw_paths, keep_path
from strategic_envs.scripts.tables import console, leaderboard_markdown, leaderboard_table, number


@dataclass(frozen=True)
class Command:
    """Runs a preset of environments and agents and writes a leaderboard.

    Each row is saved when it is finished: a run that was stopped goes on where it was when it is started again.
    """

    out: Path
    """The folder for the results. A folder that holds something else is refused."""
    preset: str = "quick"
    """Which preset: a file in scripts/presets."""
    overwrite: bool = False
    """Runs everything anew, and replaces the folder's results of the same preset once the new ones are complete."""
    device: str = "auto"
    """auto, cpu or cuda."""
    address: str | None = None
    """The address of a running Ray cluster; a local session if not given."""

    def run(self) -> int:
        """Trains the cells that are missing and prints the table."""
        module = find("presets", self.preset, "preset")
        cells: list[Cell] = module.cells()
        require("matplotlib", "plots", "Drawing curves")
        for cell in cells:
            check_cell(cell, self.device, self.address)
        config = {"command": "benchmark", "preset": self.preset, "cells": [cell.config() for cell in cells]}
        folder = self._folder(config)
        out = console()
        failed = _run_cells(folder, cells, self.device, self.address, out)
        rows = folder.rows()
        _report(folder, rows, f"{self.preset}: {module.SUMMARY}", out, maps=getattr(module, "MAPS", False))
        if failed:
            print(f"strategic-envs: {len(failed)} of {len(cells)} cells failed: {', '.join(failed)}", file=sys.stderr)
            print(f"strategic-envs: the others are in {folder.path}; run again to repeat the failed", file=sys.stderr)
            return 1
        if folder.path != self.out:
            replace_folder(folder.path, self.out)
        out.print(f"results are in {self.out}: leaderboard.json, leaderboard.md, *.png", highlight=False)
        return 0

    def _folder(self, config: dict[str, Any]) -> RunFolder:
        """The folder to work in: `out` itself, or one beside it that takes its place at the end."""
        if not (self.overwrite and self.out.is_dir() and any(self.out.iterdir())):
            return RunFolder.create(self.out, config, device=self.device)
        there = RunFolder.open(self.out).config
        if (there.get("command"), there.get("preset")) != ("benchmark", self.preset):
            what = f"the preset {there['preset']}" if "preset" in there else "another run"
            raise CheckpointError(f"{self.out} holds {what}, not the preset {self.preset}: choose another folder")
        beside = self.out.with_name(f".{self.out.name}.new")
        try:
            return RunFolder.create(beside, config, device=self.device)  # goes on with what an interrupted one left
        except CheckpointError:
            shutil.rmtree(beside)  # of other settings or versions, and never anybody's results
            return RunFolder.create(beside, config, device=self.device)


def _run_cells(folder: RunFolder, cells: Sequence[Cell], device: str, address: str | None, out: Console) -> list[str]:
    done = {Cell(row["environment"], row["agent"], row["seed"], row["env"]).key for row in folder.rows()}
    missing = [cell for cell in cells if cell.key not in done]
    if len(missing) < len(cells):
        out.print(f"{len(cells) - len(missing)} of {len(cells)} rows are there already", highlight=False)
    failed = []
    with ray_session([cell.agent for cell in missing], address):
        for count, cell in enumerate(missing, start=1):
            started = time.perf_counter()
            try:
                row = _run_cell(folder, cell, device)
            except Exception as error:  # one cell must not cost the others
                write_atomic(folder.path / "failed" / f"{cell.name}.txt", traceback.format_exc())
                failed.append(cell.name)
                verdict = f"FAILED: {type(error).__name__}: {' '.join(str(error).split())}"
            else:
                exact = "exact" if row["exploitability_exact"] else "searched"
                verdict = f"exploitability {number(float(row['exploitability']))} ({exact})"
            place = f"[{count}/{len(missing)}]"
            where = " ".join(filter(None, [cell.environment, variant(cell.env)]))
            out.print(
                f"{place:>8} {where:<20} {cell.agent:<16} {time.perf_counter() - started:5.1f} s  {verdict}",
                highlight=False,
                markup=False,
            )
    return failed


def _run_cell(folder: RunFolder, cell: Cell, device: str) -> dict[str, Any]:
    result = train_cell(cell, device=device, out=None, on_row=lambda row: None)
    name = {"environment": cell.environment, "options": variant(cell.env), "agent": cell.agent, "seed": cell.seed}
    row = {
        **result.final,
        **name,
        "env": cell.env,
        "settings": result.settings,
        "parameters_moved": result.parameters_moved,
    }
    row["exploitability_exact"] = bool(row["exploitability_exact"])
    lines = "".join(json.dumps({**point, **name}, default=float) + "\n" for point in result.rows)
    write_atomic(folder.path / "curves" / f"{cell.name}.jsonl", lines)
    keep_path(folder.path, cell, result)
    folder.append(row)
    (folder.path / "failed" / f"{cell.name}.txt").unlink(missing_ok=True)
    return row


def _report(folder: RunFolder, rows: list[dict[str, Any]], title: str, out: Console, *, maps: bool) -> None:
    write_leaderboard(folder.path / "leaderboard.json", rows)
    write_atomic(folder.path / "leaderboard.md", leaderboard_markdown(rows, title, folder.versions() or versions()))
    leaderboard_table(out, rows, title)
    draw_curves(folder.path)
    draw_paths(folder.path)
    if maps:
        draw_maps(folder.path, rows)
