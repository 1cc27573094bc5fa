"""Means over sessions, their errors, and the tables of AER 2020.

A session is one draw; its cycle states and deviators are not. So the standard error of a mean over cases is clustered
by session: as if each session were one draw of (sum of its cases, number of its cases). Sessions that did not converge
are in no mean; how many there are is always told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.collusion.analysis import Analysis
from strategic_envs.evaluators.collusion.impulse import ImpulseResponse

__all__ = [
    "COLUMNS",
    "Mean",
    "analysis_row",
    "best_response_table",
    "clustered_mean",
    "correlation",
    "representative_table",
    "response_row",
    "session_rows",
]

COLUMNS = ("1 sym", "1 asym", "1", "2", ">=3", "all", "EQ")


@dataclass(frozen=True)
class Mean:
    """A mean over sessions with its standard error, nan where it cannot be known.

    Args:
        value: The mean.
        error: Its standard error, clustered by session.
        sessions: How many sessions it is a mean of.
    """

    value: float
    error: float
    sessions: int


def clustered_mean(values: Float[np.ndarray, " B"], weights: np.ndarray | None = None) -> Mean:
    """The mean of sessions' averages, weighted by how many cases each has, and its session-clustered standard error.

    With weights w_b and averages x_b the mean is `sum w_b x_b / sum w_b`, and its error, as of any ratio of two sums,
    `sqrt(B / (B - 1) sum_b (w_b (x_b - mean))^2) / sum_b w_b`. With equal weights that is the usual standard error.

    Args:
        values: One average a session; sessions that have none (nan) are left out.
        weights: Cases of each session, equal if not given.

    Example:
        >>> clustered_mean(np.array([1.0, 3.0]), np.array([3, 1]))
        Mean(value=1.5, error=0.75, sessions=2)
    """
    w = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    w, values = w[~np.isnan(values)], values[~np.isnan(values)]
    count, total = len(values), w.sum()
    if count == 0 or total == 0:
        return Mean(math.nan, math.nan, count)
    mean = float((w * values).sum() / total)
    if count == 1:
        return Mean(mean, math.nan, count)
    error = math.sqrt(count / (count - 1) * float(((w * (values - mean)) ** 2).sum())) / float(total)
    return Mean(mean, error, count)


def correlation(first: Float[np.ndarray, " B"], second: Float[np.ndarray, " B"]) -> float:
    """Pearson's correlation, nan where one of the two does not vary.

    Example:
        >>> correlation(np.array([1.0, 2.0]), np.array([5.0, 7.0]))
        1.0
    """
    if len(first) != len(second):
        raise InvalidSettingError(f"correlation: got {len(first)} and {len(second)} values, expected as many of each")
    a, b = first - first.mean() if len(first) else first, second - second.mean() if len(second) else second
    scale = math.sqrt(float((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else math.nan


def groups(analysis: Analysis) -> dict[str, Bool[np.ndarray, " B"]]:
    """The converged sessions of each column of the table by cycle length.

    "1 sym": one price, the same for all firms; "1 asym": one price for each firm, not all the same; "EQ": sessions that
    pass the one-shot test.
    """
    length, good = analysis.cycle_length, analysis.converged
    one = good & (length == 1)
    chosen = (one & analysis.symmetric, one & ~analysis.symmetric, one, good & (length == 2), good & (length >= 3))
    return dict(zip(COLUMNS, (*chosen, good, good & analysis.nash_one_shot), strict=True))


def representative_table(analysis: Analysis) -> dict[str, dict[str, float]]:
    """The table of the representative experiment by length of the limit cycle (AER 2020, table 1 and appendix).

    Returns:
        Rows `frequency`, `gain` (mean Delta), `gain_sd`, `nash_one_shot`, `loss_on_path`, `loss_off_path`; columns as
        in `COLUMNS`. Frequencies are shares of the converged sessions; losses are means over firms, states, sessions.

    Example:
        >>> from strategic_envs.evaluators.collusion import analyse
        >>> from strategic_envs.games.pricing import pricing
        >>> found = analyse(pricing().frozen(), np.full((3, 2, 225), 2, dtype=np.int16), np.array([0, 1, 2]))
        >>> representative_table(found)["frequency"]["1 sym"]
        1.0
    """
    of = groups(analysis)
    count = max(1, int(analysis.converged.sum()))
    rows = {
        "gain": analysis.gain,
        "nash_one_shot": analysis.nash_one_shot.astype(np.float64),
        "loss_on_path": analysis.loss_on_path.mean(-1),
        "loss_off_path": analysis.loss_off_path.mean(-1),
    }
    table = {"frequency": {name: float(chosen.sum()) / count for name, chosen in of.items()}}
    for name, values in rows.items():
        table[name] = {column: clustered_mean(values[chosen]).value for column, chosen in of.items()}
        if name == "gain":
            table["gain_sd"] = {column: _sd(values[chosen]) for column, chosen in of.items()}
    return table


def best_response_table(analysis: Analysis) -> dict[str, dict[str, float]]:
    """The one-shot test beside exact best responses: the two disagree, so both are always shown.

    Returns:
        Rows `sessions` (all firms best-respond on path), `firms` (firms that do), `loss_on_path` and its median, 95th
        percentile and maximum over sessions, `loss_everywhere` (one-shot: off path), `loss_worst` (the worst firm and
        state of a session); columns `one_shot` and `exact`, nan where a test has no such figure.
    """
    good = analysis.converged
    exact = analysis.exploitability[good].mean(-1)
    one_shot = analysis.loss_on_path[good].mean(-1)
    table = {
        "sessions": (analysis.nash_one_shot[good], analysis.nash_exact[good]),
        "firms": (analysis.one_shot[good], analysis.exact[good]),
        "loss_on_path": (one_shot, exact),
        "loss_everywhere": (analysis.loss_off_path[good], analysis.exploitability_everywhere[good]),
        "loss_worst": (np.array([]), analysis.exploitability_worst[good].max(-1)),
    }
    found = {name: {"one_shot": _mean(a), "exact": _mean(b)} for name, (a, b) in table.items()}
    for name, level in (("median", 0.5), ("p95", 0.95), ("max", 1.0)):
        found[f"loss_on_path_{name}"] = {
            "one_shot": float(np.quantile(one_shot, level)) if len(one_shot) else math.nan,
            "exact": float(np.quantile(exact, level)) if len(exact) else math.nan,
        }
    return found


def analysis_row(analysis: Analysis) -> dict[str, float]:
    """Means over converged sessions; `..._error` are standard errors over sessions."""
    good = analysis.converged
    table = representative_table(analysis)
    means = {
        "gain": analysis.gain,
        "price": analysis.prices.mean(-1),
        "nash_one_shot": analysis.nash_one_shot,
        "firms_one_shot": analysis.one_shot.mean(-1),
        "loss_on_path": analysis.loss_on_path.mean(-1),
        "loss_off_path": analysis.loss_off_path.mean(-1),
        "nash_exact": analysis.nash_exact,
        "firms_exact": analysis.exact.mean(-1),
        "exploitability": analysis.exploitability.mean(-1),
        "exploitability_everywhere": analysis.exploitability_everywhere.mean(-1),
        "exploitability_worst": analysis.exploitability_worst.max(-1),
        "perfect": analysis.perfect,
        "leads_back": analysis.leads_back,
        "all_lead_back": analysis.strays == 0,
        "under_3_strays": analysis.strays < 3,
    }
    row: dict[str, float] = {"sessions": len(analysis), "converged": int(good.sum())}
    for name, values in means.items():
        mean = clustered_mean(values[good].astype(np.float64))
        row[name], row[f"{name}_error"] = mean.value, mean.error
    row["gain_sd"] = table["gain_sd"]["all"]
    row |= {f"cycle {name}": table["frequency"][name] for name in COLUMNS[:5]}
    row["gain_nash_one_shot_correlation"] = correlation(analysis.gain[good], analysis.nash_one_shot[good] * 1.0)
    row["competitive_gain"], row["uniform_gain"] = analysis.references.competitive, analysis.references.uniform
    return row


def response_row(response: ImpulseResponse) -> dict[str, float]:
    """Means over cases of converged sessions, as in published tables, with session-clustered errors."""
    good = response.converged
    row: dict[str, float] = {"sessions": len(response), "converged": int(good.sum())}
    names = ("rival_change", "deviator_change", "gain", "unprofitable", "no_deviation", "length", "returned")
    for name in names:
        mean = clustered_mean(getattr(response, name)[good], response.cases[good])
        row[name], row[f"{name}_error"] = mean.value, mean.error
    counts = response.length_counts[good].sum(0)
    row["length_median"] = float(np.searchsorted(counts.cumsum(), counts.sum() / 2)) if counts.sum() else math.nan
    row["unprofitable_by_session"] = clustered_mean(response.unprofitable[good]).value
    for who in ("deviator", "rival"):
        path = getattr(response, who)[good]
        row |= {f"{who}_{tau}": _mean(path[:, tau]) for tau in range(path.shape[1])}
    return row


def session_rows(analysis: Analysis) -> list[dict[str, float]]:
    """One flat row of numbers a session."""
    columns = {
        "converged": analysis.converged,
        "cycle_length": analysis.cycle_length,
        "symmetric": analysis.symmetric,
        "gain": analysis.gain,
        "nash_one_shot": analysis.nash_one_shot,
        "nash_exact": analysis.nash_exact,
        "perfect": analysis.perfect,
        "strays": analysis.strays,
        "attractors": analysis.attractors,
    }
    per_firm = {
        "price": analysis.prices,
        "profit": analysis.profits,
        "loss_on_path": analysis.loss_on_path,
        "loss_off_path": analysis.loss_off_path,
        "exploitability": analysis.exploitability,
        "exploitability_everywhere": analysis.exploitability_everywhere,
        "exploitability_worst": analysis.exploitability_worst,
        "reply_cycle": analysis.reply_cycle,
    }
    columns |= {f"{name}_{i}": values[:, i] for name, values in per_firm.items() for i in range(values.shape[1])}
    return [{name: values[b].item() for name, values in columns.items()} for b in range(len(analysis))]


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan
