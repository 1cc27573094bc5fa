"""Runs of many sessions: nothing but the number and the settings matters; saved, resumed, refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from strategic_envs.baselines.q_learning import (
    Boltzmann,
    Constant,
    Exponential,
    NoExploration,
    Progress,
    QLearning,
    Sessions,
    UniformCells,
    run_sessions,
)
from strategic_envs.errors import CheckpointError, InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.games.pricing import pricing

GAME = pricing(m=4).frozen()
SHORT = QLearning(alpha=0.2, beta=2e-3, window=500, cap=20_000)


def same(a: Sessions, b: Sessions) -> bool:
    """Whether two runs left the same bytes."""
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(Sessions)]
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)


def test_threads_and_other_sessions_do_not_matter() -> None:
    many = run_sessions(GAME, SHORT, 12, seed=3, threads=3, keep_q=True, gain_every=300)
    one = run_sessions(GAME, SHORT, 12, seed=3, threads=1, keep_q=True, gain_every=300)
    assert same(many, one)
    few = run_sessions(GAME, SHORT, [7, 2], seed=3, keep_q=True)
    assert few.number.tolist() == [7, 2]
    assert few.periods.tolist() == many.periods[[7, 2]].tolist()
    assert few.q is not None
    assert many.q is not None
    assert (few.q == many.q[[7, 2]]).all()
    assert (few.strategy == few.q.argmax(-1)).all()
    other = run_sessions(GAME, SHORT, 12, seed=4)
    assert (other.periods != many.periods).any()


def test_cut_into_slices_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    game = pricing(n=3, m=3)
    whole = run_sessions(game, SHORT, 3, keep_q=True)
    monkeypatch.setattr("strategic_envs.baselines.q_learning.session._SLICE", 7)
    assert same(whole, run_sessions(game, SHORT, 3, keep_q=True))


def test_cap_flags_sessions() -> None:
    ends = run_sessions(GAME, dataclasses.replace(SHORT, cap=400), 3)
    assert not ends.converged.any()
    assert ends.periods.tolist() == [400] * 3
    whole = run_sessions(GAME, SHORT, 3)
    assert whole.converged.all()
    for ends in (run_sessions(GAME, dataclasses.replace(SHORT, cap=int(p)), 3) for p in whole.periods):
        assert ends.converged.tolist() == (whole.periods <= ends.periods.max()).tolist()


def test_gains_are_those_of_the_play() -> None:
    """With every price frozen but one firm's, and that firm's table flat, play can be followed by hand."""
    strategy = np.full(GAME.n_states, 2)
    learner = QLearning(alpha=1.0, exploration=NoExploration(), initial=Constant(-1e9), window=50, cap=50)
    ends = run_sessions(GAME, learner, 1, frozen={1: strategy}, gain_every=20, start_state=0)
    assert ends.gain is not None
    assert ends.gain.shape == (1, 3)
    assert ends.gain_every == 20
    first = int(ends.strategy[0, 0, 0])
    expected = GAME.profit_gain(GAME.profit[0][4 * first + 2])
    assert np.isfinite(ends.gain).all()
    assert ends.gain[0, 0] == pytest.approx(float(expected))
    assert ends.first_gain_above(-1e9).tolist() == [0.0]
    assert np.isnan(ends.first_gain_above(1e9)).all()
    with pytest.raises(ValueError, match="gain_every"):
        run_sessions(GAME, SHORT, 1).first_gain_above()


def test_given_tables_states_and_frozen_firms() -> None:
    before = run_sessions(GAME, SHORT, 5, keep_q=True)
    assert before.q is not None
    settled = dataclasses.replace(SHORT, exploration=NoExploration(), window=50)
    after = run_sessions(GAME, settled, before.number.tolist(), start_q=before.q, start_state=before.state, keep_q=True)
    assert (after.strategy == before.strategy).mean() > 0.9
    frozen = run_sessions(GAME, SHORT, 5, frozen={0: before.strategy[:, 0]}, keep_q=True)
    assert (frozen.strategy[:, 0] == before.strategy[:, 0]).all()
    assert frozen.q is not None
    assert (frozen.q[:, 0] == GAME.initial_q[0]).all()
    assert (frozen.q[:, 1] != GAME.initial_q[1]).any()


def test_no_memory_and_no_future() -> None:
    """The control of AER 2020 with delta = 0 and k = 0 (alpha = .25, beta = 1e-3): Delta .185; 400 sessions here."""
    tables = pricing(memory=0, delta=0.0).frozen()
    ends = run_sessions(tables, QLearning(alpha=0.25, beta=1e-3), 400)
    assert ends.converged.all()
    assert ends.strategy.shape == (400, 2, 1)
    gain = tables.profit_gain(tables.profit[0][ends.strategy[:, 0, 0] * 15 + ends.strategy[:, 1, 0]])
    assert gain.mean() == pytest.approx(0.185, abs=3 * gain.std() / 20)


# --- folders --------------------------------------------------------------------------------------------------------


def test_a_folder_is_resumed(tmp_path: Path) -> None:
    asked: list[Progress] = []
    whole = run_sessions(GAME, SHORT, 8, keep_q=True, gain_every=1000)
    run_sessions(GAME, SHORT, 3, keep_q=True, gain_every=1000, folder=tmp_path)
    again = run_sessions(GAME, SHORT, 8, keep_q=True, gain_every=1000, folder=tmp_path, on_done=asked.append)
    assert same(whole, again)
    assert [p.done for p in asked] == [4, 5, 6, 7, 8]
    assert {p.number for p in asked} == {3, 4, 5, 6, 7}
    last = asked[-1]
    assert (last.read, last.total, last.seconds_left) == (3, 8, 0.0)
    assert last.steps == whole.periods[3:].sum()
    assert last.rate > 0
    nothing: list[Progress] = []
    run_sessions(GAME, SHORT, [5, 1], keep_q=True, gain_every=1000, folder=tmp_path, on_done=nothing.append)
    assert nothing == []


def test_an_interrupted_run_keeps_what_has_finished(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sessions(GAME, SHORT, 10, folder=tmp_path, on_done=interrupt, threads=2)
    found: list[Progress] = []
    ends = run_sessions(GAME, SHORT, 10, folder=tmp_path, on_done=found.append)
    kept = found[0].read if found else 10  # the threads may have ended all ten before they were stopped
    assert kept >= 4
    assert same(ends, run_sessions(GAME, SHORT, 10))


def test_a_killed_run_resumes(tmp_path: Path) -> None:
    """What lies in the folder at any moment is what a killed process would leave."""
    running, killed = tmp_path / "running", tmp_path / "killed"

    def copy(progress: Progress) -> None:
        if progress.done == 150:
            shutil.copytree(running, killed)

    whole = run_sessions(GAME, SHORT, 200, folder=running, on_done=copy)
    found: list[Progress] = []
    assert same(whole, run_sessions(GAME, SHORT, 200, folder=killed, on_done=found.append))
    assert 64 <= found[0].read < 200
    assert not list(killed.glob("*.tmp"))


def test_other_settings_are_refused(tmp_path: Path) -> None:
    run_sessions(GAME, SHORT, 2, folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"seed: saved 0, asked for 5"):
        run_sessions(GAME, SHORT, 2, seed=5, folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"alpha: saved '0.2', asked for '0.15'"):
        run_sessions(GAME, dataclasses.replace(SHORT, alpha=0.15), 2, folder=tmp_path)
    with pytest.raises(CheckpointError, match="game: "):
        run_sessions(pricing(m=4, delta=0.9), SHORT, 2, folder=tmp_path)
    (tmp_path / "part-00001.npz").write_bytes(b"PK broken")
    with pytest.raises(CheckpointError, match="damaged"):
        run_sessions(GAME, SHORT, 2, folder=tmp_path)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"settings\.json is damaged"):
        run_sessions(GAME, SHORT, 2, folder=tmp_path)
    (tmp_path / "settings.json").unlink()
    with pytest.raises(CheckpointError, match=r"no settings\.json"):
        run_sessions(GAME, SHORT, 2, folder=tmp_path)


def test_settings_name_the_versions(tmp_path: Path) -> None:
    run_sessions(GAME, SHORT, 1, folder=tmp_path)
    assert set(json.loads((tmp_path / "settings.json").read_text())["versions"]) == {"numpy", "numba"}


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0.0}, r"alpha=0.0, expected a finite number in \(0, 1\]"),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"alpha": (0.1, float("nan"))}, "alpha="),
        ({"alpha": "fast"}, "alpha='fast'"),
        ({"beta": -1e-6}, "beta=-1e-06, expected a finite number >= 0"),
        ({"beta": ()}, "beta="),
        ({"window": 0}, "window=0, expected a positive number of periods"),
        ({"cap": 0.5}, "cap=0.5"),
        ({"cap": 2**62}, "below 2"),
        ({"exploration": 4e-6}, "exploration=4e-06"),
        ({"initial": 5.0}, "initial=5.0"),
    ],
)
def test_learners_that_make_no_sense(settings: dict, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        QLearning(**settings)


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="rule for ties 'highest'"):
        QLearning(ties="highest")
    with pytest.raises(UnknownNameError, match=r"kind of draws 'thined': did you mean 'thinned'"):
        run_sessions(GAME, SHORT, 1, draws="thined")
    with pytest.raises(UnknownNameError, match="dtype 'float16'"):
        run_sessions(GAME, SHORT, 1, dtype="float16")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Exponential(-1.0), "beta=-1.0"),
        (lambda: Exponential(1e-3, first=2.0), r"first=2.0, expected a finite number in \[0, 1\]"),
        (lambda: Boltzmann(0.0), "temperature=0.0, expected a finite number > 0"),
        (lambda: Boltzmann(10.0, 1.0), "decay=1.0"),
        (lambda: UniformCells(1.0, 1.0), "low < high"),
        (lambda: Constant(float("inf")), "value=inf"),
    ],
)
def test_schedules_and_values_that_make_no_sense(make, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        make()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sessions": 0}, "sessions=0, expected a positive number"),
        ({"sessions": [1, 1]}, "different session numbers"),
        ({"sessions": [0], "draws": "replay"}, "numbers >= 1"),
        ({"sessions": True}, "sessions=True"),
        ({"threads": 0}, "threads=0"),
        ({"seed": -1}, "seed=-1"),
        ({"gain_every": -5}, "gain_every=-5"),
        ({"learner": QLearning(alpha=(0.1, 0.1, 0.1))}, "alpha has 3 numbers for 2 firms"),
        ({"learner": QLearning(beta=(0.1, 0.1, 0.1))}, "beta has 3 numbers for 2 firms"),
        ({"start_q": np.zeros((2, 3))}, r"start_q of shape \(2, 3\)"),
        ({"start_q": np.full((2, 16, 4), np.nan)}, "finite: False"),
        ({"start_state": 16}, r"start_state=16, expected a state 0\.\.15"),
        ({"start_state": [1, 2, 3]}, "start_state="),
        ({"frozen": {0: np.zeros(16, int), 1: np.zeros(16, int)}}, "one of them must learn"),
        ({"frozen": {2: np.zeros(16, int)}}, r"frozen firms \[2\]"),
        ({"frozen": {0: np.full(16, 4)}}, r"price indices 0\.\.3"),
        ({"frozen": {0: np.zeros(16)}}, "float64"),
        ({"draws": "thinned", "learner": QLearning(exploration=Boltzmann())}, "needs exponential exploration"),
        ({"draws": "replay", "dtype": "float32"}, "dtype is float32"),
        ({"draws": "replay", "learner": QLearning(initial=UniformCells())}, "first values are drawn"),
        ({"draws": "replay", "learner": QLearning(ties="random")}, "ties are broken at random"),
    ],
)
def test_runs_that_make_no_sense(options: dict, message: str) -> None:
    options = {"learner": SHORT, "sessions": 1, **options}
    with pytest.raises(InvalidSettingError, match=message):
        run_sessions(GAME, **options)


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"4,294,967,296 states .* 256\.0 GiB a session"):
        run_sessions(dataclasses.replace(GAME, memory=8), QLearning(), 1)
    with pytest.raises(InvalidGameError, match=r"149\.0 GiB"):
        run_sessions(pricing(m=100, memory=2), QLearning(), 1)
