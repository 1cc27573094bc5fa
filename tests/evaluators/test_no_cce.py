from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.errors import InvalidGameError, InvalidSettingError, InvalidStrategyError
from strategic_envs.evaluators.gaps import cce_gap
from strategic_envs.evaluators.no_cce import no_cce_certificate
from strategic_envs.games.larger_number import LargerNumber
from strategic_envs.play import Empirical, Independent
from strategic_envs.profile import Profile


def random_play(seed: int, size: int, whole: bool, scale: float = 20.0) -> tuple[Empirical, Independent]:
    stream = torch.Generator().manual_seed(seed)
    points = [1 + scale * torch.rand(size + i, 1, generator=stream, dtype=torch.float64) for i in (0, 1)]
    points = [p.round() if whole else p for p in points]
    weights = [torch.rand(len(p), generator=stream, dtype=torch.float64) for p in points]
    weights = [w / w.sum() for w in weights]
    joint = Empirical(Profile([points[0], points[1][:size]]), weights[0])
    return joint, Independent(tuple(points), tuple(weights))


@given(st.integers(0, 10**6), st.integers(1, 12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_play_is_refuted_with_gains_that_sum_to_two_exactly(seed: int, size: int, whole: bool) -> None:
    game = LargerNumber(None, "integers" if whole else "reals")
    for play in random_play(seed, size, whole):
        proof = no_cce_certificate(play, game)
        assert proof.check() and sum(proof.gains) == 2 and proof.epsilon == max(proof.gains) >= 1
        assert proof.utilities[0] == -proof.utilities[1]
        joint = play if isinstance(play, Empirical) else play.joint()
        paid = game.utilities(joint.points)
        for i, y in enumerate(proof.deviations):  # in floating point, by playing it
            deviated = game.utilities(joint.points.replace(i, torch.full_like(joint.points[i], y)))[:, i]
            gain = float(joint.weights @ (deviated - paid[:, i]))
            assert gain == pytest.approx(float(proof.gains[i]), abs=1e-9) and bool((deviated == 1).all())
        assert cce_gap(game, play).value == pytest.approx(float(proof.epsilon), abs=1e-9)


@given(st.integers(0, 10**6), st.sampled_from([0.01, 1.0, 7.5]), st.sampled_from([0.5, 1e-3, 1e-9]))
@settings(max_examples=40, deadline=None)
def test_smooth_play_is_refuted_up_to_the_margin(seed: int, slope: float, margin: float) -> None:
    game = LargerNumber(None, "reals", smooth=slope)
    for play in random_play(seed, 6, False):
        proof = no_cce_certificate(play, game, margin=margin)
        assert proof.check() and proof.epsilon >= 1 - Fraction(margin) and sum(proof.gains) < 2
        joint = play if isinstance(play, Empirical) else play.joint()
        paid = joint.weights @ game.utilities(joint.points)
        for i, y in enumerate(proof.deviations):
            deviated = joint.points.replace(i, torch.full_like(joint.points[i], y))
            reached = float(joint.weights @ game.utilities(deviated)[:, i])
            assert 1 - margin - 1e-12 <= reached and reached - float(paid[i]) >= float(proof.gains[i]) - 1e-12


@pytest.mark.parametrize("largest", [2.0**53, 1e300, torch.finfo(torch.float64).max])
def test_no_number_is_too_large_to_be_beaten(largest: float) -> None:
    play = Independent.pure([torch.tensor([largest], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64)])
    proof = no_cce_certificate(play)
    assert proof.check() and proof.deviations == (2, int(largest) + 1) and proof.gains == (0, 2)
    reply = LargerNumber(None).best_response(1, play).strategy
    assert float(reply) > largest and reply.dtype == torch.float64 and (math.isfinite(float(reply)) or largest > 1e300)


def test_a_changed_certificate_does_not_pass_its_check() -> None:
    _, play = random_play(0, 5, True)
    proof = no_cce_certificate(play)
    low = (1, proof.deviations[1])
    wrong = [
        {"deviations": low},
        {"deviations": (proof.deviations[0], 0)},
        {"gains": (proof.gains[0] + Fraction(1, 10**15), proof.gains[1])},
        {"epsilon": proof.epsilon + Fraction(1, 10**30)},
        {"play": random_play(1, 5, True)[1], "deviations": (3, 3)},
    ]
    for change in wrong:
        assert not dataclasses.replace(proof, **change).check(), change
    smooth = no_cce_certificate(play, LargerNumber(None, smooth=0.5))
    assert smooth.check() and not dataclasses.replace(smooth, smooth=0.05).check()
    assert not dataclasses.replace(smooth, margin=Fraction(1, 10**20)).check()


def test_weights_of_zero_do_not_count_and_weights_need_not_sum_to_one_exactly() -> None:
    numbers = torch.tensor([[1.0], [100.0]])
    play = Independent((numbers, numbers), (torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5 + 1e-7])))
    proof = no_cce_certificate(play)
    assert proof.deviations == (101, 2) and proof.check() and sum(proof.gains) == 2


def test_games_with_a_largest_number_and_plays_of_another_kind_are_refused() -> None:
    one = torch.tensor([1.0])
    with pytest.raises(InvalidGameError, match="largest number 5, in which both naming it is an equilibrium"):
        no_cce_certificate(Independent.pure([one, one]), LargerNumber(5.0))
    with pytest.raises(InvalidStrategyError, match="expected two players"):
        no_cce_certificate(Independent.pure([one, one, one]))
    with pytest.raises(InvalidStrategyError, match="expected two players"):
        no_cce_certificate(Independent.pure([one, torch.tensor([1.0, 2.0])]))
    with pytest.raises(InvalidStrategyError, match="player_1: got 2.5, expected a whole number"):
        no_cce_certificate(Independent.pure([one, one * 2.5]), LargerNumber(None, "integers"))
    with pytest.raises(InvalidStrategyError, match="outside"):
        no_cce_certificate(Independent.pure([-one, one]), LargerNumber(None))
    with pytest.raises(InvalidSettingError, match=r"got margin=0.0, expected a number in \(0, 1\)"):
        no_cce_certificate(Independent.pure([one, one]), margin=0.0)
