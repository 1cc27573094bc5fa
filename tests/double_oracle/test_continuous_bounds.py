"""What holds in every iteration of a continuous double oracle, on any game."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from strategic_envs.agents.double_oracle.continuous import continuous_double_oracle, mixed_play
from strategic_envs.agents.double_oracle.continuous.held import HeldPoints
from strategic_envs.agents.double_oracle.continuous.packing import packing_bound, packing_number
from strategic_envs.agents.double_oracle.log import DoubleOracleResult
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.gaps import nash_conv
from strategic_envs.games.catalogue import game
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.play import BestResponse, Independent
from strategic_envs.seeding import torch_stream
from strategic_envs.sets import Ball, Box, Simplex
from strategic_envs.solvers.zero_sum import solve_zero_sum


def _assert_bounds_hold(result: DoubleOracleResult, value: float, slack: float = 0.0) -> None:
    for before, after in itertools.pairwise(result.history):
        assert before.lower <= after.lower
        assert before.upper >= after.upper
        assert after.entries == math.prod(after.sizes)
    for record in result.history:
        assert record.lower <= value + slack
        assert record.upper >= value - slack
        assert record.gap >= record.upper - record.lower - 1e-12  # the bounds are the best so far
        assert all(s <= k for s, k in zip(record.support, record.sizes, strict=True))
    assert result.gap <= min(record.gap for record in result.history) + 1e-15
    assert result.gap == result.upper - result.lower >= 0
    assert result.lower <= result.value <= result.upper
    assert (result.lower, result.upper) == (result.history[-1].lower, result.history[-1].upper)


@pytest.mark.parametrize("seed", range(3))
def test_bounds_enclose_the_value_in_every_iteration(seed: int) -> None:
    pursuit = game("squared_difference")
    start = pursuit.sample(generator=torch_stream(seed, "start"))
    result = continuous_double_oracle(pursuit, start=start)
    _assert_bounds_hold(result, 1.0, slack=1e-15)
    assert result.exact


def test_proved_bounds_enclose_the_value_without_any_slack() -> None:
    result = continuous_double_oracle(game("parrilo_3_2"), certify=True, max_iterations=5)
    _assert_bounds_hold(result, -0.48)
    assert result.exact
    assert result.upper - result.lower <= 0.1


def test_gap_is_the_nash_conv_of_the_play_that_is_returned() -> None:
    forsaken = game("forsaken")
    result = continuous_double_oracle(forsaken, max_iterations=4)
    assert str(result.outcome) == "max_steps"
    assert "4 iterations" in result.reason
    assert nash_conv(forsaken, mixed_play(result)).value == pytest.approx(result.gap, abs=1e-9)


def test_gap_need_not_fall_and_the_best_mixtures_are_kept() -> None:
    result = continuous_double_oracle(game("townsend"), max_iterations=4)
    gaps = [record.gap for record in result.history]
    assert any(later > earlier for earlier, later in itertools.pairwise(gaps))
    assert result.gap <= min(gaps) < gaps[-1]


@given(seed=st.integers(0, 10**6), m=st.integers(1, 5), n=st.integers(1, 5))
@settings(max_examples=20)
def test_a_matrix_game_on_simplices_gets_the_value_of_its_matrix(seed: int, m: int, n: int) -> None:
    matrix = torch.rand(m, n, dtype=torch.float64, generator=torch_stream(seed, "matrix"))
    result = continuous_double_oracle(NormalFormGame.zero_sum(matrix), tolerance=1e-8)
    assert str(result.outcome) == "converged"
    assert result.exact
    assert result.value == pytest.approx(solve_zero_sum(matrix).value, abs=2e-8)
    _assert_bounds_hold(result, result.value, slack=1e-8)


def test_only_new_payoffs_are_evaluated_and_in_one_call() -> None:
    calls: list[int] = []

    class Counted(Game):
        def utilities(self, x: Sequence[Tensor]) -> Tensor:
            calls.append(x[0].shape[0])
            return super().utilities(x)

    def saddle(x: tuple[Tensor, ...]) -> Tensor:
        u = (x[0] * x[1]).sum(-1)
        return torch.stack([u, -u], -1)

    counted = Counted(saddle, [Box(-1, 1)] * 2)
    points = [torch.linspace(-1, 1, k, dtype=torch.float64).unsqueeze(-1) for k in (3, 4)]
    held = HeldPoints.of(counted, points)
    assert calls == [12]
    new = (torch.tensor([0.3], dtype=torch.float64), torch.tensor([-0.7], dtype=torch.float64))
    grown = held.grown(counted, new)
    assert calls == [12, 4 * 5 - 12]
    assert torch.equal(grown.payoffs, grown.points[0] @ grown.points[1].T)
    assert torch.equal(held.grown(counted, (None, new[1])).payoffs, held.points[0] @ grown.points[1].T)
    assert calls[-1] == 3


def test_points_in_many_dimensions_and_other_sets_than_boxes() -> None:
    # x^T A y on a ball and a simplex: the minimiser y picks the shortest combination of the rows of A.
    a = torch.tensor([[3.0, 1.0, -1.0], [0.0, 2.0, 2.0]], dtype=torch.float64)

    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        u = torch.einsum("...i,ij,...j->...", x[0], a, x[1])
        return torch.stack([u, -u], -1)

    mixed = Game(utilities, [Ball(0.0, 1.0, dim=2), Simplex(3)])
    result = continuous_double_oracle(mixed, tolerance=1e-5)
    assert str(result.outcome) == "converged"
    grid = torch.linspace(0, 1, 1001, dtype=torch.float64)
    edges = [a[:, i : i + 1] * grid + a[:, j : j + 1] * (1 - grid) for i, j in ((0, 1), (1, 2), (0, 2))]
    shortest = min(float(edge.norm(dim=0).min()) for edge in edges)
    assert result.value == pytest.approx(shortest, abs=1e-4)


@pytest.mark.parametrize("tolerance", [0.5, 0.1, 0.02])
def test_iterations_stay_within_the_packing_bound(tolerance: float) -> None:
    for name, lipschitz in (("squared_difference", 4.0), ("dresher", 1.0)):
        problem = game(name)
        result = continuous_double_oracle(problem, tolerance=tolerance)
        assert str(result.outcome) == "converged"
        assert len(result.history) <= packing_bound(problem.sets, [lipschitz] * 2, tolerance)


def test_a_step_that_does_not_stop_adds_a_point_far_from_those_held() -> None:
    problem, tolerance = game("dresher"), 1e-3
    held = [[0.5], [0.5]]
    for record in continuous_double_oracle(problem, tolerance=tolerance, max_iterations=15).history:
        if record.gap <= tolerance:
            break
        apart = []
        for points, new in zip(held, record.added, strict=True):
            if new is not None:
                apart.append(min(abs(float(new) - p) for p in points))
                points.append(float(new))
        assert max(apart) > tolerance / 2 - 1e-6  # K = 1


def test_packing_number_is_not_below_what_fits() -> None:
    assert packing_number(Box(0, 1), 0.26) == 4  # 0, 1/3, 2/3, 1
    assert packing_number(Ball(0.0, 1.0, dim=2), 1.0) >= 6
    with pytest.raises(InvalidGameError, match="not compact"):
        packing_number(Box(0, math.inf), 0.1)
    with pytest.raises(InvalidSettingError, match="distance"):
        packing_number(Box(0, 1), 0.0)
    with pytest.raises(InvalidSettingError, match="Lipschitz constant"):
        packing_bound([Box(0, 1)], [0.0], 0.1)


class _Stubborn(Game):
    """A game that answers with a point that is held, or nearly so, whatever is played."""

    offset = 0.0

    def __init__(self, offset: float) -> None:
        super().__init__(_pursuit, [Box(-1, 1)] * 2, name="stubborn")
        self.offset = offset

    def best_response(self, player: int, play: object) -> BestResponse:
        del play
        return BestResponse(torch.tensor([self.offset], dtype=torch.float64), 1.0, 1.0, 1.0, exact=True, attained=True)


def _pursuit(x: tuple[Tensor, ...]) -> Tensor:
    u = (x[0] - x[1]).squeeze(-1) ** 2
    return torch.stack([u, -u], -1)


@pytest.mark.parametrize("offset", [0.0, 5e-8])
def test_duplicates_end_the_run_with_the_gap_it_has(offset: float) -> None:
    result = continuous_double_oracle(_Stubborn(offset))
    assert result.outcome is Outcome.FAILED
    assert "held already" in result.reason
    assert (len(result.history), result.gap, result.history[0].added) == (1, 2.0, (None, None))


def test_the_result_names_its_tie_break() -> None:
    own = continuous_double_oracle(game("squared_difference"), max_iterations=1).tie_break
    searched = continuous_double_oracle(game("parrilo_3_2"), max_iterations=1).tie_break
    assert "own best_response" in own
    assert "search's starts" in searched


def test_a_bound_is_corrected_when_a_point_found_later_shows_that_a_search_missed_it() -> None:
    class Blind(Game):
        """Sees no more than half of the interval at first."""

        asked = 0

        def best_response(self, player: int, play: object) -> BestResponse:
            assert isinstance(play, Independent)
            self.asked += 1
            reach = 0.5 if self.asked <= 2 else 1.0
            grid = torch.linspace(-reach, reach, 101, dtype=torch.float64)
            points, weights = play.points[1 - player].squeeze(-1), play.weights[1 - player]
            u = (1 - 2 * player) * (grid.unsqueeze(1) - points).square() @ weights
            best = int(u.argmax())
            value = float(u[best])
            return BestResponse(grid[best : best + 1], value, value, math.inf, exact=False, attained=True)

    middle = torch.zeros(1, dtype=torch.float64)
    result = continuous_double_oracle(Blind(_pursuit, [Box(-1, 1)] * 2), start=[middle, middle])
    assert result.history[0].upper == 0.25  # 1 was missed
    assert not result.exact
    assert "missed a best response" in result.reason
    assert result.lower <= 1.0 <= result.upper + 1e-15


def test_same_call_same_bytes() -> None:
    first, second = (continuous_double_oracle(game("townsend"), max_iterations=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.strategies, second.strategies, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first.weights, second.weights, strict=True))
    assert [r.gap for r in first.history] == [r.gap for r in second.history]
