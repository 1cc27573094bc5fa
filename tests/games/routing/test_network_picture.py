"""Networks as pictures: what is drawn stands for the numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

figure = pytest.importorskip("matplotlib.figure")

from strategic_envs.games.routing.picture import Picture, draw_network  # noqa: E402

BRAESS: dict[str, Any] = {
    "tails": [0, 0, 2, 2, 3],
    "heads": [2, 3, 1, 3, 1],
    "positions": [(-1, 0), (1, 0), (0, 0.5), (0, -0.5)],
    "loads": [4, 2, 2, 0, 4],
    "costs": [40, 52, 52, 10, 40],
    "ends": [(0, 1)],
}


def _areas(axes: Any) -> list[float]:
    """The areas of the drawn shapes, from the widest link to the thinnest."""
    areas = []
    for path in axes.collections[0].get_paths():
        x, y = path.vertices[:-1].T
        areas.append(abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2)
    return areas


def test_every_link_is_a_shape_and_says_its_flow_and_cost() -> None:
    axes = figure.Figure().subplots()
    draw_network(axes, Picture(**BRAESS))
    assert len(axes.collections[0].get_paths()) == 5
    said = [text.get_text() for text in axes.texts]
    assert said == ["1", "2", "3", "4", "4 at 40", "2 at 52", "2 at 52", "0 at 10", "4 at 40"]


def test_wider_links_carry_more_and_unused_ones_are_grey() -> None:
    axes = figure.Figure().subplots()
    draw_network(axes, Picture(**BRAESS))
    areas = _areas(axes)
    assert areas[0] > areas[2] > areas[4] > 0
    red, green, blue, _ = axes.collections[0].get_facecolors()[-1]
    assert red == green == blue


def test_colours_follow_the_costs_between_the_limits() -> None:
    axes = figure.Figure().subplots()
    colours = draw_network(axes, Picture(**BRAESS), limits=(0.0, 100.0))
    assert colours.get_clim() == (0.0, 100.0)
    drawn = axes.collections[0].get_facecolors()
    np.testing.assert_allclose(drawn[0], colours.to_rgba(40))
    np.testing.assert_allclose(drawn[2], colours.to_rgba(52))


def test_parallel_links_do_not_lie_on_each_other() -> None:
    axes = figure.Figure().subplots()
    draw_network(axes, Picture([0] * 3, [1] * 3, [(0, 0), (1, 0)], loads=[1, 1, 1], costs=[1, 2, 3]))
    middles = sorted(path.vertices[:, 1].mean() for path in axes.collections[0].get_paths())
    assert min(np.diff(middles)) > 0.1


def test_two_directions_of_a_road_keep_to_the_right() -> None:
    axes = figure.Figure().subplots()
    draw_network(axes, Picture([0, 1], [1, 0], [(0, 0), (1, 0)], loads=[1, 2], costs=[1, 1]))
    back, there = (path.vertices[:, 1].mean() for path in axes.collections[0].get_paths())  # the wider is drawn first
    assert there < -0.01 < 0.01 < back


def test_costs_that_are_all_the_same_lie_inside_the_colours() -> None:
    axes = figure.Figure().subplots()
    colours = draw_network(axes, Picture([0], [1], [(0, 0), (1, 0)], loads=[1], costs=[3]))
    low, high = colours.get_clim()
    assert low < 3 < high


def test_a_network_without_flow_and_a_link_to_itself_are_drawn() -> None:
    axes = figure.Figure().subplots()
    draw_network(axes, Picture([0, 1], [1, 1], [(0, 0), (1, 0)], loads=[0, 0], costs=[1, 1]))
    assert all(np.isfinite(path.vertices).all() for path in axes.collections[0].get_paths())


def test_a_large_network_draws_no_names() -> None:
    n = 100
    place = np.stack([np.arange(n), np.zeros(n)], 1)
    axes = figure.Figure().subplots()
    draw_network(axes, Picture(range(n - 1), range(1, n), place, loads=np.ones(n - 1), costs=np.ones(n - 1)))
    assert not axes.texts


def test_arrays_that_do_not_fit_are_refused() -> None:
    axes = figure.Figure().subplots()
    with pytest.raises(ValueError, match=r"got tails \(5,\).* loads \(1,\)"):
        draw_network(axes, Picture(**{**BRAESS, "loads": [1]}))
