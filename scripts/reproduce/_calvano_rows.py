"""The numbers of the pricing reproduction beside what was published and what the authors' own sessions give."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from strategic_envs.baselines.q_learning import QLearning, run_sessions
from strategic_envs.baselines.q_learning.study import Study
from strategic_envs.evaluators.collusion import Analysis, analyse, clustered_mean, representative_table
from strategic_envs.evaluators.collusion.statistics import COLUMNS
from strategic_envs.scripts.reproduce._calvano_published import BANDS, CONTROLS, OWN, PRINTED, STORED, Control
from strategic_envs.scripts.reproduce._calvano_replay import PUBLISHED, Replayed, figures, row, standard_error, stored

__all__ = ["comparison", "control_rows", "study_rows"]

_BESIDE = (
    ("nash_exact", "sessions in which both best-respond exactly on path, share", None),
    ("firms_exact", "firms that best-respond exactly on path, share", None),
    ("all_lead_back", "sessions whose states all lead back to the long-run prices, share", 0.92),
    ("deviation_gain", "a deviation changes the discounted profit by", None),
    ("deviator_1", "impulse response: deviator's price in period 1", None),
    ("rival_2", "impulse response: rival's price in period 2", None),
    ("figure4_deviator_1", "the same for the deviation of figure 4: deviator's price in period 1", 1.504624),
)

_REMATCHED = (
    ("gain", "profit gain", 0.837),
    ("nash_one_shot", "one-shot Nash on path, share", 0.541),
    ("answer rival_change", "IR", -0.128),
    ("answer unprofitable", "IC", 0.932),
    ("answer length", "L", 5.674),
)


def study_rows(found: Study, replayed: Replayed | None) -> list[dict[str, Any]]:
    """Own sessions: bands with verdicts, then numbers beside them, controls and what retraining shows."""
    ours = figures(found.sessions, found.analysis, found.responses)
    theirs = stored() if replayed is None else figures(replayed.sessions, replayed.analysis, replayed.responses)
    total, count = len(found.sessions), int(found.analysis.converged.sum())
    source = OWN if count >= PUBLISHED else f"{OWN} x sqrt(1000/{count})"
    rows = []
    for band in BANDS:
        width, value = band.half_width(count), ours[band.key]
        expected = f"{band.centre:.4g} ± {width:.2g}" if width else f"{band.centre:g}"
        within = math.isfinite(value) and abs(value - band.centre) <= width
        rows.append(row(band.label, value, expected, source, within, band.published, theirs.get(band.key)))
    capped = total - count
    rows.append(row("sessions that reached the cap (in no mean)", capped, 0, "definition", capped == 0))
    for key, label, published in _BESIDE:
        rows.append(row(label, ours[key], "", "measured", None, published, theirs.get(key)))
    return rows + _evidence_rows(found)


def _evidence_rows(found: Study) -> list[dict[str, Any]]:
    """What retraining, rematches and the length of learning show."""
    rows = []
    if found.retrained is not None and found.rematched is not None:
        told, some = found.retrained.evidence(found.rematched), len(found.retrained.sessions)
        before, after = (g[:, found.retrained.firm] for g in (found.retrained.gain_before, found.retrained.gain_after))
        rival = found.retrained.gain_after[:, 1 - found.retrained.firm]
        of = f", {some} sessions"
        rows += [
            row(f"retraining against a frozen rival: change of the firm's profit{of}", told.gain, "", "measured", None),
            row("  its own profit gain before", float(before.mean()), "", "measured", None),
            row("  its own profit gain after", float(after.mean()), "", "measured", None),
            row("  the frozen rival's profit gain after", float(rival.mean()), "", "measured", None),
        ]
        dropped, error = float(found.rematched.gain.mean()), told.rematch_error
        within = abs(dropped - 0.20) <= 0.05 + 3 * error
        source = "AER 2020: falls to about .20; ± .05 for 'about', and 3 s.e."
        label = f"rematched firms that neither explore nor learn: profit gain{of}"
        rows.append(row(label, dropped, f"0.2 ± {0.05 + 3 * error:.2g}", source, within, 0.20))
        rows += _rematch_rows(found)
    cost = found.cost
    half = "" if cost.half is None else cost.half / 1e6
    rows.append(row("periods until the profit gain of play stays above 1/2, millions", half, "", "measured", None))
    return rows


def _rematch_rows(found: Study) -> list[dict[str, Any]]:
    """Rematched firms that explore and learn again, beside 1,000 published sessions."""
    from strategic_envs.evaluators.collusion import impulse_response

    assert found.rematched is not None and found.rematched.sessions is not None
    ended = found.rematched.sessions
    analysis = analyse(found.tables, ended.strategy, ended.state, converged=ended.converged)
    response = impulse_response(found.tables, ended.strategy, ended.state, converged=ended.converged).row()
    ours, rows, source = analysis.row() | {f"answer {k}": v for k, v in response.items()}, [], f"{STORED}; ± 3 s.e."
    for key, label, published in _REMATCHED:
        name = key.removeprefix("answer ")
        width = 3 * standard_error(name, published, ours[f"{key}_error"], int(analysis.converged.sum()))
        quantity = f"rematched firms that explore again: {label}"
        within = abs(ours[key] - published) <= width
        rows.append(row(quantity, ours[key], f"{published} ± {width:.2g}", source, within, published))
    return rows


def control_rows(
    found: Study, count: int, seed: int, folder: Path, *, threads: int | None, progress: Callable[[str, int], Any]
) -> list[dict[str, Any]]:
    """The profit gain where deviations cannot be punished."""
    rows = []
    for control in CONTROLS:
        analysis = found.controls.get(control.label)
        if analysis is None:
            some = count if control.expected is not None else max(2, min(count // 4, 100))  # nothing to compare with
            analysis = _control(found, control, some, seed, folder, threads, progress)
        mean = clustered_mean(analysis.gain[analysis.converged])
        width = control.width * max(1.0, (PUBLISHED / max(mean.sessions, 1)) ** 0.5)
        quantity = f"control {control.label}: profit gain Delta"
        if control.expected is None:
            rows.append(row(quantity, mean.value, "", control.source, None))
            continue
        within = math.isfinite(mean.value) and abs(mean.value - control.expected) <= width
        expected = f"{control.expected:g} ± {width:.2g}"
        rows.append(row(quantity, mean.value, expected, control.source, within, control.published))
        if control.one_shot is not None:
            share = float(analysis.nash_one_shot[analysis.converged].mean())
            width = 3 * math.sqrt(
                control.one_shot * (1 - control.one_shot) * (1 / PUBLISHED + 1 / max(mean.sessions, 1))
            )
            quantity, expected = f"control {control.label}: one-shot Nash, share", f"{control.one_shot:g} ± {width:.2g}"
            within = abs(share - control.one_shot) <= width
            rows.append(row(quantity, share, expected, control.source, within, control.one_shot))
    return rows


def _control(
    found: Study,
    control: Control,
    count: int,
    seed: int,
    folder: Path,
    threads: int | None,
    progress: Callable[[str, int], Any],
) -> Analysis:
    name = f"control {control.label}"
    tables, learner = replace(found.tables, **control.game), QLearning(**control.learner)
    at = folder / name.replace(" ", "").replace(",", "-")
    ended = run_sessions(
        tables, learner, count, seed=seed, threads=threads, on_done=progress(name, count), folder=at, draws="thinned"
    )
    return analyse(tables, ended.strategy, ended.state, converged=ended.converged)


def comparison(found: Study, replayed: Replayed | None) -> str:
    """The representative table as Markdown: in each cell ours, what is printed, and what the authors' sessions give."""
    ours = representative_table(found.analysis)
    theirs = None if replayed is None or not replayed.complete else representative_table(replayed.analysis)
    lines = [
        f"# Representative experiment by limit cycle: ours ({len(found.sessions)} sessions) | printed"
        + (" | the authors' sessions, replayed" if theirs else ""),
        "",
        f"| | {' | '.join(COLUMNS)} |",
        f"|{'---|' * (len(COLUMNS) + 1)}",
    ]
    for printed in PRINTED:
        cells = []
        for column, value in zip(COLUMNS, printed.values, strict=True):
            parts = [ours[printed.key][column], value] + ([theirs[printed.key][column]] if theirs else [])
            cells.append(" / ".join("-" if p is None or p != p else f"{p:.{printed.digits}f}" for p in parts))
        lines.append(f"| {printed.label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
