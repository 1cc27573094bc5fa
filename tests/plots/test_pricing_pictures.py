from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from strategic_envs.plots import (
    draw_heat_map,
    draw_histogram,
    draw_impulse_response,
    draw_price_cycles,
    new_figure,
    save,
)

LEVELS = {"Nash": 1.473, "monopoly": 1.925}


def test_an_impulse_response_has_both_paths_their_bands_and_the_levels() -> None:
    axes = new_figure()[1][0]
    path = np.array([1.8, 1.6, 1.55, 1.7])
    draw_impulse_response(
        axes,
        path,
        path + 0.01,
        spread=(np.stack([path - 0.1, path + 0.1]), np.stack([path - 0.2, path + 0.2])),
        beside={"as in figure 4": (path - 0.1, path)},
        levels=LEVELS,
    )
    assert axes.get_legend_handles_labels()[1] == [
        "deviator",
        "rival",
        "deviator, as in figure 4",
        "rival, as in figure 4",
    ]
    assert len(axes.collections) == 2 and {t.get_text() for t in axes.texts} == set(LEVELS)
    drawn = [line.get_ydata() for line in axes.lines[:2]]
    np.testing.assert_array_equal(drawn, [path, path + 0.01])


def test_paths_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="got 3 prices of the deviator and 2 of the rival"):
        draw_impulse_response(new_figure()[1][0], [1, 2, 3], [1, 2])


def test_a_heat_map_puts_rows_upwards_and_leaves_unknown_cells_empty(tmp_path: Path) -> None:
    figure, (axes,) = new_figure()
    table = np.array([[0.1, 0.2, np.nan], [0.4, 0.5, 0.6]])
    draw_heat_map(axes, table, [0.05, 0.25], [1, 2, 3], label="profit gain", xlabel="beta", ylabel="alpha")
    image = axes.images[0]
    assert image.origin == "lower" and image.get_clim() == (0.1, 0.6)
    assert sorted(t.get_text() for t in axes.texts) == [".10", ".20", ".40", ".50", ".60"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["0.05", "0.25"]
    save(figure, tmp_path / "map.png")
    with pytest.raises(ValueError, match="expected 3 rows and 2 columns"):
        draw_heat_map(axes, table, [1, 2, 3], [1, 2])


def test_a_large_heat_map_has_few_marks_and_no_numbers() -> None:
    axes = new_figure()[1][0]
    draw_heat_map(axes, np.random.default_rng(0).random((100, 100)), np.arange(100), np.arange(100))
    assert len(axes.get_xticks()) <= 10 and not axes.texts


def test_bars_of_a_histogram_are_shares_of_the_finite_values() -> None:
    axes = new_figure()[1][0]
    draw_histogram(axes, [0.1, 0.1, 0.9, np.nan], bins=np.linspace(0, 1, 11), levels={"random": 0.5})
    heights = [bar.get_height() for bar in axes.patches]
    assert sum(heights) == pytest.approx(1.0) and heights[1] == pytest.approx(2 / 3)
    draw_histogram(axes, [])  # nothing to draw is no error


def test_price_cycles_are_dots_by_share_of_time() -> None:
    axes = new_figure()[1][0]
    rest, cycle = [[1.8, 1.8]], [[1.7, 1.8], [1.8, 1.7]]
    draw_price_cycles(axes, [rest, rest, cycle], levels=LEVELS)
    dots = axes.collections[0]
    assert dict(zip(map(tuple, dots.get_offsets().tolist()), dots.get_sizes() / 3000, strict=True)) == pytest.approx(
        {(1.8, 1.8): 2 / 3, (1.7, 1.8): 1 / 6, (1.8, 1.7): 1 / 6}
    )
    with pytest.raises(ValueError, match="expected \\(L, 2\\)"):
        draw_price_cycles(axes, [[1.8, 1.8]])
