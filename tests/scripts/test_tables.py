"""Leaderboards for people: columns that only some games have appear where a row has them."""

from __future__ import annotations

from strategic_envs.results import FIGURE_COLUMNS, LEADERBOARD_COLUMNS
from strategic_envs.scripts.discover import find
from strategic_envs.scripts.tables import FIGURE_LEGEND, console, leaderboard_markdown, leaderboard_table

ROW = dict.fromkeys(LEADERBOARD_COLUMNS, 0.5) | {"environment": "e", "options": "", "agent": "a", "seed": 0}


def _header(text: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith("| ")).strip("| ").split(" | ")


def test_figures_have_columns_only_where_a_row_has_them() -> None:
    plain = leaderboard_markdown([ROW], "t", {})
    assert not set(FIGURE_COLUMNS) & set(_header(plain)) and "**profit_gain**" not in plain
    both = leaderboard_markdown([ROW, ROW | {"agent": "b", "profit_gain": 0.85}], "t", {})
    assert _header(both)[-3:] == ["profit_gain", "steps", "seconds"]
    assert "| 0.5 |  | 0.5 | 0.5 |" in both and "| 0.5 | 0.85 | 0.5 | 0.5 |" in both
    assert "**profit_gain**: " in both and "rival_response" not in both


def test_every_figure_is_explained() -> None:
    assert tuple(FIGURE_LEGEND) == FIGURE_COLUMNS


def test_the_console_shows_them_too(capsys) -> None:
    leaderboard_table(console(), [ROW | {"profit_gain": 0.85}])
    shown = capsys.readouterr().out
    assert "0.85" in shown and "profit_gain: mean profits" in shown.replace("\n", " ")


def test_the_pricing_preset_has_every_learner_and_its_controls() -> None:
    cells = find("presets", "pricing", "preset").cells()
    wanted = "q_learning independent_gd extragradient ppo dqn psro double_oracle cooperative_gradient static_nash"
    assert set(wanted.split()) | {"grim_trigger", "tit_for_tat", "uniform_random"} <= {cell.agent for cell in cells}
    assert len({cell.key for cell in cells}) == len(cells)
    assert {"delta": 0.0, "memory": 0} in [cell.env for cell in cells]
