"""The map of the profit gain over learning rate and exploration, a cell saved as soon as its sessions have finished."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from strategic_envs.baselines.q_learning import Progress, QLearning, run_sessions
from strategic_envs.evaluators.collusion import analyse
from strategic_envs.games.pricing import pricing
from strategic_envs.results import RunFolder
from strategic_envs.scripts.reproduce._calvano_replay import row

__all__ = ["HIGHEST_ALPHA", "HIGHEST_BETA", "Map", "gain_map", "map_rows"]

HIGHEST_ALPHA, HIGHEST_BETA = 0.25, 2e-5
"""The ends of the published map, which has 100 x 100 cells."""

_SPREAD = 0.12  # standard deviation of the profit gain over sessions, anywhere on the map
_KNOWN = {  # alpha, beta: Delta and the exact loss on path, from 60 sessions at least
    (0.05, 4e-6): (0.841, 0.130),
    (0.25, 4e-6): (0.777, 0.144),
    (0.05, 2e-5): (0.728, 0.079),
    (0.15, 2e-5): (0.795, 0.147),
    (0.25, 2e-5): (0.807, 0.187),
}


@dataclass(frozen=True, eq=False)
class Map:
    """Means over the sessions of each cell.

    Args:
        alphas: Learning rates, by row.
        betas: Rates at which exploration fades, by column.
        gain: Profit gain Delta.
        exploitability: Loss on path against an exact best response.
        one_shot: Share of sessions that pass the one-shot test.
        sessions: Sessions behind each cell.
    """

    alphas: Float[np.ndarray, " A"]
    betas: Float[np.ndarray, " B"]
    gain: Float[np.ndarray, "A B"]
    exploitability: Float[np.ndarray, "A B"]
    one_shot: Float[np.ndarray, "A B"]
    sessions: int


def gain_map(
    out: Path, side: int, sessions: int, seed: int, *, threads: int | None, progress: Callable[[str, int], Any]
) -> Map:
    """Runs the cells of the map that the folder does not hold yet.

    Args:
        out: Cells are kept in its folder `map-SIDExSESSIONS-seedSEED`.
        side: Rows and columns.
        sessions: Sessions a cell, the same numbers in all cells.
        seed: The seed of all draws.
        threads: How many cells are run at a time; all cores if None.
        progress: As for `study`.
    """
    folder = RunFolder.create(
        out / f"map-{side}x{sessions}-seed{seed}", {"side": side, "sessions": sessions, "seed": seed}
    )
    steps = np.arange(1, side + 1) / side
    alphas, betas = HIGHEST_ALPHA * steps, HIGHEST_BETA * steps
    tables = pricing().frozen()
    found = {(int(r["row"]), int(r["column"])): r for r in folder.rows()}
    left = [cell for cell in itertools.product(range(side), range(side)) if cell not in found]
    done, read, played, start = progress("map", side * side), len(found), 0, time.perf_counter()

    def run(cell: tuple[int, int]) -> dict[str, Any]:
        learner = QLearning(alpha=float(alphas[cell[0]]), beta=float(betas[cell[1]]))
        ended = run_sessions(tables, learner, sessions, seed=seed, threads=1, draws="thinned")
        told = analyse(tables, ended.strategy, ended.state, converged=ended.converged).row()
        kept = {key: told[key] for key in ("gain", "exploitability", "nash_one_shot", "converged")}
        return {"row": cell[0], "column": cell[1], "steps": int(ended.periods.sum())} | kept

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for future in as_completed([pool.submit(run, cell) for cell in left]):
            cell = future.result()
            folder.append(cell)
            found[cell["row"], cell["column"]] = cell
            played += cell["steps"]
            done(Progress(len(found), len(found), side * side, read, played, time.perf_counter() - start))
    names = ("gain", "exploitability", "nash_one_shot")
    tables_of = [[[found[a, b][name] for b in range(side)] for a in range(side)] for name in names]
    return Map(alphas, betas, *(np.array(table, dtype=float) for table in tables_of), sessions=sessions)


def map_rows(found: Map) -> list[dict[str, Any]]:
    """The range of the profit gain, and the cells whose values are known."""
    gain = found.gain[np.isfinite(found.gain)]
    middle = float(np.median(gain))
    rows = [
        row(
            f"map of {found.gain.size} cells, {found.sessions} sessions each: median of Delta",
            middle,
            "0.70 to 0.90",
            "AER 2020: 70 to 90 percent on the whole map",
            0.70 <= middle <= 0.90,
        ),
        row("map: smallest Delta of a cell", float(gain.min()), "", "measured", None),
        row("map: largest Delta of a cell", float(gain.max()), "", "measured", None),
    ]
    for (alpha, beta), (expected, loss) in _KNOWN.items():
        a, b = np.isclose(found.alphas, alpha), np.isclose(found.betas, beta)
        if a.any() and b.any():
            ours = float(found.gain[a][:, b][0, 0])
            width = 3 * _SPREAD * (1 / found.sessions + 1 / 60) ** 0.5
            quantity, source = f"map: Delta at alpha = {alpha:g}, beta = {beta:g}", "found before; ± 3 s.e. of both"
            rows.append(row(quantity, ours, f"{expected} ± {width:.2g}", source, abs(ours - expected) <= width))
            ours = float(found.exploitability[a][:, b][0, 0])
            quantity = f"map: exact loss on path at alpha = {alpha:g}, beta = {beta:g}"
            rows.append(row(quantity, ours, f"{loss:g}", "found before", None))
    return rows
