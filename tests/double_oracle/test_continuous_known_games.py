"""Continuous double oracle on games whose solutions are known: values, supports, and how many iterations it takes."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

import pytest
import torch

from strategic_envs.agents.double_oracle.continuous import continuous_double_oracle
from strategic_envs.agents.double_oracle.log import DoubleOracleResult
from strategic_envs.games.catalogue import game
from strategic_envs.games.kinds.game import Game
from strategic_envs.seeding import torch_stream


def _starts(problem: Game, count: int) -> list[list[torch.Tensor]]:
    drawn = problem.sample((count,), generator=torch_stream(0, "starts"))
    return [[points[k] for points in drawn] for k in range(count)]


def _runs(problem: Game, count: int, tolerance: float = 1e-6) -> list[DoubleOracleResult]:
    return [continuous_double_oracle(problem, start=s, tolerance=tolerance) for s in _starts(problem, count)]


def _iterations(runs: Sequence[DoubleOracleResult]) -> list[int]:
    return sorted(len(r.history) for r in runs)


def test_pursuit_takes_about_thirteen_iterations_from_random_starts() -> None:
    runs = _runs(game("squared_difference"), 20)
    assert {str(r.outcome) for r in runs} == {"converged"}
    counts = _iterations(runs)
    assert statistics.median(counts) == 13
    assert counts[0] >= 10 and counts[-1] <= 13
    for result in runs:
        order = result.strategies[0].squeeze(-1).argsort()
        assert result.strategies[0][order].squeeze(-1).tolist() == [-1.0, 1.0]
        assert torch.allclose(result.weights[0], torch.full((2,), 0.5, dtype=torch.float64), atol=1e-3)
        assert float(result.weights[1] @ result.strategies[1].square()) <= 1e-6
        assert abs(result.value - 1.0) <= 1e-6


def test_pursuit_divides_the_gap_by_four_once_both_ends_are_held() -> None:
    result = continuous_double_oracle(
        game("squared_difference"), start=[torch.tensor([0.3]).double(), torch.tensor([0.7]).double()]
    )
    ends: set[float] = set()
    held, gaps = [], []
    for record in result.history:
        held.append(ends >= {-1.0, 1.0})
        gaps.append(record.gap)
        ends |= {float(record.added[0])} if record.added[0] is not None else set()
    first = held.index(True) + 1
    ratios = [a / b for a, b in itertools.pairwise(gaps[first:])]
    assert len(ratios) >= 6
    assert ratios == pytest.approx([4.0] * len(ratios), rel=1e-3)


def test_pursuit_on_the_unit_interval_is_worth_a_quarter() -> None:
    result = continuous_double_oracle(game("squared_difference", low=0.0, high=1.0))
    assert result.lower <= 0.25 <= result.upper + 1e-15
    assert result.gap <= 1e-6


def test_parrilo_3_2_takes_about_sixteen_iterations() -> None:
    result = continuous_double_oracle(game("parrilo_3_2"), tolerance=1e-8)
    assert str(result.outcome) == "converged"
    assert 15 <= len(result.history) <= 17
    assert result.value == pytest.approx(-0.48, abs=1e-8)
    assert dict(zip(result.strategies[1].squeeze(-1).tolist(), result.weights[1].tolist(), strict=True)) == {
        -1.0: pytest.approx(0.22, abs=1e-4),
        1.0: pytest.approx(0.78, abs=1e-4),
    }


# The best mixtures of two iterations together may be good enough some iterations before those of one.
@pytest.mark.slow
@pytest.mark.parametrize(("box", "iterations"), [(1.0, (10, 14)), (3.0, (12, 16))])
def test_f1_from_random_starts(box: float, iterations: tuple[int, int]) -> None:
    problem = game("f1", box=box)
    runs = _runs(problem, 2)
    assert all(str(r.outcome) == "converged" for r in runs)
    counts = _iterations(runs)
    assert iterations[0] <= counts[0] and counts[-1] <= iterations[1]
    # The catalogue's value is that of f, which player 0 minimises.
    assert all(r.value == pytest.approx(-problem.known().values["value"], abs=2e-6) for r in runs)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "iterations"), [("f2", (8, 12)), ("forsaken", (6, 7))])
def test_f2_and_forsaken_from_random_starts(name: str, iterations: tuple[int, int]) -> None:
    runs = _runs(game(name), 2)
    assert all(str(r.outcome) == "converged" for r in runs)
    counts = _iterations(runs)
    assert iterations[0] <= counts[0] and counts[-1] <= iterations[1]
    assert all(abs(r.value) <= 1e-6 for r in runs)


def test_forsaken_finds_the_closed_form_mixture() -> None:
    problem = game("forsaken")
    result = continuous_double_oracle(problem, tolerance=1e-8)
    known = problem.known().equilibria[1]
    for i in range(2):
        ours, theirs = result.strategies[i].squeeze(-1), known.points[i].squeeze(-1)
        distance = (ours.unsqueeze(1) - theirs).abs()
        assert float(distance.min(1).values.max()) < 1e-3
        weight = torch.zeros(len(theirs), dtype=torch.float64).index_add_(0, distance.argmin(1), result.weights[i])
        assert torch.allclose(weight, known.weights[i], atol=1e-3)


@pytest.mark.parametrize("smooth", [1.0, 10.0])
def test_smooth_larger_number_is_over_at_once_with_its_closed_form(smooth: float) -> None:
    result = continuous_double_oracle(game("larger_number", n=10, kind="reals", smooth=smooth))
    assert (len(result.history), result.gap, result.value) == (2, 0.0, 0.0)
    assert [s.tolist() for s in result.strategies] == [[[10.0]], [[10.0]]]
    assert result.exact


def test_a_start_at_the_equilibrium_stops_at_once() -> None:
    problem = game("parrilo_3_1")
    x, y = problem.known().equilibria[0].points
    result = continuous_double_oracle(problem, start=[x, y])
    assert len(result.history) == 1
    assert result.value == pytest.approx(-0.75 * 4 ** (-1 / 3), abs=1e-12)


def test_a_start_may_hold_several_points() -> None:
    pursuit = game("squared_difference")
    ends, middle = torch.tensor([[-1.0], [1.0]]).double(), torch.zeros(1, dtype=torch.float64)
    result = continuous_double_oracle(pursuit, start=[ends, middle])
    assert result.history[0].sizes == (2, 1)
    assert abs(result.value - 1) <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "value", "tolerance"),
    [
        ("parrilo_3_1", {}, -0.75 * 4 ** (-1 / 3), 1e-4),
        ("townsend", {}, 0.97218256667490743, 1e-2),
        ("f1", {"box": 1.0}, -(4 - 2.95**2) * math.exp(-0.01), 1e-4),
        ("forsaken", {}, 0.0, 1e-6),
        ("dresher", {}, 1 / 6, 3e-2),
        ("nie_yang_zhou", {}, -2.0, 1e-3),
    ],
)
def test_proved_bounds_meet_around_the_known_value(name: str, options: dict, value: float, tolerance: float) -> None:
    result = continuous_double_oracle(game(name, **options), certify=True, tolerance=tolerance)
    assert str(result.outcome) == "converged"
    assert result.exact
    assert result.lower <= value <= result.upper
    assert result.upper - result.lower <= tolerance


@pytest.mark.slow
def test_townsend_takes_about_28_iterations() -> None:
    runs = _runs(game("townsend"), 2)
    counts = _iterations(runs)
    assert all(str(r.outcome) == "converged" for r in runs)
    assert counts[0] >= 22 and counts[-1] <= 33
    assert all(abs(r.value - 0.97218256667490743) <= 1e-6 for r in runs)
    known = game("townsend").known().equilibria[0]
    for points, exact in zip(runs[0].strategies, known.points, strict=True):
        distance = (points - exact.T).abs()  # about each of three points there are one or two
        assert float(distance.min(1).values.max()) < 0.02
        assert float(distance.min(0).values.max()) < 0.02


@pytest.mark.slow
def test_dresher_needs_ever_more_points() -> None:
    result = continuous_double_oracle(game("dresher"), max_iterations=30)
    assert str(result.outcome) == "max_steps"
    assert 1.0e-4 < result.gap < 5e-3
    assert min(result.history[-1].support) >= 20
    assert result.lower <= 1 / 6 <= result.upper
