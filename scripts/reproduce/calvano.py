"""Algorithmic pricing: Q-learners that come to charge high prices and punish those who leave them.

Two firms learn the prices of a repeated duopoly (Calvano, Calzolari, Denicolò and Pastorello, AER 110(10), 2020), from
their first values until their strategies rest: the representative experiment alpha = .15, beta = 4e-6. Where they end
is judged by the tests of the paper and by exact best responses, which disagree; controls, retraining and rematches say
whether it is punishment that keeps prices up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from strategic_envs.results import write_atomic
from strategic_envs.scripts.options import InputError

__all__ = ["NAME", "SUMMARY", "Options", "reproduce"]

NAME = "calvano"
SUMMARY = "Q-learning firms that collude: profit gains, punishment of price cuts, controls, exact exploitability."
RESUMES = True


@dataclass(frozen=True)
class Options:
    """What is run; every finished session is saved, and the same command goes on where it was stopped."""

    sessions: int = 1000
    """Sessions of the representative experiment, and of each control."""
    replay: bool = False
    """Plays the authors' own sessions again as well, random number by random number (sessions 1 to SESSIONS)."""
    retraining: int = 100
    """Of the sessions, how many have one firm learn anew and firms exchanged; 0 for none."""
    grid: int = 5
    """The map of the profit gain has GRID x GRID cells, alpha up to .25 and beta up to 2e-5; 0 for none, 100 as in the
    paper."""
    grid_sessions: int | None = None
    """Sessions a cell of the map; a fiftieth of SESSIONS if not given."""
    variants: int = 0
    """Sessions of each of the variants (three firms, finer grids, other demand, ...); 0 for none."""
    threads: int | None = None
    """Threads; all cores if not given. The numbers do not depend on it."""


def reproduce(out: Path, *, seed: int = 0, quick: bool = False, options: Options = Options()) -> list[dict[str, Any]]:
    """Writes `impulse_response.png`, `profit_gains.png`, `profit_gain_map.png`, `comparison.md` and `report.txt`.

    In full, a thousand sessions take about a minute of two cores with everything beside them.

    Args:
        out: The folder; sessions are kept in it as they finish.
        seed: The seed of all draws, except of replayed sessions.
        quick: At most 100 sessions, 20 retrained, and a map of 3 x 3 cells.
        options: What is run.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `published`, `replayed` (the authors' own sessions), `source`,
        `within`.

    Raises:
        InputError: If an option is out of its range.
    """
    from strategic_envs.baselines.q_learning.study import study
    from strategic_envs.games.pricing import pricing
    from strategic_envs.scripts.progress import meter
    from strategic_envs.scripts.reproduce import (
        _calvano_grid,
        _calvano_pictures,
        _calvano_replay,
        _calvano_rows,
        _calvano_variants,
    )

    _check(options)
    if quick:
        options = replace(
            options,
            sessions=min(100, options.sessions),
            retraining=min(20, options.retraining),
            grid=min(3, options.grid),
        )
    kept, rows = out / "sessions", []
    with meter() as stages:
        common = {"threads": options.threads, "progress": stages}
        replayed = _calvano_replay.replay(options.sessions, kept, **common) if options.replay else None
        found = study(
            pricing(),
            sessions=options.sessions,
            seed=seed,
            retraining=options.retraining,
            half=min(20, max(1, options.sessions // 4)),
            folder=kept / f"seed{seed}",
            **common,
        )
        _calvano_pictures.draw_response(out / "impulse_response.png", found)
        _calvano_pictures.draw_gains(out / "profit_gains.png", found)
        rows += _calvano_rows.study_rows(found, replayed)
        rows += _calvano_rows.control_rows(found, options.sessions, seed, kept / f"seed{seed}", **common)
        if replayed is not None:
            rows += _calvano_replay.replay_rows(replayed)
            write_atomic(out / "replayed.json", _calvano_replay.record(replayed))
        if options.grid:
            cells = options.grid_sessions or max(1, options.sessions // 50)
            found_map = _calvano_grid.gain_map(out, options.grid, cells, seed, **common)
            _calvano_pictures.draw_map(out / "profit_gain_map.png", found_map)
            rows += _calvano_grid.map_rows(found_map)
        if options.variants:
            table = _calvano_variants.variant_table(options.variants, seed, kept / f"seed{seed}", **common)
            write_atomic(out / "variants.md", _calvano_variants.variant_markdown(table))
            rows += _calvano_variants.variant_rows(table)
    write_atomic(out / "comparison.md", _calvano_rows.comparison(found, replayed))
    write_atomic(out / "report.txt", str(found.report) + "\n")
    return rows


def _check(options: Options) -> None:
    """Refuses numbers of sessions and cells that are none.

    Raises:
        InputError: Naming the option.
    """
    least = {"sessions": 1, "retraining": 0, "grid": 0, "grid_sessions": 1, "variants": 0, "threads": 1}
    for name, smallest in least.items():
        value = getattr(options, name)
        if value is not None and value < smallest:
            raise InputError(f"got --{name.replace('_', '-')} {value}, expected a whole number from {smallest}")
