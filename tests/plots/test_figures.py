from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from strategic_envs import plots
from strategic_envs.errors import InvalidGameError, MissingExtraError
from strategic_envs.games.bilinear import bilinear, matching_pennies_box
from strategic_envs.games.multiplayer import three_player_polynomial
from strategic_envs.games.nonconcave import f1
from strategic_envs.games.squared_difference import SquaredDifference
from strategic_envs.profile import Profile

PNG = b"\x89PNG\r\n\x1a\n"


def path(batch: tuple[int, ...] = ()) -> Profile:
    return Profile([torch.linspace(0, 1, 20).reshape(20, *[1] * len(batch), 1).expand(20, *batch, 1)] * 2)


@pytest.mark.parametrize("game", [f1(), f1(1.0), matching_pennies_box(), SquaredDifference()], ids=lambda g: g.name)
def test_a_trajectory_picture_has_its_labels_and_writes_a_png(game, tmp_path: Path) -> None:
    figure = plots.plot_trajectories(game, {"one": path(), "many": path((3,))}, labels=("left", "up"))
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title(loc="left")) == ("left", "up", game.name)
    legend = axes.get_legend()
    assert legend is not None and [t.get_text() for t in legend.get_texts()][:2] == ["one", "many"]
    written = plots.save(figure, tmp_path / "deep" / "picture.png")
    assert written.read_bytes().startswith(PNG)


def test_games_that_are_no_square_are_refused() -> None:
    for game in (three_player_polynomial(), bilinear(dim=2), bilinear(box=None)):
        with pytest.raises(InvalidGameError, match="expected two players with one bounded number each"):
            plots.plot_trajectories(game, {})


def test_curves_show_median_and_band_and_leave_out_what_is_not_finite() -> None:
    values = np.array([[1.0, 2.0, 3.0], [0.1, 0.2, np.nan], [0.0, 0.0, 0.0]])
    figure = plots.plot_curves({"seeds": ([0, 1, 2], values), "one": ([0], [1.0])}, levels={"bound": 0.5}, floor=1e-4)
    (axes,) = figure.axes
    line = axes.get_lines()[0]
    assert np.asarray(line.get_ydata()).tolist() == [2.0, 1e-4]
    assert np.asarray(line.get_xdata()).tolist() == [0.0, 2.0]
    assert axes.get_yscale() == "log" and len(axes.collections) == 1
    with pytest.raises(ValueError, match="got 2 steps and 3 values"):
        plots.plot_curves({"a": ([0, 1], [1.0, 2.0, 3.0])})


def test_nothing_to_draw_draws_nothing() -> None:
    assert plots.plot_curves({"empty": ([0.0], [float("nan")])}).axes[0].get_lines()[:] == []
    assert plots.plot_curves({}, log=False).axes[0].get_legend() is None


def test_the_same_figure_is_the_same_bytes_and_no_temporary_file_stays(tmp_path: Path) -> None:
    for suffix in ("png", "pdf"):
        first, second = (
            plots.save(plots.plot_curves({"a": ([0, 1], [1.0, 0.5])}), tmp_path / f"{k}.{suffix}") for k in (1, 2)
        )
        assert first.read_bytes() == second.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.pdf", "1.png", "2.pdf", "2.png"]


def test_a_failed_save_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = plots.plot_curves({"a": ([0, 1], [1.0, 0.5])})
    target = plots.save(figure, tmp_path / "a.png")
    before = target.read_bytes()

    def broken(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", broken)
    with pytest.raises(OSError, match="disk full"):
        plots.save(figure, target)
    assert target.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(ValueError, match=r"got the file name 'a\.bmpp', expected a suffix out of"):
        plots.save(figure, tmp_path / "a.bmpp")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m == "matplotlib" or m.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install .strategic-envs\[plots\]"):
        plots.new_figure()
