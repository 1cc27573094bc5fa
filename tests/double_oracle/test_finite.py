from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from strategic_envs.agents.double_oracle.finite import double_oracle
from strategic_envs.agents.double_oracle.finite.access import PayoffAccess, as_access
from strategic_envs.agents.double_oracle.finite.ties import TIE_BREAKS
from strategic_envs.agents.double_oracle.finite.unbounded import UnboundedLargerNumber, one_more
from strategic_envs.agents.double_oracle.log import DoubleOracleResult
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.errors import InvalidGameError, InvalidSettingError, InvalidStrategyError, UnknownNameError
from strategic_envs.evaluators.gaps import nash_conv
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.larger_number import larger_number


def value_by_linear_programming(a: np.ndarray) -> float:
    m, n = a.shape
    weights, bounds = np.r_[np.ones(m), 0.0][None], [(0, None)] * m + [(None, None)]
    found = linprog(
        np.r_[np.zeros(m), -1.0],
        A_ub=np.c_[-a.T, np.ones(n)],
        b_ub=np.zeros(n),
        A_eq=weights,
        b_eq=[1.0],
        bounds=bounds,
    )
    return -float(found.fun)


def truncated(n: int) -> NormalFormGame:
    game = larger_number(n)
    assert isinstance(game, NormalFormGame)
    return game


def mixed(result: DoubleOracleResult, shape: tuple[int, ...]) -> list[np.ndarray]:
    """The result's mixtures over all strategies."""
    full = [np.zeros(size) for size in shape]
    for x, strategies, weights in zip(full, result.strategies, result.weights, strict=True):
        x[strategies.numpy()] = weights.numpy()
    return full


