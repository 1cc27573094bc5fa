from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from strategic_envs.errors import InvalidSettingError
from strategic_envs.plots import new_figure, save
from strategic_envs.plots.quantiles import draw_quantiles, plot_quantiles
from strategic_envs.seeding import numpy_stream

RANDOM = numpy_stream(0, "quantiles")
DRAWS = {"lognormal": RANDOM.lognormal(2, 3, 20_000), "Gaussian": RANDOM.normal(size=20_000)}
DRAWS["Laplace"] = 5 * RANDOM.laplace(size=20_000)


@pytest.mark.parametrize("name", DRAWS)
def test_draws_lie_on_the_curve_of_their_control_in_any_unit(name: str) -> None:
    _, (axes,) = new_figure()
    draw_quantiles(axes, {"draws": -DRAWS[name]})
    lines = {str(line.get_label()): np.asarray(line.get_data(), dtype=float) for line in axes.lines}
    control, (x, y) = lines[name], lines["draws"]
    inner = np.abs(x) < 2
    np.testing.assert_allclose(y[inner], np.interp(x[inner], *control), atol=0.12)
    others = [lines[other] for other in DRAWS if other != name]
    assert all(np.abs(y[inner] - np.interp(x[inner], *other)).max() > 0.15 for other in others)


def test_one_plot_a_layer_with_one_legend_and_the_same_bytes_again(tmp_path: Path) -> None:
    layers = {f"layer {k}": {"trained": DRAWS["Laplace"], "at initialisation": DRAWS["Gaussian"]} for k in range(4)}
    files = [save(plot_quantiles(layers), tmp_path / f"{k}.png", dpi=50) for k in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()
    figure = plot_quantiles(layers)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(layers)
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["lognormal", "Gaussian", "Laplace", "trained", "at initialisation"]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(50), "first: got 0 entries that are not zero, expected 20"),
        (np.ones(50), "first: got 50 entries that are not zero, expected 20 of different sizes"),
        ([np.nan] * 50, "first: got a weight that is NaN or infinite"),
    ],
)
def test_what_has_no_quantiles_is_refused(weights: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        plot_quantiles({"layer": {"first": weights}})
    with pytest.raises(InvalidSettingError, match="got 0 layers and columns=3"):
        plot_quantiles({})
