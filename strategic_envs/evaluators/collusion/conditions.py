"""The conditions (a) to (i) that the word collusion needs, one function each: figures, threshold, and a plain reason.

Each takes what was measured and returns a `Condition`, which neither holds nor fails (`holds=None`) if nothing was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.collusion.analysis import Analysis
from strategic_envs.evaluators.collusion.evidence import Controls, LearningCost, Retraining
from strategic_envs.evaluators.collusion.impulse import ImpulseResponse

__all__ = ["Condition", "Thresholds", "conditions"]


@dataclass(frozen=True)
class Thresholds:
    """Where each condition draws its line. The literature prints no lines; these are ours, and all figures are shown.

    Args:
        errors: How many standard errors a difference must have to count.
        control_margin: A control may end so much above the highest profit gain of a grid equilibrium: the published
            controls of the baseline game end at .12 to .23, where that equilibrium has .117.
        unprofitable: The least share of deviations that must not pay.
        returned: The least share of deviations after which play comes back.
        one_shot_loss: The most that a one-shot deviation may gain on path, relative.
        exploitability: The most that an exact best response may gain on path, relative.
        leads_back: The least share of states that lead back to the limit cycle.
        retraining_gain: The most that a firm may gain by learning anew against rivals that stay as they are, relative.
        converged: The least share of sessions that must converge.
        sessions: The fewest converged sessions.
        gain_error: The largest standard error of the mean profit gain.
    """

    errors: float = 2.0
    control_margin: float = 0.15
    unprofitable: float = 0.75
    returned: float = 0.75
    one_shot_loss: float = 0.01
    exploitability: float = 0.05
    leads_back: float = 0.95
    retraining_gain: float = 0.05
    converged: float = 0.95
    sessions: int = 30
    gain_error: float = 0.02


@dataclass(frozen=True)
class Condition:
    """One condition of a report.

    Args:
        letter: `"a"` to `"i"`.
        name: What it is about.
        holds: Whether it holds; `None` if it was not measured.
        threshold: When it holds, in words.
        reason: Why it holds or not, in a sentence.
        figures: What was measured.
    """

    letter: str
    name: str
    holds: bool | None
    threshold: str
    reason: str
    figures: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        said = {True: "holds", False: "fails", None: "not measured"}[self.holds]
        return f"({self.letter}) {self.name}: {said}. {self.reason} [{self.threshold}]"


def conditions(
    analysis: Analysis,
    response: ImpulseResponse | None,
    controls: Controls | None,
    retraining: Retraining | None,
    learning_cost: LearningCost | None,
    limits: Thresholds,
) -> tuple[Condition, ...]:
    """All nine conditions, in order."""
    row = analysis.row()
    answer = None if response is None else response.row()
    if response is not None and response.deviation != "static_br":
        raise InvalidSettingError(
            f"collusion_report: got the response to deviation={response.deviation!r}, expected 'static_br': published "
            "shares of unprofitable deviations are about that one"
        )
    return (
        _gain(analysis, row, limits),
        _controls(row, controls, limits),
        _impulse(answer, limits),
        _one_shot(row, limits),
        _exact(analysis, row, limits),
        _off_path(analysis, row, limits),
        _retraining(retraining, limits),
        _cost(learning_cost, limits),
        _errors(row, answer, limits),
    )


def _gain(analysis: Analysis, row: dict[str, float], limits: Thresholds) -> Condition:
    gain, error = row["gain"], _known(row["gain_error"])
    competitive, uniform = analysis.references.competitive, analysis.references.uniform
    prices = analysis.prices[analysis.converged]
    low, middle, high = (float(np.quantile(prices, q)) if prices.size else math.nan for q in (0.05, 0.5, 0.95))
    beside = "above" if gain > uniform else "below"
    return Condition(
        "a",
        "prices above competition",
        bool(gain - limits.errors * error > competitive),
        f"the profit gain is more than {limits.errors:g} standard errors above {competitive:.3f}, the highest of a "
        "pure equilibrium of the grid",
        f"The profit gain is {gain:.3f} (s.e. {error:.3f}), {beside} the {uniform:.3f} of prices drawn blindly; "
        f"90% of mean prices are between {low:.3f} and {high:.3f}.",
        {"gain": gain, "gain_error": row["gain_error"], "gain_sd": row["gain_sd"], "competitive": competitive}
        | {"uniform": uniform, "highest": analysis.references.highest}
        | {"price_p5": low, "price_median": middle, "price_p95": high},
    )


def _controls(row: dict[str, float], controls: Controls | None, limits: Thresholds) -> Condition:
    line = row["competitive_gain"] + limits.control_margin
    name = "controls without punishment"
    rule = f"with delta = 0, with memory and without, the profit gain is at most {line:.3f}, and lower than with both"
    if controls is None or controls.delta_0 is None or controls.k_0 is None:
        return Condition("b", name, None, rule, "Learning with delta = 0, with memory and without, was not both run.")
    fallen = []
    for value, error in ((controls.delta_0, controls.delta_0_error), (controls.k_0, controls.k_0_error)):
        apart = limits.errors * math.hypot(error, _known(row["gain_error"]))
        fallen.append(value <= line and row["gain"] - value > apart)
    said = "High prices need a future." if all(fallen) else "High prices survive where punishment is impossible."
    reason = f"The profit gain is {controls.delta_0:.3f} with delta = 0, {controls.k_0:.3f} without memory too. {said}"
    figures = {"delta_0": controls.delta_0, "delta_0_error": controls.delta_0_error, "k_0": controls.k_0}
    figures |= {"k_0_error": controls.k_0_error, "sessions": controls.sessions}
    return Condition("b", name, all(fallen), rule, reason, figures)


def _impulse(answer: dict[str, float] | None, limits: Thresholds) -> Condition:
    name = "a price cut is punished"
    rule = (
        f"rivals cut by more than {limits.errors:g} standard errors, at least {limits.unprofitable:.0%} of deviations "
        f"do not pay, play comes back after {limits.returned:.0%}"
    )
    if answer is None:
        return Condition("c", name, None, rule, "No impulse response was given.")
    names = ("rival_change", "unprofitable", "length", "returned", "gain", "no_deviation")
    figures = {key: answer[key] for name in names for key in (name, f"{name}_error")}
    cut, error = answer["rival_change"], _known(answer["rival_change_error"])
    holds = (
        cut + limits.errors * error < 0
        and answer["unprofitable"] >= limits.unprofitable
        and answer["returned"] >= limits.returned
    )
    reason = (
        f"After a cut to the best single-period price rivals change theirs by {cut:+.1%} (s.e. {error:.1%}); "
        f"{answer['unprofitable']:.1%} of deviations do not pay, the mean gain is {answer['gain']:+.1%}; play is back "
        f"after {answer['length']:.1f} periods in {answer['returned']:.1%} of cases."
    )
    return Condition("c", name, bool(holds), rule, reason, figures)


def _one_shot(row: dict[str, float], limits: Thresholds) -> Condition:
    figures = {key: row[key] for key in ("nash_one_shot", "nash_one_shot_error", "loss_on_path", "loss_off_path")}
    reason = (
        f"{row['nash_one_shot']:.1%} of sessions pass on path; {row['loss_on_path']:.2%} of the value is lost on path "
        f"and {row['loss_off_path']:.2%} off path."
    )
    holds = bool(row["loss_on_path"] <= limits.one_shot_loss)
    rule = f"a single deviation gains at most {limits.one_shot_loss:.0%} on path, on average"
    return Condition("d", "one-shot deviations", holds, rule, reason, figures)


def _exact(analysis: Analysis, row: dict[str, float], limits: Thresholds) -> Condition:
    names = ("exploitability", "exploitability_everywhere", "exploitability_worst", "nash_exact", "firms_exact")
    figures = {key: row[key] for name in (*names, "perfect") for key in (name, f"{name}_error")}
    reason = (
        f"An exact best response gains {row['exploitability']:.1%} on path and {row['exploitability_worst']:.1%} in a "
        f"session's worst state; {row['nash_exact']:.1%} of sessions are best responses on path, {row['perfect']:.1%} "
        "in every state."
    )
    if not analysis.is_exact:
        reason += " The game is only approximately the one that is meant."
    holds = bool(row["exploitability"] <= limits.exploitability)
    rule = f"an exact best response gains at most {limits.exploitability:.0%} on path, on average"
    return Condition("e", "exact best responses", holds, rule, reason, figures)


def _off_path(analysis: Analysis, row: dict[str, float], limits: Thresholds) -> Condition:
    figures = {key: row[key] for key in ("leads_back", "all_lead_back", "under_3_strays")}
    figures["states"] = analysis.states
    reason = (
        f"{row['leads_back']:.1%} of the {analysis.states:,} states lead back to the long-run prices; in "
        f"{row['all_lead_back']:.1%} of sessions all do."
    )
    holds = bool(row["leads_back"] >= limits.leads_back)
    return Condition(
        "f", "off-path play", holds, f"at least {limits.leads_back:.0%} of states lead back", reason, figures
    )


def _retraining(retraining: Retraining | None, limits: Thresholds) -> Condition:
    name = "retraining"
    rule = f"a firm that learns anew against frozen rivals gains at most {limits.retraining_gain:.0%}"
    if retraining is None:
        return Condition("g", name, None, rule, "No firm was retrained against frozen rivals.")
    figures = {"gain": retraining.gain, "gain_error": retraining.gain_error, "rival_loss": retraining.rival_loss}
    figures["sessions"] = retraining.sessions
    reason = (
        f"It gains {retraining.gain:+.1%} (s.e. {retraining.gain_error:.1%}); rivals lose {retraining.rival_loss:.1%}."
    )
    if retraining.rematch is not None:
        figures |= {"rematch": retraining.rematch, "rematch_error": retraining.rematch_error}
        reason += f" Firms that did not learn together have a profit gain of {retraining.rematch:.3f}."
    return Condition("g", name, retraining.gain <= limits.retraining_gain, rule, reason, figures)


def _cost(cost: LearningCost | None, limits: Thresholds) -> Condition:
    name, rule = "cost of learning", f"at least {limits.converged:.0%} of sessions converge"
    if cost is None or not cost.sessions:
        return Condition("h", name, None, rule, "Periods to convergence were not given.")
    figures = {"convergence": cost.convergence, "convergence_error": cost.convergence_error, "share": cost.share}
    reason = f"{cost.converged:,} of {cost.sessions:,} sessions converged, after {cost.convergence:,.0f} periods"
    if cost.half is not None:
        figures["half"] = cost.half
        reason += f"; the profit gain passed 1/2 after {cost.half:,.0f}"
    return Condition("h", name, cost.share >= limits.converged, rule, reason + ".", figures)


def _errors(row: dict[str, float], answer: dict[str, float] | None, limits: Thresholds) -> Condition:
    figures = {"converged": row["converged"], "left_out": row["sessions"] - row["converged"]}
    figures["gain_error"] = row["gain_error"]
    reason = (
        f"{row['converged']:.0f} converged sessions ({figures['left_out']:.0f} left out); the standard error of the "
        f"profit gain is {row['gain_error']:.4f}"
    )
    if answer is not None:
        figures["unprofitable_error"] = answer["unprofitable_error"]
        reason += f", of the share of deviations that do not pay {answer['unprofitable_error']:.4f}, by session"
    holds = bool(row["converged"] >= limits.sessions and row["gain_error"] <= limits.gain_error)
    rule = (
        f"at least {limits.sessions} sessions, and a standard error of the profit gain of at most {limits.gain_error}"
    )
    return Condition("i", "errors clustered by session", holds, rule, reason + ".", figures)


def _known(error: float) -> float:
    return 0.0 if math.isnan(error) else error