@given(
    st.integers(0, 10**6),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from(sorted(TIE_BREAKS)),
    st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_bounds_hold_at_every_iteration_and_the_final_gap_is_the_nash_conv_in_the_full_game(
    seed: int, m: int, n: int, ties: str, each: int
) -> None:
    stream = np.random.default_rng(seed)
    a = stream.uniform(-1, 1, (m, n)) if seed % 2 else stream.integers(-1, 2, (m, n)).astype(float)
    start = (int(stream.integers(m)), int(stream.integers(n)))
    result = double_oracle(a, tie_break=ties, start=start, per_iteration=each, seed=seed)
    value = value_by_linear_programming(a)
    assert result.outcome is Outcome.CONVERGED and result.gap <= 1e-6 and result.exact and result.tie_break == ties
    for step in result.history:
        assert step.lower <= value + 1e-9 and value <= step.upper + 1e-9 and step.gap >= step.upper - step.lower - 1e-12
        assert min(step.sizes) >= 1 and all(s <= k for s, k in zip(step.support, step.sizes, strict=True))
    assert all(
        b.lower >= a_.lower and b.upper <= a_.upper for a_, b in zip(result.history, result.history[1:], strict=False)
    )
    p, q = mixed(result, (m, n))
    assert (a @ q).max() - (p @ a).min() == pytest.approx(result.gap, abs=1e-12)
    assert result.value == pytest.approx(p @ a @ q, abs=1e-12) and result.value == pytest.approx(value, abs=2e-6)
    rows, columns = result.history[-1].sizes
    assert result.history[-1].entries == m * columns + n * rows - rows * columns  # nothing is read twice


@pytest.mark.parametrize("n", [2, 3, 8, 64, 256])
def test_larger_number_needs_n_iterations_with_the_smallest_response_and_two_with_the_largest(n: int) -> None:
    smallest, largest = (double_oracle(truncated(n), tie_break=t) for t in ("lowest", "highest"))
    assert [step.sizes for step in smallest.history] == [(k, k) for k in range(1, n + 1)]
    assert [step.added for step in smallest.history] == [(k, k) for k in range(1, n)] + [(None, None)]
    assert len(largest.history) == 2
    for result in (smallest, largest):
        assert [s.tolist() for s in result.strategies] == [[n - 1], [n - 1]] and result.value == 0.0 == result.gap


@pytest.mark.slow
def test_larger_number_with_random_responses_needs_about_one_plus_the_harmonic_number() -> None:
    for n in (4, 8, 16, 32, 64, 128, 256):
        counts = [len(double_oracle(truncated(n), tie_break="random", seed=s).history) for s in range(40)]
        expected, spread = 1 + sum(1 / k for k in range(1, n)), np.std(counts, ddof=1) / np.sqrt(40)
        assert abs(np.mean(counts) - expected) < 3 * spread + 0.2, n  # each chain of responses is a record process


def test_larger_number_up_to_64_needs_all_iterations_at_every_tolerance_below_two() -> None:
    for tolerance in (0.1, 0.5, 0.99, 1.5, 1.99):
        assert len(double_oracle(truncated(64), tolerance=tolerance).history) == 64
    assert len(double_oracle(truncated(64), tolerance=2.0).history) == 1


def test_without_a_largest_number_the_gap_stays_two_and_the_support_runs_away() -> None:
    result = double_oracle(UnboundedLargerNumber.access(), respond=one_more, max_iterations=200)
    assert result.outcome is Outcome.MAX_STEPS and "after 200 iterations" in result.reason and not result.exact
    for k, step in enumerate(result.history, start=1):
        assert step.gap == 2.0 == step.upper - step.lower and step.played == ((k - 1,), (k - 1,))
        assert step.entries == k * k
    assert result.tie_break == "by the response function"


@pytest.mark.parametrize("n", [16, 64, 256])
def test_hide_and_seek_stops_after_about_two_over_epsilon_iterations_whatever_n(n: int) -> None:
    # after 2k - 1 iterations the gap is 1/k: a tolerance of just 1/k is a tie, which rounding decides
    for tolerance, printed in ((0.5, 3), (0.2, 11), (0.1, 21), (0.05, 41 if n > 16 else 31)):
        above, at, below = (
            len(double_oracle(np.eye(n), tolerance=tolerance * (1 + e)).history) for e in (1e-9, 0, -1e-9)
        )
        k = round(1 / tolerance)
        assert above == min(2 * k - 1, 2 * n - 1) and below == min(2 * k + 1, 2 * n - 1)
        assert {at, printed} <= {above, below}


@pytest.mark.parametrize("tolerance", [1e-9, 0.0])
@pytest.mark.parametrize("n", [16, 64])
def test_hide_and_seek_solved_exactly_needs_two_n_minus_one(n: int, tolerance: float) -> None:
    result = double_oracle(np.eye(n), tolerance=tolerance)
    assert len(result.history) == 2 * n - 1 and result.outcome is Outcome.CONVERGED and result.gap < 1e-14
    assert result.value == pytest.approx(1 / n, abs=1e-14)


@pytest.mark.parametrize("seed", range(4))
def test_gaussian_300_by_300_needs_about_two_hundred_iterations(seed: int) -> None:
    a = np.random.default_rng(seed).normal(size=(300, 300))
    result = double_oracle(a)
    assert 185 <= len(result.history) <= 215 and result.gap <= 1e-6
    several = double_oracle(a, per_iteration=8)
    assert len(several.history) < 60 and several.value == pytest.approx(result.value, abs=2e-6)


@pytest.mark.slow
def test_1000_by_1000_is_solved_with_a_proved_gap() -> None:
    a = np.random.default_rng(0).uniform(-1, 1, (1000, 1000))
    result = double_oracle(a)
    assert result.outcome is Outcome.CONVERGED and result.gap <= 1e-6
    p, q = mixed(result, a.shape)
    assert (a @ q).max() - (p @ a).min() <= 1e-6 and 600 < len(result.history) < 750


def test_games_are_solved_like_their_matrices_also_when_payoffs_sum_to_another_constant() -> None:
    a = torch.rand(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shifted = NormalFormGame(torch.stack([a, 3 - a]), name="shares")
    assert double_oracle(shifted).value == double_oracle(a).value == double_oracle(a.tolist()).value
    game = catalogue_game("rock_paper_scissors")
    assert isinstance(game, NormalFormGame)
    p, q = mixed(double_oracle(game), game.n_actions)
    assert nash_conv(game, game.profile(p.tolist(), q.tolist())).value <= 1e-12


def test_the_same_seed_gives_the_same_run_and_another_gives_another() -> None:
    runs = [double_oracle(truncated(64), tie_break="random", seed=s) for s in (3, 3, 4)]
    assert (
        [s.added for s in runs[0].history] == [s.added for s in runs[1].history] != [s.added for s in runs[2].history]
    )


def test_a_response_function_that_knows_gives_the_same_solution_from_fewer_entries() -> None:
    a = np.random.default_rng(2).normal(size=(60, 60))

    def scan(player: int, strategies: np.ndarray, weights: np.ndarray) -> tuple[int, float]:
        values = a[:, strategies] @ weights if player == 0 else weights @ a[strategies]
        best = int(values.argmax() if player == 0 else values.argmin())
        return best, float(values[best])

    access = as_access(a)
    asked, looked = double_oracle(access, respond=scan), double_oracle(a)
    assert asked.value == pytest.approx(looked.value, abs=1e-9) and len(asked.history) == len(looked.history)
    rows, columns = asked.history[-1].sizes
    assert access.read == asked.history[-1].entries == rows * columns < looked.history[-1].entries


def test_a_stall_is_a_failure_in_words_after_the_small_game_was_solved_again() -> None:
    access = PayoffAccess(lambda i, j: np.sign(i - j), (None, None), name="larger")
    stubborn = double_oracle(access, respond=lambda player, s, w: (0, 1.0 - 2.0 * player), max_iterations=50)
    assert stubborn.outcome is Outcome.FAILED and len(stubborn.history) == 2
    assert "both best responses are held already while the gap is 2 > 1e-06" in stubborn.reason


def test_running_out_of_iterations_is_said_and_the_best_bounds_are_returned() -> None:
    a = np.random.default_rng(0).uniform(-1, 1, (100, 100))
    result = double_oracle(a, max_iterations=20)
    assert result.outcome is Outcome.MAX_STEPS and "after 20 iterations, the most allowed" in result.reason
    assert len(result.history) == 20 and result.gap == min(s.upper - s.lower for s in result.history)
    p, q = mixed(result, a.shape)
    assert (a @ q).max() - (p @ a).min() == pytest.approx(result.gap, abs=1e-12)


def test_entries_are_read_once_and_counted() -> None:
    access = as_access([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert access.shape == (2, 3) and access.entry(1, 2) == 6.0 and access.read == 1
    assert access.row(0).tolist() == [1.0, 2.0, 3.0] and access.column(1).tolist() == [2.0, 5.0] and access.read == 6
    assert as_access(access) is access


BAD_PAYOFFS = [
    ([[1.0, 2.0], [3.0]], InvalidGameError, "expected one rectangular matrix"),
    ([], InvalidGameError, r"got payoffs of shape \(0,\), expected \(rows, columns\)"),
    ([[]], InvalidGameError, r"got payoffs of shape \(1, 0\)"),
    ([[1.0, float("nan")]], InvalidGameError, "row 0, column 1 is nan, expected a finite number"),
    (NormalFormGame(torch.ones(3, 2, 2, 2)), InvalidGameError, "got 3 players"),
    (
        NormalFormGame([[[3.0, 0.0], [5.0, 1.0]], [[3.0, 5.0], [0.0, 1.0]]], name="dilemma"),
        InvalidGameError,
        "zero-sum",
    ),
]


@pytest.mark.parametrize(("payoffs", "error", "message"), BAD_PAYOFFS)
def test_payoffs_that_are_no_zero_sum_matrix_are_refused(payoffs: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        double_oracle(payoffs)  # pyright: ignore[reportArgumentType]


BAD_SETTINGS = [
    ({"tolerance": -1e-9}, InvalidSettingError, "got tolerance=-1e-09"),
    ({"tolerance": float("nan")}, InvalidSettingError, "got tolerance=nan"),
    ({"max_iterations": 0}, InvalidSettingError, "got max_iterations=0"),
    ({"per_iteration": 0}, InvalidSettingError, "got per_iteration=0"),
    ({"tie_break": "lowst"}, UnknownNameError, "unknown tie-break 'lowst': did you mean 'lowest'"),
    ({"start": (0, 2)}, InvalidStrategyError, r"player_1: got the start 2, expected a number in \[0, 2\)"),
    ({"start": (-1, 0)}, InvalidStrategyError, "player_0: got the start -1"),
    ({"start": (True, 0)}, InvalidStrategyError, "player_0: got the start True"),
    ({"start": (0,)}, InvalidStrategyError, "expected a row and a column"),
    ({"respond": lambda i, s, w: (7, 0.0)}, InvalidStrategyError, r"got the response 7, expected a number in \[0, 2\)"),
    ({"respond": lambda i, s, w: (0, float("nan"))}, InvalidStrategyError, "got the response 0 worth nan"),
    (
        {"respond": lambda i, s, w: (0, -5.0)},
        InvalidStrategyError,
        "player_0: the best response was said to pay player_0 -5",
    ),
]


@pytest.mark.parametrize(("settings", "error", "message"), BAD_SETTINGS)
def test_settings_that_make_no_sense_are_refused(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        double_oracle([[1.0, 2.0], [3.0, 4.0]], **settings)


def test_games_without_a_largest_strategy_need_responses_and_an_end() -> None:
    access = PayoffAccess(lambda i, j: np.sign(i - j), (None, None), name="larger")
    with pytest.raises(InvalidSettingError, match="larger: there is no largest strategy, so a double oracle need"):
        double_oracle(access)
    with pytest.raises(InvalidSettingError, match="give `respond`"):
        double_oracle(access, max_iterations=5)
    with pytest.raises(InvalidSettingError, match="player_0 has no largest strategy"):
        access.column(0)
    with pytest.raises(InvalidSettingError, match=r"got shape \(0, 3\)"):
        PayoffAccess(lambda i, j: i + j, (0, 3))
    with pytest.raises(InvalidGameError, match=r"bad: got payoffs of shape \(1,\) for 1 rows and 1 columns"):
        PayoffAccess(lambda i, j: np.zeros(1), (2, 2), name="bad").entry(0, 0)
    with pytest.raises(InvalidGameError, match="bad: the payoff of player_0 at row 1, column 0 is inf"):
        PayoffAccess(lambda i, j: np.full((1, 1), np.inf), (2, 2), name="bad").entry(1, 0)
