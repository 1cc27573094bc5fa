from __future__ import annotations

import math

import pytest
import torch

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.evaluators.mixture import mixture_report
from strategic_envs.games.mixtures import GaussianMixture
from strategic_envs.seeding import torch_stream

M = 2500
MIXTURES = [GaussianMixture.ring(), GaussianMixture.ring(8, 1.0, 0.01), GaussianMixture.grid()]


@pytest.mark.parametrize("mixture", MIXTURES, ids=lambda m: f"{m.name}, {m.sigma}")
def test_the_mixture_itself_scores_what_theory_says(mixture: GaussianMixture) -> None:
    samples = mixture.sample((40, M), torch_stream(0, "true"))
    report = mixture_report(samples, mixture.centres, mixture.sigma)
    assert (report.modes_covered == mixture.modes).all() and (report.modes_covered_strict == mixture.modes).all()
    assert (report.high_quality - (1 - math.exp(-4.5))).abs().max() < 0.0075  # 3.6 standard deviations, 40 draws
    assert abs(float(report.high_quality[0]) - 0.9889) < 0.006
    assert float(report.high_quality.mean()) == pytest.approx(1 - math.exp(-4.5), abs=0.0011)
    assert float(report.kl.mean()) == pytest.approx((mixture.modes - 1) / (2 * M), rel=0.3)


def test_a_collapsed_generator_covers_one_mode_with_divergence_log_k() -> None:
    ring = GaussianMixture.ring()
    report = mixture_report(ring.centres[3].expand(M, 2), ring.centres, ring.sigma)
    assert int(report.modes_covered) == int(report.modes_covered_strict) == 1
    assert float(report.high_quality) == 1.0 and float(report.kl) == pytest.approx(math.log(8))


def test_a_mode_with_one_sample_is_covered_and_strictly_it_needs_a_fifth_of_its_share() -> None:
    ring = GaussianMixture.ring()
    share = M // 8  # 312; a fifth of 312.5 is 62.5
    for count, strict in ((1, 1), (62, 1), (63, 2)):
        samples = torch.cat([ring.centres[0].expand(M - count, 2), ring.centres[1].expand(count, 2)])
        report = mixture_report(samples, ring.centres, ring.sigma)
        assert (int(report.modes_covered), int(report.modes_covered_strict)) == (2, strict)
    assert share == 312


def test_high_quality_ends_at_three_sigma_and_what_is_not_finite_is_of_low_quality() -> None:
    ring = GaussianMixture.ring()
    at = ring.centres[:1] * (1 + torch.tensor([[0.0599], [0.0601]], dtype=torch.float64) / 2)
    assert mixture_report(at, ring.centres, ring.sigma).high_quality == 0.5
    broken = torch.tensor([[math.nan, 0.0], [math.inf, 1.0]], dtype=torch.float64)
    report = mixture_report(broken, ring.centres, ring.sigma)
    assert report.high_quality == 0.0 and report.modes_covered == 0 and bool(report.kl.isfinite())


def test_rows_are_measured_alone() -> None:
    grid = GaussianMixture.grid()
    samples = grid.sample((2, 3, 500), torch_stream(1, "rows"))
    whole, one = (mixture_report(s, grid.centres, grid.sigma) for s in (samples, samples[1, 2]))
    for name in ("modes_covered", "modes_covered_strict", "high_quality", "kl"):
        assert getattr(whole, name).shape == (2, 3)
        assert getattr(whole, name)[1, 2] == getattr(one, name)


def test_the_ring_and_the_grid_are_those_of_the_papers() -> None:
    ring, grid = GaussianMixture.ring(), GaussianMixture.grid()
    assert (ring.modes, ring.sigma, grid.modes, grid.sigma) == (8, 0.02, 25, 0.05)
    torch.testing.assert_close(ring.centres.norm(dim=-1), torch.full((8,), 2.0, dtype=torch.float64))
    assert sorted({float(c) for c in grid.centres.flatten()}) == [-4, -2, 0, 2, 4]


def test_senseless_mixtures_and_samples_are_refused() -> None:
    with pytest.raises(InvalidGameError, match=r"mixture: got centres of shape \(3,\), expected finite numbers"):
        GaussianMixture(torch.zeros(3), 0.1)
    with pytest.raises(InvalidGameError, match="ring of 8: got sigma=0.0, expected a number > 0"):
        GaussianMixture.ring(sigma=0.0)
    with pytest.raises(InvalidGameError, match="ring: got modes=0 and radius=2.0"):
        GaussianMixture.ring(0)
    with pytest.raises(InvalidGameError, match="grid: got side=5 and spacing=-1.0"):
        GaussianMixture.grid(spacing=-1.0)
    ring = GaussianMixture.ring()
    with pytest.raises(InvalidStrategyError, match=r"got samples of shape \(0, 2\) and centres of shape \(8, 2\)"):
        mixture_report(torch.zeros(0, 2), ring.centres, 0.02)
