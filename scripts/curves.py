"""Pictures of a benchmark: for each environment, every agent's gap against the steps it took."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

__all__ = ["draw_curves", "read_curves"]

GAPS = {"exploitability": "exploitability", "local_cce_gap": "local CCE gap"}
"""What is drawn, one panel each, and what the panel calls it."""


def read_curves(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The measured rows of a benchmark's folder: environment, then agent and seed, then rows in order."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(dict)
    for path in sorted((folder / "curves").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if rows:
            found[rows[0]["environment"]][f"{rows[0]['agent']}, seed {rows[0]['seed']}"] = rows
    return dict(found)


def draw_curves(folder: Path) -> list[Path]:
    """Draws one picture an environment into the folder.

    Agents whose play does not change have one row; it is drawn as a level.

    Args:
        folder: A benchmark's folder, with its rows in `curves/`.

    Returns:
        The pictures' paths, one an environment.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    from strategic_envs import plots

    paths = []
    for environment, runs in read_curves(folder).items():
        figure, panels = plots.new_figure(1, len(GAPS), width=5.6, height=4.0)
        for axes, (gap, label) in zip(panels, GAPS.items(), strict=True):
            moving = {name: rows for name, rows in runs.items() if len(rows) > 1}
            levels = {name: float(rows[-1][gap]) for name, rows in runs.items() if name not in moving}
            series = {n: ([r["steps"] for r in rows], [r[gap] for r in rows]) for n, rows in moving.items()}
            plots.draw_curves(axes, series, title=environment, xlabel="steps", ylabel=label, levels=levels)
        paths.append(plots.save(figure, folder / f"{environment}.png"))
    return paths
