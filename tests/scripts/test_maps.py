"""Maps of starts: one picture a game of two numbers, with a panel for each dynamic of a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from strategic_envs.scripts.maps import draw_maps
from strategic_envs.scripts.presets import continuous


def row(agent: str, **env: Any) -> dict[str, Any]:
    settings = {"step_size": 0.02, "iterations": 25, "evaluate_every": 6, "field": None}
    return {"environment": "continuous_game_v0", "env": env, "agent": agent, "seed": 0, "settings": settings}


def test_games_of_two_numbers_get_a_map_and_others_none(tmp_path: Path) -> None:
    rows = [row(agent, game="squared_difference") for agent in ("independent_gd", "uniform_random", "stonr")]
    rows.append(row("extragradient", game="three_player_polynomial"))
    assert [path.name for path in draw_maps(tmp_path, rows)] == ["continuous_game_v0-squared_difference-coverage.png"]


def test_agents_that_are_no_dynamic_of_a_batch_have_no_panel(tmp_path: Path) -> None:
    assert draw_maps(tmp_path, [row("uniform_random", game="f2"), row("stonr", game="f2")]) == []


def test_the_continuous_preset_asks_for_maps() -> None:
    assert continuous.MAPS
