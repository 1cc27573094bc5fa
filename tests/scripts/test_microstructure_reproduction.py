"""`reproduce microstructure`: rows, pictures, options."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.reproduce import _microstructure_networks as networks
from strategic_envs.scripts.reproduce import _microstructure_play as play
from strategic_envs.scripts.reproduce import microstructure
from strategic_envs.scripts.reproduce._digit_networks import RUNS, train


@pytest.mark.slow
def test_in_short(tmp_path: Path) -> None:
    rows = microstructure.reproduce(tmp_path, quick=True)
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)
    assert {p.name for p in tmp_path.iterdir()} == {"quantiles.png", "dynamics.png"}
    by_quantity = {row["quantity"]: row for row in rows}
    assert len(by_quantity) == len(rows)
    assert by_quantity["trained matrices in which the lognormal wins, of 6"]["ours"] == 0
    missed = [
        q for q, row in by_quantity.items() if row["within"] is False and "trained" not in q and "accuracy" not in q
    ]
    assert missed == []


def test_agents_and_noise_end_where_they_should(tmp_path: Path) -> None:
    rows = [*play.agents(0), *play.noise(5000, 0)]
    assert [row["quantity"] for row in rows if row["within"] is not True] == []


def test_a_histogram_flatters_the_lognormal_on_draws_that_are_none() -> None:
    rows = networks.forbidden(20_000, 0)
    assert all(row["ours"] > 0.8 and row["within"] is None for row in rows)
    assert networks.controls(5000, 0)[0]["ours"] == "rejected", "of the same draws likelihood says what they are"


def test_exponentiated_gradient_keeps_signs_and_the_seed_decides() -> None:
    one, same = (train(RUNS[6], epochs=1, seed=3) for _ in range(2))
    assert one.accuracy == same.accuracy > 0.3
    for k in (0, 2, 4):
        before, after = one.before.state_dict()[f"{k}.weight"], one.after.state_dict()[f"{k}.weight"]
        assert before.sign().equal(after.sign()) and not before.equal(after)
        assert after.equal(same.after.state_dict()[f"{k}.weight"])


def test_each_start_has_the_scale_that_it_says() -> None:
    for recipe in RUNS:
        w = recipe.weights((256, 256), torch.Generator().manual_seed(0))
        expected = 1 / 768 if recipe.biases else 2 / 256
        assert float((w.double() ** 2).mean()) == pytest.approx(expected, rel=0.15), recipe.name


def test_a_bad_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got --epochs 0, expected a whole number from 1"):
        microstructure.reproduce(tmp_path, options=microstructure.Options(epochs=0))
