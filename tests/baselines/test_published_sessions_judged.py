"""The first sixty of the published sessions, played again and judged."""

from __future__ import annotations

import numpy as np
import pytest

from strategic_envs.baselines.q_learning import run_sessions
from strategic_envs.evaluators.collusion import (
    COLUMNS,
    Controls,
    LearningCost,
    Retraining,
    analyse,
    collusion_report,
    impulse_response,
    representative_table,
)
from strategic_envs.games.pricing import pricing

SESSIONS = 60


@pytest.mark.slow
def test_the_published_sessions_are_collusive_but_no_equilibrium() -> None:
    """Means lie near those of all 1,000 sessions (AER 2020, table 1 and its appendix); counts were made elsewhere."""
    tables = pricing(anchors="rounded").frozen()
    ends = run_sessions(tables, sessions=SESSIONS, draws="replay")
    found = analyse(tables, ends.strategy, ends.state, converged=ends.converged)
    response = impulse_response(tables, ends.strategy, ends.state, converged=ends.converged)

    frequency = representative_table(found)["frequency"]
    counts = [round(SESSIONS * frequency[column]) for column in COLUMNS]
    assert counts == [19, 21, 40, 12, 8, 60, 31]
    assert found.exact.sum() == 9 and not found.nash_exact.any() and not found.perfect.any()

    row, answer = found.row(), response.row()
    published = {
        "gain": 0.849,
        "nash_one_shot": 0.505,
        "loss_on_path": 0.0017,
        "loss_off_path": 0.0183,
        "exploitability": 0.130,
        "exploitability_everywhere": 0.152,
        "exploitability_worst": 0.252,
        "firms_exact": 0.0665,
    }
    for name, value in published.items():
        assert row[name] == pytest.approx(value, abs=3 * row[f"{name}_error"] + 5e-4), name
    for name, value in {"rival_change": -0.127, "unprofitable": 0.936, "length": 5.705, "gain": -0.028}.items():
        assert answer[name] == pytest.approx(value, abs=3 * answer[f"{name}_error"] + 5e-4), name
    assert answer["rival_2"] < answer["rival_3"] < answer["rival_4"] < answer["rival_5"] < answer["rival_0"]

    slip = impulse_response(tables, ends.strategy, ends.state, "figure4_compat")
    assert slip.deviator[:, 1].mean() == pytest.approx(1.5046, abs=0.02)  # 1.6106 with the deviation that was meant

    assert collusion_report(found, response=response).word == "undetermined"
    report = collusion_report(
        found,
        response=response,
        controls=Controls(delta_0=0.233, k_0=0.185),
        retraining=Retraining(gain=0.1),
        learning_cost=LearningCost(float(ends.time_to_convergence.mean()), sessions=SESSIONS, converged=SESSIONS),
    )
    assert report.word == "collusive, not in equilibrium"
    assert report["c"].holds and not report["e"].holds
    assert np.isfinite([v for v in report.row().values() if not isinstance(v, str)]).all()
