from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from strategic_envs.evaluators.mixture import mixture_report
from strategic_envs.games.mixture_gan import gan_ring
from strategic_envs.games.mixtures import GaussianMixture
from strategic_envs.scripts.reproduce import gan_mixture
from strategic_envs.scripts.reproduce._gan_training import Method, train

METHODS = {
    "simultaneous_gradient": 40,
    "extragradient": 20,  # two calls a step
    "optimistic_gradient": 40,
    "adam_gradient": 40,
    "extra_adam": 20,
    "optimistic_adam": 40,
}


@pytest.mark.slow
def test_the_quick_run_confirms_the_closed_forms_and_compares_six_methods_on_equal_calls(tmp_path: Path) -> None:
    rows = gan_mixture.reproduce(tmp_path, quick=True)
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)
    facts = [row for row in rows if "WGAN" in row["quantity"] or "the mixture itself" in row["quantity"]]
    assert len(facts) == 7 and all(row["within"] for row in facts)
    assert facts[0]["ours"] == pytest.approx(math.sqrt(1.01), abs=1e-9)
    assert {p.name for p in tmp_path.iterdir()} == {"ring.png", "ring.md", "ring.json"}
    found = json.loads((tmp_path / "ring.json").read_text())
    assert {e["method"]: e["steps"] for e in found["methods"]} == METHODS
    assert found["field_calls"] == 40 and found["seeds"] == 2
    for entry in found["methods"]:
        assert 0 <= entry["modes_strict"] <= entry["modes"] <= entry["of"] == 8
        assert 0 <= entry["high_quality"] <= 1 and 0 <= entry["kl"] <= math.log(8) + 1e-9
    # 40 calls cover nothing, and the rows say so
    missed = [row for row in rows if row not in facts]
    assert len(missed) == 2 + len(METHODS) and not any(row["within"] for row in missed)


@pytest.mark.slow
def test_adam_covers_the_ring_in_600_steps() -> None:
    setting = gan_mixture._RING
    game = gan_ring(**setting.game, rows=2)
    found = train(game, setting.mixture, Method("adam_gradient", 8e-3, beta1=0.5), 600, marks=(0.0, 1.0))
    start = mixture_report(found.samples[0], setting.mixture.centres, setting.mixture.sigma)
    assert float(start.high_quality.max()) < 0.02
    assert int(found.report.modes_covered.min()) >= 7 and float(found.report.high_quality.min()) > 0.3


def test_training_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    ring = GaussianMixture.ring()
    game = gan_ring(hidden=(8,), latent=2, batch=16, rows=2)
    ends = [
        train(game, ring, Method("extra_adam", 1e-2, 2, 0.5), 10, marks=(1.0,), seed=s, samples=50).samples[0]
        for s in (0, 0, 1)
    ]
    assert ends[0].equal(ends[1]) and not ends[0].equal(ends[2])
    assert ends[0].shape == (2, 50, 2) and not ends[0][0].equal(ends[0][1])


@pytest.mark.gpu
def test_a_gpu_starts_from_the_same_weights_on_the_same_data() -> None:
    ring, game = GaussianMixture.ring(), gan_ring(hidden=(8,), latent=2, batch=16, rows=2)
    method = Method("optimistic_adam", 1e-3, beta1=0.5)
    here, there = (train(game, ring, method, 4, marks=(0.0, 1.0), device=d).samples for d in ("cpu", "cuda"))
    for a, b in zip(here, there, strict=True):
        torch.testing.assert_close(a, b.cpu(), rtol=0, atol=2e-2)


def test_a_method_that_blows_up_is_reported_with_no_modes() -> None:
    ring = GaussianMixture.ring()
    game = gan_ring(hidden=(8,), latent=2, batch=16, rows=2)
    found = train(game, ring, Method("simultaneous_gradient", 1e30), 10, marks=(1.0,), samples=50)
    assert found.report.modes_covered.tolist() == [0, 0] and bool(found.report.kl.isfinite().all())


def test_the_reproduction_names_itself() -> None:
    assert gan_mixture.NAME == "gan-mixture" and gan_mixture.SUMMARY.endswith(".")
