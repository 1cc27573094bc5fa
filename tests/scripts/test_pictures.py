from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from strategic_envs.agents.roster import Result
from strategic_envs.profile import Profile
from strategic_envs.scripts.cells import Cell, variant
from strategic_envs.scripts.curves import draw_curves
from strategic_envs.scripts.pictures import draw_paths, draw_run, keep_path

ROW = {"steps": 1, "exploitability": 1.0, "local_nash_gap": 0.5, "local_cce_gap": 0.2}


def result(path: Profile | None, rows: int = 2) -> Result:
    table: list[dict[str, Any]] = [{**ROW, "steps": k + 1} for k in range(rows)]
    return Result(table, table[-1], {}, None, True, path)


def line(points: int, dims: tuple[int, ...] = (1, 1)) -> Profile:
    return Profile(torch.linspace(-0.5, 0.5, points, dtype=torch.float64).unsqueeze(-1).expand(-1, d) for d in dims)


def test_cells_on_two_games_of_one_environment_have_two_names() -> None:
    cells = [Cell("continuous_game_v0", "stonr", env={"game": "f1", "box": box}) for box in (1.0, 3.0)]
    assert [c.name for c in cells] == [f"continuous_game_v0-f1-box={b}-stonr-seed0" for b in (1, 3)]
    assert cells[0].key != cells[1].key
    assert Cell("tic_tac_toe_v0", "ppo", 2).name == "tic_tac_toe_v0-ppo-seed2"
    assert variant({"game": "f1", "box": 1.0}) == "f1, box=1" and variant({}) == ""
    assert Cell("continuous_game_v0", "a", env={"game": "../f 1"}).name == "continuous_game_v0-.._f_1-a-seed0"


def test_a_run_leaves_its_curves_and_its_path_where_the_game_is_of_two_numbers(tmp_path: Path) -> None:
    cell = Cell("continuous_game_v0", "eg_plus", env={"game": "f1"})
    drawn = draw_run(tmp_path, cell, result(line(9)))
    assert [p.name for p in drawn] == ["curves.png", "trajectory.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in drawn)
    assert [p.name for p in draw_run(tmp_path, cell, result(line(9, (1, 1, 1))))] == ["curves.png"]
    assert draw_run(tmp_path, cell, result(None, rows=1)) == []


def test_paths_are_thinned_out_and_drawn_one_panel_an_agent(tmp_path: Path) -> None:
    for agent in ("a", "b"):
        keep_path(tmp_path, Cell("continuous_game_v0", agent, env={"game": "f1"}), result(line(12_345)))
    keep_path(tmp_path, Cell("continuous_game_v0", "c", env={"game": "f1"}), result(line(5, (2, 2))))
    files = sorted((tmp_path / "paths").iterdir())
    assert [f.name for f in files] == [f"continuous_game_v0-f1-{a}-seed0.json" for a in ("a", "b")]
    points = json.loads(files[0].read_text())["points"]
    assert len(points[0]) == len(points[1]) == 2001 and points[0][-1] == 0.5
    assert [p.name for p in draw_paths(tmp_path)] == ["continuous_game_v0-f1-field.png"]


def test_one_picture_of_curves_a_game(tmp_path: Path) -> None:
    (tmp_path / "curves").mkdir()
    for place, options in (("continuous_game_v0", "f1"), ("continuous_game_v0", "f2"), ("tic_tac_toe_v0", "")):
        rows = [{**ROW, "environment": place, "options": options, "agent": "a", "steps": k + 1} for k in range(2)]
        file = tmp_path / "curves" / f"{place}-{options}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = sorted(p.name for p in draw_curves(tmp_path))
    assert names == ["continuous_game_v0-f1.png", "continuous_game_v0-f2.png", "tic_tac_toe_v0.png"]
