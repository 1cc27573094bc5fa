"""The authors' own sessions, played again with their random numbers, against what they printed and stored."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from strategic_envs.baselines.q_learning import Sessions, run_sessions
from strategic_envs.evaluators.collusion import (
    Analysis,
    ImpulseResponse,
    analyse,
    best_response_table,
    clustered_mean,
    impulse_response,
    representative_table,
)
from strategic_envs.evaluators.collusion.statistics import COLUMNS
from strategic_envs.games.pricing import pricing
from strategic_envs.results import versions
from strategic_envs.scripts.reproduce._calvano_published import GOLDEN, MEASURED, PAPER, PRINTED, RESPONSE, STORED

__all__ = ["PUBLISHED", "Replayed", "figures", "record", "replay", "replay_rows", "row", "standard_error", "stored"]

PUBLISHED = 1000
"""Sessions behind every published number."""

_FILE = Path(__file__).with_name("_calvano_replayed.json")


@dataclass(frozen=True, eq=False)
class Replayed:
    """The authors' sessions.

    Args:
        sessions: How they ended.
        analysis: What they ended in.
        responses: What follows a deviation, by kind.
    """

    sessions: Sessions
    analysis: Analysis
    responses: dict[str, ImpulseResponse]

    @property
    def complete(self) -> bool:
        """Whether these are all sessions behind the published numbers."""
        return len(self.sessions) == PUBLISHED


def replay(count: int, folder: Path, *, threads: int | None, progress: Callable[[str, int], Any]) -> Replayed:
    """Plays the first `count` of the authors' sessions again, at most 1,000."""
    count = min(count, PUBLISHED)
    tables = pricing(anchors="rounded").frozen()
    told = {"threads": threads, "on_done": progress("the authors' sessions", count)}
    ended = run_sessions(tables, None, count, draws="replay", folder=folder / "replay", **told)
    found = analyse(tables, ended.strategy, ended.state, converged=ended.converged)
    responses = {
        kind: impulse_response(tables, ended.strategy, ended.state, kind, converged=ended.converged)
        for kind in ("static_br", "figure4_compat")
    }
    return Replayed(ended, found, responses)


def figures(sessions: Sessions, analysis: Analysis, responses: Mapping[str, ImpulseResponse]) -> dict[str, float]:
    """All numbers of a set of sessions by name.

    Means are over converged sessions. Those of the response are weighted by cases, as in the published tables; in its
    paths every session has the same weight.
    """
    found = analysis.row()
    response = responses["static_br"]
    told = response.row()
    found |= {name: told[name] for name in ("rival_change", "unprofitable", "length", "returned")}
    found["deviation_gain"] = told["gain"]
    for kind, prefix in (("static_br", ""), ("figure4_compat", "figure4_")):
        for who in ("deviator", "rival"):
            path = getattr(responses[kind], who)[analysis.converged].mean(0)
            found |= {f"{prefix}{who}_{tau}": float(path[tau]) for tau in range(11)}
    found["periods"] = clustered_mean(sessions.time_to_convergence[sessions.converged].astype(float)).value
    found["million_periods"] = found["periods"] / 1e6
    return found


def record(found: Replayed) -> str:
    """The numbers of replayed sessions as JSON, with what they were made by."""
    told = {
        "made_by": f"strategic-envs reproduce calvano --replay, {len(found.sessions)} sessions of the authors",
        "versions": versions(),
        "figures": {k: float(v) for k, v in figures(found.sessions, found.analysis, found.responses).items()},
    }
    return json.dumps(told, indent=1) + "\n"


def stored() -> dict[str, float]:
    """The numbers of the authors' 1,000 sessions, as `reproduce calvano --replay` last computed all of them."""
    return json.loads(_FILE.read_text(encoding="utf-8"))["figures"] if _FILE.exists() else {}


def replay_rows(found: Replayed) -> list[dict[str, Any]]:
    """The stopping periods and last states of the first sessions, the printed table, and the measured figures."""
    return [*_golden_rows(found), *_printed_rows(found), *_measured_rows(found)]


def _golden_rows(found: Replayed) -> list[dict[str, Any]]:
    sessions = found.sessions
    count = min(len(sessions), len(GOLDEN["periods"]))
    last = sessions.visited if sessions.visited is not None else sessions.state
    ended = [(int(a), int(b) + 1) for a, b in zip(sessions.periods[:count], last[:count], strict=True)]
    known = list(zip(GOLDEN["periods"], GOLDEN["states"], strict=True))[:count]
    same = sum(a == b for a, b in zip(ended, known, strict=True))
    quantity = f"replay: stopping period and last state of sessions 1 to {count} are the authors' in"
    return [row(quantity, same, f"{count} sessions", STORED, same == count)]


def _printed_rows(found: Replayed) -> list[dict[str, Any]]:
    """Every entry of the representative table; only all thousand sessions can be held against it."""
    table, rows = representative_table(found.analysis), []
    for printed in PRINTED:
        for column, value in zip(COLUMNS, printed.values, strict=True):
            if value is None:
                continue
            ours = table[printed.key][column]
            digits = printed.digits
            within = f"{ours:.{digits}f}" == f"{value:.{digits}f}" if found.complete else None
            quantity = f"replay: {printed.label}, {column}"
            rows.append(row(quantity, f"{ours:.{digits}f}", f"{value:.{digits}f}", PAPER, within, value))
    return rows


def _measured_rows(found: Replayed) -> list[dict[str, Any]]:
    """What is not printed: exact best responses, and the path of prices after a deviation."""
    ours = figures(found.sessions, found.analysis, found.responses)
    exact = best_response_table(found.analysis)
    ours |= {f"exact {name}": columns["exact"] for name, columns in exact.items()}
    rows = []
    for key, (label, expected, digits) in MEASURED.items():
        within = abs(ours[key] - expected) <= 0.51 * 10**-digits if found.complete else None
        rows.append(row(f"replay: {label}", ours[key], expected, STORED, within))
    paths = np.array([[ours[f"{who}_{tau}"] for tau in range(11)] for who in ("deviator", "rival")])
    apart = float(np.abs(paths - np.array([RESPONSE["deviator"], RESPONSE["rival"]])).max())
    within = apart <= 0.51e-4 if found.complete else None
    return [*rows, row("replay: impulse response, largest distance to the known path", apart, 0.0, STORED, within)]


def standard_error(name: str, published: float, error: float, ours: int, theirs: int = PUBLISHED) -> float:
    """The standard error of the difference between a number of our sessions and a published one.

    Args:
        name: Which number.
        published: What was published.
        error: The standard error of ours, from the spread of our sessions.
        ours: How many sessions we have; of a few, the spread of the baseline's profit gains (.11) is the least.
        theirs: How many they had.

    Example:
        >>> round(standard_error("nash_one_shot", 0.5, 0.0, 1000), 4)
        0.0224
    """
    if name == "nash_one_shot":
        return math.sqrt(published * (1 - published) * (1 / max(ours, 1) + 1 / theirs))
    if name == "gain" and ours < 30:
        error = max(error, 0.11 / math.sqrt(max(ours, 1)))
    return error * math.sqrt(1 + ours / theirs)


def row(
    quantity: str,
    ours: float | str,
    expected: float | str,
    source: str,
    within: bool | None,
    published: float | str | None = None,
    replayed: float | None = None,
) -> dict[str, Any]:
    """A row of the comparison; what is not known is left empty."""
    found = {"quantity": quantity, "ours": ours, "expected": expected, "source": source, "within": within}
    empty = {"published": published, "replayed": replayed}
    return found | {key: "" if value is None else value for key, value in empty.items()}
