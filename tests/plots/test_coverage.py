from __future__ import annotations

from pathlib import Path

import pytest
import torch

from strategic_envs import plots
from strategic_envs.agents.dynamics import Extragradient, run
from strategic_envs.errors import InvalidGameError
from strategic_envs.games.multiplayer import three_player_polynomial
from strategic_envs.games.nonconcave import f1
from strategic_envs.profile import Profile


def entries(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def grid(side: int, width: float) -> Profile:
    axis = torch.linspace(-width, width, side, dtype=torch.float64)
    return Profile.from_flat(torch.cartesian_prod(axis, axis), (1, 1))


def test_starts_are_counted_by_where_they_end(tmp_path: Path) -> None:
    game = f1(1.0)  # extragradient ends in two opposite corners
    starts = grid(6, 0.9)
    end = run(game, Extragradient(0.5 / 13.29), starts, 2000, record=None)
    figure = plots.plot_coverage(game, starts, end.final, end.verdicts())
    assert entries(figure) == ["to (-1, -1): 18", "to (1, 1): 18"] and figure.axes[0].get_title(loc="left") == game.name
    assert plots.save(figure, tmp_path / "coverage.png").stat().st_size > 1000


def test_every_verdict_has_its_entry_and_solutions_beyond_the_palette_share_one() -> None:
    game, starts = f1(3.0), grid(4, 2.7)
    ends = [t.clone() for t in starts]  # all different
    verdicts = ["solved"] * 12 + ["moving", "resting", "failed", "moving"]
    found = entries(plots.plot_coverage(game, starts, ends, verdicts))
    assert len([e for e in found if e.startswith("to (")]) == len(plots.COLOURS)
    assert set(found) >= {"to other solutions: 6", "still moving: 2", "rests at no solution: 1", "failed: 1"}


def test_unequal_numbers_and_other_games_are_refused() -> None:
    game, starts = f1(3.0), grid(2, 1.0)
    with pytest.raises(ValueError, match="got 4 starts, 4 ends and 1 verdicts"):
        plots.plot_coverage(game, starts, starts, ["solved"])
    with pytest.raises(InvalidGameError, match="expected two players"):
        plots.plot_coverage(three_player_polynomial(), starts, starts, ["solved"] * 4)
