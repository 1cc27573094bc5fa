from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strategic_envs.baselines.q_learning import QLearning, Sessions
from strategic_envs.baselines.q_learning.study import study
from strategic_envs.evaluators.collusion.statistics import COLUMNS
from strategic_envs.games.pricing import pricing
from strategic_envs.scripts.cli import main
from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.progress import meter
from strategic_envs.scripts.reproduce import (
    _calvano_grid,
    _calvano_pictures,
    _calvano_published,
    _calvano_replay,
    _calvano_rows,
    _calvano_variants,
    calvano,
)
from strategic_envs.scripts.reproduce._calvano_published import BANDS, PRINTED

QUIET: dict[str, Any] = {"threads": None, "progress": lambda name, total: lambda finished: None}
COLUMNS_OF_A_ROW = {"quantity", "ours", "expected", "source", "within", "published", "replayed"}


@pytest.fixture(scope="module")
def found():
    return study(pricing(m=5), QLearning(beta=2e-4, window=2000), 6, retraining=4, half=2)


def test_the_reproduction_of_calvano_names_itself() -> None:
    assert calvano.NAME == "calvano" and calvano.SUMMARY.endswith(".") and calvano.RESUMES


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sessions", "0"], "got --sessions 0, expected a whole number from 1"),
        (["--grid", "-2"], "got --grid -2, expected a whole number from 0"),
        (["--grid-sessions", "0"], "got --grid-sessions 0"),
        (["--threads", "0"], "got --threads 0"),
        (["--sesions", "3"], "--sesions"),
    ],
)
def test_bad_options_are_told_in_a_line(words: list[str], message: str, tmp_path: Path, capsys) -> None:
    assert main(["reproduce", "calvano", "--out", str(tmp_path / "new"), *words]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


def test_the_number_of_sessions_is_checked_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--retraining -1"):
        calvano.reproduce(tmp_path, options=calvano.Options(retraining=-1))
    assert not list(tmp_path.iterdir())


def test_bands_of_fewer_sessions_are_wider_by_their_sampling_error() -> None:
    gain = BANDS[0]
    assert gain.half_width(1000) == gain.half_width(4000) == gain.width
    assert gain.half_width(250) == pytest.approx(2 * gain.width)


def test_published_numbers_are_whole() -> None:
    assert all(len(printed.values) == len(COLUMNS) for printed in PRINTED)
    frequency = PRINTED[0].values
    assert frequency[0] + frequency[1] == pytest.approx(frequency[2])  # pyright: ignore[reportOptionalOperand]
    assert len({band.key for band in BANDS}) == len(BANDS)
    assert {len(path) for path in _calvano_published.RESPONSE.values() if isinstance(path, tuple)} == {11}


def test_stored_numbers_of_the_authors_sessions_round_to_what_is_printed() -> None:
    stored = _calvano_replay.stored()
    everyone = {printed.key: printed.values[COLUMNS.index("all")] for printed in PRINTED if printed.key != "frequency"}
    for key, value in everyone.items():
        assert f"{stored[key]:.3f}" == f"{value:.3f}", key
    assert stored["sessions"] == stored["converged"] == 1000
    for who in ("deviator", "rival"):
        ours = [stored[f"{who}_{tau}"] for tau in range(11)]
        np.testing.assert_allclose(ours, _calvano_published.RESPONSE[who], atol=0.51e-4)
    assert set(stored) >= {band.key for band in BANDS}


def test_the_first_of_the_authors_sessions_end_as_theirs_did(tmp_path: Path) -> None:
    found = _calvano_replay.replay(2, tmp_path, **QUIET)
    rows = _calvano_replay.replay_rows(found)
    assert rows[0]["within"] is True and rows[0]["ours"] == 2
    assert {row["within"] for row in rows[1:]} == {None}  # two sessions cannot be held against a thousand
    assert all(set(row) == COLUMNS_OF_A_ROW for row in rows)
    record = json.loads(_calvano_replay.record(found))
    assert record["figures"]["sessions"] == 2.0 and set(record["figures"]) >= set(_calvano_replay.stored())


def test_a_session_that_ends_elsewhere_is_missed(tmp_path: Path) -> None:
    found = _calvano_replay.replay(2, tmp_path, **QUIET)
    found.sessions.periods[1] += 1
    assert _calvano_replay.replay_rows(found)[0]["within"] is False


def test_rows_tell_ours_from_published_and_judge_by_the_bands(found) -> None:
    rows = {row["quantity"]: row for row in _calvano_rows.study_rows(found, None)}
    assert all(set(row) == COLUMNS_OF_A_ROW for row in rows.values())
    gain = rows["profit gain Delta"]
    assert gain["ours"] == pytest.approx(found.analysis.gain.mean())
    assert gain["published"] == 0.849 and gain["replayed"] == pytest.approx(0.8487, abs=1e-4)
    assert gain["within"] == (abs(gain["ours"] - 0.851) <= 0.012 * math.sqrt(1000 / 6)) and "1000/6" in gain["source"]
    assert any(q.startswith("retraining") for q in rows) and any(q.startswith("rematched") for q in rows)


def test_controls_are_judged_and_the_one_without_memory_alone_is_shown(found, tmp_path: Path) -> None:
    rows = _calvano_rows.control_rows(found, 2, 0, tmp_path, **QUIET)
    assert [row["within"] for row in rows][-1] is None and "k = 0 and delta = .95" in rows[-1]["quantity"]
    assert sum("one-shot" in row["quantity"] for row in rows) == 1 and len(rows) == 5


def test_the_table_by_cycle_has_ours_beside_print(found, tmp_path: Path) -> None:
    text = _calvano_rows.comparison(found, None)
    assert text.count("\n|") == 2 + len(PRINTED) and " / 0.849" in text
    replayed = _calvano_replay.replay(1, tmp_path, **QUIET)
    assert "replayed" not in _calvano_rows.comparison(found, replayed)  # only all sessions are a column


def test_a_map_is_saved_cell_by_cell_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {"window": 1000, "cap": 3000}
    monkeypatch.setattr(_calvano_grid, "QLearning", lambda **options: QLearning(**options, **quick))
    one = _calvano_grid.gain_map(tmp_path, 2, 2, 0, **QUIET)
    assert one.gain.shape == (2, 2) and one.alphas.tolist() == [0.125, 0.25] and one.betas.tolist() == [1e-5, 2e-5]
    lines = (tmp_path / "map-2x2-seed0" / "rows.jsonl").read_text().splitlines()
    (tmp_path / "map-2x2-seed0" / "rows.jsonl").write_text("\n".join(lines[:3]) + "\n" + lines[3][:20])  # killed
    told: list[int] = []
    progress = lambda name, total: lambda finished: told.append(finished.done)  # noqa: E731
    two = _calvano_grid.gain_map(tmp_path, 2, 2, 0, threads=1, progress=progress)
    assert told == [4]
    np.testing.assert_array_equal(one.gain, two.gain)


def test_known_cells_of_a_map_are_compared() -> None:
    steps = np.arange(1, 6) / 5
    table = np.full((5, 5), 0.8)
    found = _calvano_grid.Map(0.25 * steps, 2e-5 * steps, table, 0.1 * table, table, sessions=20)
    rows = _calvano_grid.map_rows(found)
    assert sum(row["quantity"].startswith("map: Delta at") for row in rows) == 5 and rows[0]["within"]


def test_every_variant_is_a_game_and_a_learner_and_has_its_own_name() -> None:
    labels = [variant.label for variant in _calvano_variants.VARIANTS]
    assert len(set(labels)) == len(labels) > 50
    assert len({"".join(c if c.isalnum() else "-" for c in label) for label in labels}) == len(labels)
    for variant in _calvano_variants.VARIANTS:
        game, learner = pricing(**variant.game), QLearning(**variant.learner)
        assert learner.alphas(game.n_players).shape == (game.n_players,)
        assert 1 <= len(variant.published) <= 5


def test_variants_are_run_with_fewer_sessions_where_they_take_longer(tmp_path: Path) -> None:
    table = _calvano_variants.variant_table(4, 0, tmp_path, only=lambda v: v.label == "grid from .99", **QUIET)
    ((variant, count, figures),) = table
    assert variant.published[0] == 0.612 and count == 4
    (gain, one_shot) = _calvano_variants.variant_rows(table)
    assert gain["ours"] == figures["gain"] and one_shot["published"] == 0.871
    assert "| grid from .99 | 4 |" in _calvano_variants.variant_markdown(table)


def test_the_last_state_is_misread_as_the_authors_analysis_does() -> None:
    last = np.array([28912, 25073])  # firm by firm 8 8 7 7 and 7 6 6 8; written period by period 8 7 8 7 and 7 6 6 8
    ends = Sessions(
        number=np.arange(2),
        strategy=np.zeros((2, 2, 15**4), np.int16),
        state=last,
        periods=np.full(2, 200_000),
        converged=np.ones(2, bool),
        window=100_000,
        visited=last,
    )
    found = _calvano_variants._misread(pricing(memory=2).frozen(), ends)
    digits = np.stack(np.unravel_index(found, (15,) * 4), -1)
    np.testing.assert_array_equal(digits, [[8, 7, 8, 7], [7, 6, 6, 8]])


def test_a_meter_says_in_a_line_what_a_stage_took(capsys) -> None:
    with meter() as stages:
        study(pricing(m=3), QLearning(beta=1e-3, window=500), 3, retraining=0, half=0, controls=False, progress=stages)
    told = capsys.readouterr().err
    assert told.startswith("sessions: 3 sessions, ") and "session-steps/s" in told and told.count("\n") == 1


def test_pictures_of_a_study_are_written(found, tmp_path: Path) -> None:
    _calvano_pictures.draw_response(tmp_path / "response.png", found)
    _calvano_pictures.draw_gains(tmp_path / "gains.png", found)
    assert {p.name for p in tmp_path.iterdir()} == {"response.png", "gains.png"}


@pytest.mark.slow
def test_the_first_command_of_an_economist(tmp_path: Path, capsys) -> None:
    out = tmp_path / "first"
    words = ["reproduce", "calvano", "--sessions", "20", "--out", str(out)]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "published" in shown.out and "replayed" in shown.out and "impulse response" in shown.out
    names = {"impulse_response.png", "profit_gains.png", "profit_gain_map.png", "comparison.md", "report.txt"}
    assert names < {p.name for p in out.iterdir()}
    rows = json.loads((out / "reproduction.json").read_text())["rows"]
    missed = [row["quantity"] for row in rows if row["within"] is False]
    assert missed == []
    assert main(words) == 0  # everything is there: nothing is played again
    again = capsys.readouterr()
    assert "sessions:" not in again.err.replace("rematch", "")
    assert json.loads((out / "reproduction.json").read_text())["rows"] == rows
