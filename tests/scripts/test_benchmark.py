from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any

import pytest

from strategic_envs.results import LEADERBOARD_COLUMNS, read_leaderboard
from strategic_envs.scripts import curves, discover
from strategic_envs.scripts.cells import Cell
from strategic_envs.scripts.cli import main
from strategic_envs.scripts.commands import benchmark

ENVIRONMENTS = ("continuous_game_v0", "tic_tac_toe_v0")


@pytest.fixture(autouse=True)
def preset(monkeypatch: pytest.MonkeyPatch, fake: Any) -> types.SimpleNamespace:
    """A preset of two environments and two seeds."""
    cells = [Cell(environment, "fake", seed) for environment in ENVIRONMENTS for seed in (0, 1)]
    module = types.SimpleNamespace(SUMMARY="a preset of fakes", cells=lambda: cells)
    monkeypatch.setattr(benchmark, "find", lambda folder, name, kind: module)
    monkeypatch.setattr(benchmark, "draw_curves", lambda folder: [])
    return module


def test_benchmark_writes_leaderboard_table_and_curves(fake, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(benchmark, "draw_curves", curves.draw_curves)
    assert main(["benchmark", "--out", "b"]) == 0
    rows = read_leaderboard(tmp_path / "b" / "leaderboard.json")
    assert len(rows) == 4 and all(tuple(row) == LEADERBOARD_COLUMNS for row in rows)
    assert all(row["exploitability_exact"] is True for row in rows)
    table = (tmp_path / "b" / "leaderboard.md").read_text()
    assert (
        "| continuous_game_v0 |  | fake | 0 |" in table
        and "step_size=0.5" in table
        and "What the columns mean" in table
    )
    for name in ENVIRONMENTS:
        assert (tmp_path / "b" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "results are in b" in capsys.readouterr().out


def test_a_run_that_was_killed_goes_on_with_the_missing_rows_only(fake, tmp_path: Path, capsys) -> None:
    fake.fails_on = "tic_tac_toe_v0"
    assert main(["benchmark", "--out", "b"]) == 1
    captured = capsys.readouterr()
    assert "2 of 4 cells failed" in captured.err and "FAILED: RuntimeError: the machine is on fire" in captured.out
    assert "Traceback" in (tmp_path / "b" / "failed" / "tic_tac_toe_v0-fake-seed0.txt").read_text()
    fake.fails_on, before = "", len(fake.jobs)
    assert main(["benchmark", "--out", "b"]) == 0
    assert [job.environment for job in fake.jobs[before:]] == ["tic_tac_toe_v0", "tic_tac_toe_v0"]
    assert len(read_leaderboard(tmp_path / "b" / "leaderboard.json")) == 4
    assert not list((tmp_path / "b" / "failed").iterdir())


def test_a_finished_run_is_shown_again_without_training(fake) -> None:
    main(["benchmark", "--out", "b"])
    trained = len(fake.jobs)
    assert main(["benchmark", "--out", "b"]) == 0 and len(fake.jobs) == trained


def test_overwrite_keeps_the_old_results_until_the_new_are_complete(fake, tmp_path: Path) -> None:
    main(["benchmark", "--out", "b"])
    before = (tmp_path / "b" / "rows.jsonl").read_bytes()
    fake.fails_on = "tic_tac_toe_v0"
    assert main(["benchmark", "--out", "b", "--overwrite"]) == 1
    assert (tmp_path / "b" / "rows.jsonl").read_bytes() == before
    fake.fails_on, trained = "", len(fake.jobs)
    assert main(["benchmark", "--out", "b", "--overwrite"]) == 0
    assert len(fake.jobs) == trained + 2  # it went on with what the failed one had left
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_results_of_another_preset_are_refused_and_untouched(fake, tmp_path: Path, capsys, more: list[str]) -> None:
    main(["benchmark", "--out", "b"])
    record = json.loads((tmp_path / "b" / "run.json").read_text())
    record["config"]["preset"] = "slow"
    (tmp_path / "b" / "run.json").write_text(json.dumps(record))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert main(["benchmark", "--out", "b", *more]) == 2
    assert "slow" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_folder_of_something_else_is_refused(tmp_path: Path, capsys, more: list[str]) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    assert main(["benchmark", "--out", "thesis", *more]) == 2
    assert "no run folder" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_a_cell_that_cannot_be_trained_stops_the_preset_before_it_starts(fake, preset, tmp_path: Path, capsys) -> None:
    preset.cells = lambda: [Cell("larger_number_v0", "fake")]
    assert main(["benchmark", "--out", "b"]) == 2
    assert "it has no numbers" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_presets_are_discovered_files() -> None:
    assert "quick" in discover.names("presets") and "gradient-cycles" in discover.names("reproduce")
