"""The report: each condition by its own figures, and a verdict that no single one decides."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from strategic_envs.errors import InvalidSettingError, UnknownNameError
from strategic_envs.evaluators.collusion import (
    Analysis,
    CollusionReport,
    Controls,
    ImpulseResponse,
    LearningCost,
    Retraining,
    Thresholds,
    analyse,
    collusion_report,
    impulse_response,
)
from strategic_envs.games.pricing import pricing

TABLES = pricing().frozen()
CONTROLS = Controls(delta_0=0.23, k_0=0.185, delta_0_error=0.004, k_0_error=0.004, sessions=1000)
RETRAINING = Retraining(gain=0.01, gain_error=0.01, rival_loss=0.1, rematch=0.2, sessions=100)
COST = LearningCost(convergence=1.76e6, convergence_error=1e4, half=6e5, sessions=1000, converged=1000)


def sessions(kind: str, count: int = 40) -> tuple[Analysis, ImpulseResponse]:
    """Sessions that all ended in the same strategies: high prices with a punishment of one period, high, or low."""
    strategy = np.full((count, 2, 225), {"stick": 1, "high": 13, "low": 1}[kind], dtype=np.int16)
    if kind == "stick":
        strategy[:, :, [13 * 16, 1 * 16]] = 13
    state = np.full(count, 13 * 16)
    return analyse(TABLES, strategy, state), impulse_response(TABLES, strategy, state)


def full(kind: str = "stick", **changes: object) -> CollusionReport:
    analysis, response = sessions(kind)
    given = {"response": response, "controls": CONTROLS, "retraining": RETRAINING, "learning_cost": COST, **changes}
    return collusion_report(analysis, **given)  # pyright: ignore[reportArgumentType]  # by name


def test_all_nine_conditions_are_told_in_order() -> None:
    report = full()
    assert [c.letter for c in report.conditions] == list("abcdefghi")
    assert all(c.reason and c.threshold for c in report.conditions)
    assert report["c"].figures["length"] == 3.0
    assert str(report).splitlines()[-1] == f"Verdict: {report.verdict}"
    with pytest.raises(UnknownNameError, match="condition 'z'"):
        report["z"]


def test_stick_and_carrot_with_all_evidence_is_collusive() -> None:
    report = full(thresholds=Thresholds(leads_back=0.9))
    assert report.word == "collusive" and all(c.holds for c in report.conditions)


def test_low_prices_are_competitive_whatever_else() -> None:
    assert full("low").word == "competitive"
    assert collusion_report(sessions("low")[0]).word == "competitive"


def test_high_prices_that_nobody_defends_are_spurious() -> None:
    report = full("high")
    assert report.word == "spurious" and "do not answer" in report.verdict and report["c"].holds is False


@pytest.mark.parametrize("bad", [{"delta_0": 0.9}, {"k_0": 0.9}, {"delta_0": 0.5}])
def test_high_prices_that_survive_a_control_are_spurious(bad: dict[str, float]) -> None:
    controls = Controls(**{"delta_0": 0.2, "k_0": 0.2, **bad})
    report = full(controls=controls)
    assert report.word == "spurious" and report["b"].holds is False and "survive" in report["b"].reason


def test_what_was_not_measured_is_named() -> None:
    analysis, response = sessions("stick")
    bare = collusion_report(analysis, response=response)
    assert bare.missing == ("b", "g", "h")
    assert bare.verdict.startswith("undetermined: not measured: (b) controls")
    assert "(g) retraining" in bare.verdict
    half = full(controls=Controls(delta_0=0.2))
    assert half.missing == ("b",) and half.word == "undetermined"
    assert math.isnan(float(half.row()["b_holds"]))


def test_high_prices_that_can_be_exploited_are_not_in_equilibrium() -> None:
    report = full(retraining=Retraining(gain=0.2))
    assert report.word == "collusive, not in equilibrium" and report.verdict.endswith("(g) retraining")


def test_a_missing_punishment_or_few_sessions_withhold_the_word() -> None:
    assert full(thresholds=Thresholds(leads_back=1.1)).word == "supracompetitive"
    assert full(thresholds=Thresholds(sessions=1000)).word == "undetermined"
    alone, response = sessions("stick", 1)
    report = collusion_report(alone, response=response, controls=CONTROLS, retraining=RETRAINING, learning_cost=COST)
    assert report["i"].holds is False and report.word == "undetermined"


def test_no_converged_session_is_no_evidence() -> None:
    strategy = np.full((2, 2, 225), 13, dtype=np.int16)
    state = np.zeros(2, np.int64)
    analysis = analyse(TABLES, strategy, state, converged=np.zeros(2, dtype=bool))
    assert collusion_report(analysis).verdict == "undetermined: no session converged"


def test_a_row_is_flat_and_fits_json() -> None:
    row = json.loads(json.dumps(full().row()))
    assert row["a_holds"] == 1.0 and row["g_gain"] == 0.01 and row["h_half"] == 6e5
    assert {key[0] for key in row if key[1] == "_"} == set("abcdefghi")


def test_evidence_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="Controls: got k_0=nan"):
        Controls(k_0=math.nan)
    with pytest.raises(InvalidSettingError, match="Retraining: got gain=inf"):
        Retraining(gain=math.inf)
    with pytest.raises(InvalidSettingError, match="3 converged of 2 sessions"):
        LearningCost(convergence=1.0, sessions=2, converged=3)
    analysis = sessions("stick", 2)[0]
    strategy, state = np.full((2, 2, 225), 13, dtype=np.int16), np.zeros(2, np.int64)
    with pytest.raises(InvalidSettingError, match="expected 'static_br'"):
        collusion_report(analysis, response=impulse_response(TABLES, strategy, state, "figure4_compat"))
