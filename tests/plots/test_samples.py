from __future__ import annotations

from pathlib import Path

import pytest
import torch

from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.mixtures import GaussianMixture
from strategic_envs.plots import save
from strategic_envs.plots.samples import plot_samples
from strategic_envs.seeding import torch_stream

RING = GaussianMixture.ring()
SAMPLES = RING.sample((50,), torch_stream(0, "samples"))


def test_a_row_for_each_method_and_a_column_for_each_time(tmp_path: Path) -> None:
    broken = torch.full((5, 2), torch.nan)  # a method that blew up leaves an empty picture
    rows = {"good": [SAMPLES, SAMPLES], "broken": [SAMPLES, broken]}
    figure, again = (plot_samples(rows, ["first", "last"], RING.centres) for _ in range(2))
    assert len(figure.axes) == 4
    assert [axes.get_title() for axes in figure.axes] == ["first", "last", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["good", "", "broken", ""]
    assert [len(axes.collections[1].get_offsets()) for axes in figure.axes] == [50, 50, 50, 0]  # pyright: ignore[reportArgumentType]
    first, second = (save(f, tmp_path / f"{k}.png", dpi=60).read_bytes() for k, f in enumerate((figure, again)))
    assert first == second and len(first) > 1000


def test_pictures_need_samples_for_each_time() -> None:
    with pytest.raises(InvalidSettingError, match=r"adam: got samples of 1 times, expected 2"):
        plot_samples({"adam": [SAMPLES]}, ["first", "last"], RING.centres)
