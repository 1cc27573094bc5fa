from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from strategic_envs.errors import CheckpointError
from strategic_envs.results import (
    FIGURE_COLUMNS,
    LEADERBOARD_COLUMNS,
    RunFolder,
    read_leaderboard,
    replace_folder,
    versions,
    write_atomic,
    write_leaderboard,
)

ROW = {name: 0.5 for name in LEADERBOARD_COLUMNS} | {"environment": "e", "agent": "a", "exploitability_exact": True}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_rows_of_a_run_survive_and_a_rerun_continues_after_them(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a" / "b", {"seed": 0, "sizes": (1, 2)})
    run.append({"gap": torch.tensor(0.5), "count": np.int64(3), "path": Path("x")})
    again = RunFolder.create(tmp_path / "a" / "b", {"seed": 0, "sizes": [1, 2]})
    again.append({"gap": 0.25})
    assert again.rows() == [{"gap": 0.5, "count": 3, "path": "x"}, {"gap": 0.25}]
    assert RunFolder.open(tmp_path / "a" / "b").config == {"seed": 0, "sizes": [1, 2]}


def test_a_line_cut_short_by_a_kill_is_dropped_and_overwritten(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "r", {})
    run.append({"i": 0})
    with (tmp_path / "r" / "rows.jsonl").open("ab") as file:
        file.write(b'{"i": 1, "ga')
    assert run.rows() == [{"i": 0}]
    run.append({"i": 1})
    assert run.rows() == [{"i": 0}, {"i": 1}]


def test_another_run_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    RunFolder.create(folder, {"seed": 0}).append({"i": 0})
    before = snapshot(folder)
    with pytest.raises(CheckpointError, match="it has seed=0, this one has seed=1"):
        RunFolder.create(folder, {"seed": 1})
    with pytest.raises(CheckpointError, match="already holds this run"):
        RunFolder.create(folder, {"seed": 0}, resume=False)
    assert snapshot(folder) == before


def test_results_of_two_versions_are_not_mixed(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    RunFolder.create(folder, {})
    record = json.loads((folder / "run.json").read_text())
    record["versions"]["torch"] = "0.1"
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=r"torch='0\.1'"):
        RunFolder.create(folder, {})


@pytest.mark.parametrize("content", ["", "{", "[]", '{"config": 1}'])
def test_a_folder_that_holds_no_run_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(CheckpointError):
        RunFolder.create(tmp_path, {})
    assert (tmp_path / "run.json").read_text() == content


def test_a_file_and_a_folder_of_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(CheckpointError, match="no run folder"):
        RunFolder.create(tmp_path, {})
    with pytest.raises(CheckpointError, match="is a file"):
        RunFolder.create(tmp_path / "thesis.tex", {})
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "r", {})
    run.append({"i": 0})
    (tmp_path / "r" / "rows.jsonl").write_text('{"i": 0}\nnot json\n')
    with pytest.raises(CheckpointError, match="line 2 is damaged"):
        run.rows()


def test_leaderboard_round_trip_and_no_column_is_ever_empty(tmp_path: Path) -> None:
    path = tmp_path / "leaderboard.json"
    write_leaderboard(path, [ROW | {"other": 1}])
    assert read_leaderboard(path) == [ROW]
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="has no cce_gap"):
        write_leaderboard(path, [ROW | {"cce_gap": None}])
    assert path.read_bytes() == before
    with pytest.raises(CheckpointError, match="missing or not JSON"):
        read_leaderboard(tmp_path / "nothing.json")


def test_a_leaderboard_has_the_figures_that_a_row_has(tmp_path: Path) -> None:
    path = tmp_path / "leaderboard.json"
    beside = ROW | {FIGURE_COLUMNS[0]: 0.85, FIGURE_COLUMNS[1]: None}
    write_leaderboard(path, [ROW, beside])
    assert read_leaderboard(path) == [ROW, ROW | {FIGURE_COLUMNS[0]: 0.85}]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    write_atomic(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "\ud800")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.txt"]


def test_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a object, which JSON cannot hold"):
        RunFolder.create(tmp_path / "r", {"x": object()})
    assert not (tmp_path / "r").exists()


def test_a_finished_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
    replace_folder(tmp_path / "new", tmp_path / "old")
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old" / "f").read_text() == "new"


def test_versions_name_what_decides_a_result() -> None:
    assert {"python", "torch", "numpy", "strategic-envs", "device", "platform"} <= set(versions())
