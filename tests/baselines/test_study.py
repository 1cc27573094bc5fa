from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strategic_envs.baselines.q_learning import Boltzmann, NoExploration, QLearning, run_sessions
from strategic_envs.baselines.q_learning.study import learning_cost, run_controls, study
from strategic_envs.errors import CheckpointError, InvalidSettingError
from strategic_envs.evaluators.collusion import analyse
from strategic_envs.games.pricing import pricing

LEARNER = QLearning(beta=2e-4, window=2000)
GAME = pricing(m=5)


@pytest.fixture(scope="module")
def found():
    return study(GAME, LEARNER, 6, seed=2, retraining=3, half=2)


def test_a_study_holds_what_its_parts_give(found) -> None:
    tables = GAME.frozen()
    again = run_sessions(tables, LEARNER, 6, seed=2, draws="thinned")
    np.testing.assert_array_equal(found.sessions.strategy, again.strategy)
    np.testing.assert_array_equal(found.analysis.gain, analyse(tables, again.strategy, again.state).gain)
    assert set(found.responses) == {"static_br", "figure4_compat"}
    assert len(found.retrained.sessions) == 3 and found.rematched.gain.shape == (3,)
    assert found.cost.converged == 6 and found.cost.convergence == pytest.approx(again.time_to_convergence.mean())


def test_the_report_of_a_study_has_measured_everything(found) -> None:
    assert found.report.missing == ()
    assert "(g) retraining" in str(found.report) and found.report["b"].figures


def test_controls_are_the_same_learner_where_nothing_can_be_punished(found) -> None:
    tables = GAME.frozen()
    for name, analysis in run_controls(tables, LEARNER, 6, seed=2).items():
        np.testing.assert_array_equal(analysis.gain, found.controls[name].gain)
    assert found.controls["delta = 0"].states == 25 and found.controls["delta = 0, k = 0"].states == 1


def test_parts_that_are_not_wanted_are_left_out() -> None:
    found = study(GAME, LEARNER, 3, controls=False, retraining=0, half=0)
    assert found.controls == {} and found.retrained is None and found.rematched is None and found.cost.half is None
    assert found.report["b"].holds is None and found.report["g"].holds is None


def test_one_session_cannot_be_rematched_and_is_still_studied() -> None:
    found = study(GAME, LEARNER, 1, half=0)
    assert found.retrained is None and len(found.analysis) == 1


def test_a_study_goes_on_in_its_folder_and_grows(tmp_path: Path, found) -> None:
    told: list[tuple[str, int, int]] = []

    def stages(name: str, total: int) -> Any:
        return lambda progress: told.append((name, progress.done, total))

    few = study(GAME, LEARNER, 3, seed=2, retraining=2, half=0, folder=tmp_path, progress=stages)
    assert len(few.sessions) == 3 and ("sessions", 3, 3) in told and ("rematch", 2, 2) in told
    told.clear()
    more = study(GAME, LEARNER, 6, seed=2, retraining=3, half=0, folder=tmp_path, progress=stages)
    assert sum(name == "sessions" for name, _, _ in told) == 3  # the others were there
    np.testing.assert_array_equal(more.sessions.strategy, found.sessions.strategy)
    np.testing.assert_array_equal(more.retrained.after, found.retrained.after)
    told.clear()
    study(GAME, LEARNER, 6, seed=2, retraining=3, half=0, folder=tmp_path, progress=stages)
    assert told == []
    with pytest.raises(CheckpointError, match="other settings"):
        study(GAME, QLearning(beta=3e-4, window=2000), 6, seed=2, folder=tmp_path)


def test_sessions_that_reach_the_cap_are_counted_and_left_out() -> None:
    found = study(GAME, QLearning(beta=2e-4, window=2000, cap=30_000), 8, retraining=0, half=2)
    assert 0 < found.cost.converged < 8 and found.cost.sessions == 8
    kept = found.sessions.converged
    assert found.analysis.row()["gain"] == pytest.approx(found.analysis.gain[kept].mean())


def test_half_of_the_gain_is_passed_for_good_before_the_end() -> None:
    tables = GAME.frozen()
    sessions = run_sessions(tables, LEARNER, 4, seed=2, draws="thinned")
    cost = learning_cost(tables, LEARNER, sessions, some=4, seed=2, block=100)
    again = run_sessions(tables, LEARNER, 4, seed=2, draws="thinned", gain_every=100)
    assert again.gain is not None
    last = [
        100 * (np.flatnonzero(g <= 0.5)[-1] + 1)
        for g in again.gain
        if np.nanmin(g) <= 0.5 and g[~np.isnan(g)][-1] > 0.5
    ]
    assert cost.half == pytest.approx(np.mean(last)) if last else cost.half is None


@pytest.mark.parametrize("exploration", [NoExploration(), Boltzmann(temperature=1.0, decay=1e-3)])
def test_other_ways_to_explore_are_studied_too(exploration: Any) -> None:
    found = study(GAME, QLearning(exploration=exploration, window=2000), 3, retraining=2, half=1)
    assert found.report.missing == () and len(found.controls) == 2


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="got retraining=-1"):
        study(GAME, LEARNER, 2, retraining=-1)


def test_one_firm_alone_has_no_study_and_no_profit_gain() -> None:
    alone = pricing(n=1, m=3, bounds=(1.0, 2.0))
    with pytest.raises(InvalidSettingError, match="got a game of 1 firm, expected at least 2"):
        study(alone, LEARNER, 2)
    assert np.isnan(alone.frozen().profit_gain(np.array([0.3])))


RUN = """
from pathlib import Path
from strategic_envs.baselines.q_learning import QLearning
from strategic_envs.baselines.q_learning.study import study
from strategic_envs.games.pricing import pricing
options = {{"seed": 7, "controls": False, "retraining": 0, "half": 0, "threads": 1, "folder": {folder!r}}}
study(pricing(m=5), QLearning(beta=2e-4, window=2000), 1500, **options)
"""


@pytest.mark.slow
def test_a_killed_study_goes_on_to_the_same_result(tmp_path: Path) -> None:
    folder, parts = tmp_path / "killed", tmp_path / "killed" / "sessions"
    process = subprocess.Popen([sys.executable, "-c", RUN.format(folder=str(folder))], cwd=Path(__file__).parents[2])
    try:
        for _ in range(6000):
            if len(list(parts.glob("part-*.npz"))) >= 2 or process.poll() is not None:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    saved = sum(len(np.load(path)["number"]) for path in parts.glob("part-*.npz"))
    assert 0 < saved < 1500
    told: list[str] = []

    def stages(name: str, total: int) -> Any:
        return lambda progress: told.append(name)

    options: dict[str, Any] = {"seed": 7, "controls": False, "retraining": 0, "half": 0}
    again = study(GAME, LEARNER, 1500, folder=folder, progress=stages, **options)
    whole = study(GAME, LEARNER, 1500, **options)
    assert told.count("sessions") == 1500 - saved
    for name in ("strategy", "state", "periods"):
        np.testing.assert_array_equal(getattr(again.sessions, name), getattr(whole.sessions, name))
    assert again.analysis.row() == pytest.approx(whole.analysis.row(), rel=0, abs=0, nan_ok=True)
