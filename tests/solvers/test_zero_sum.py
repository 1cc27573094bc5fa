"""Zero-sum Nash: known games, invariances over random games, hard matrices, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from strategic_envs.errors import InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.solvers import zero_sum
from strategic_envs.solvers.regret_matching import approximate_zero_sum
from strategic_envs.solvers.zero_sum import ZeroSumSolution, solve_zero_sum

METHODS = ("auto", "simplex", "interior_point", "highs")
N = 30


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def nash_conv(a: np.ndarray, found: ZeroSumSolution) -> float:
    return float((a @ found.column.numpy()).max() - (found.row.numpy() @ a).min())


def value_of_highs(a: np.ndarray) -> float:
    m, n = a.shape
    program = np.c_[-a.T, np.ones(n)]
    found = linprog(
        np.r_[np.zeros(m), -1.0],
        A_ub=program,
        b_ub=np.zeros(n),
        A_eq=np.r_[np.ones(m), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * m + [(None, None)],
    )
    return -float(found.fun)


def check(a: np.ndarray, found: ZeroSumSolution, tolerance: float = 1e-9) -> None:
    half = (a.max() - a.min()) / 2 or 1.0
    rounding = 1e-14 * float(np.abs(a).max())
    assert found.solved and found.lower <= found.value <= found.upper
    for weights, size in zip((found.row, found.column), a.shape, strict=True):
        assert weights.shape == (size,) and weights.dtype == torch.float64
        assert float(weights.min()) >= 0 and float(weights.sum()) == pytest.approx(1, abs=1e-12)
    assert nash_conv(a, found) <= tolerance * half + rounding
    assert found.nash_conv == pytest.approx(nash_conv(a, found), abs=rounding)


@pytest.mark.parametrize("method", METHODS)
def test_known_games(method: str) -> None:
    third = [1 / 3] * 3
    for a, value, row, column in (
        ([[1, -1], [-1, 1]], 0, [0.5, 0.5], [0.5, 0.5]),
        ([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], 0, third, third),
        ([[3, -1], [-2, 1]], 1 / 7, [3 / 7, 4 / 7], [2 / 7, 5 / 7]),
        ([[4, 1], [2, 3], [0, 2]], 2.5, [0.25, 0.75, 0], [0.5, 0.5]),  # the third row is dominated
        ([[5, 3, 7], [4, 1, 2]], 3, [1, 0], [0, 1, 0]),  # a saddle point
    ):
        found = solve_zero_sum(a, method=method)
        check(np.array(a, dtype=float), found)
        assert found.value == pytest.approx(value, abs=1e-9)
        np.testing.assert_allclose(found.row.numpy(), row, atol=1e-8)
        np.testing.assert_allclose(found.column.numpy(), column, atol=1e-8)


def test_hide_and_seek_is_uniform_and_the_larger_number_is_the_largest() -> None:
    for n in (2, 10, 300):
        found = solve_zero_sum(torch.eye(n))
        assert found.value == pytest.approx(1 / n, abs=1e-15)
        np.testing.assert_allclose(found.row.numpy(), 1 / n, atol=1e-14)
    numbers = np.arange(300)
    found = solve_zero_sum(np.sign(np.subtract.outer(numbers, numbers)))
    assert found.method == "pure" and found.nash_conv == 0 == found.value and float(found.row[-1]) == 1


@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 12), st.sampled_from(METHODS))
@settings(max_examples=80)
def test_random_games_are_solved_with_the_value_of_highs(seed: int, m: int, n: int, method: str) -> None:
    a = draw(seed, m, n)
    found = solve_zero_sum(a, method=method)
    check(a, found)
    assert found.value == pytest.approx(value_of_highs(a), abs=1e-9)


@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=60)
def test_games_of_few_distinct_payoffs_are_solved_though_their_bases_are_degenerate(seed: int, m: int, n: int) -> None:
    a = np.random.default_rng(seed).integers(-1, 2, (m, n)).astype(float)
    for method in ("simplex", "interior_point"):
        check(a, solve_zero_sum(a, method=method, tolerance=1e-8), 1e-8)
    check(a, solve_zero_sum(a))


@given(st.integers(0, 2**31), st.floats(1e-3, 1e3), st.floats(-100, 100))
@settings(max_examples=30)
def test_the_value_moves_with_the_payoffs_and_not_with_their_order(seed: int, scale: float, shift: float) -> None:
    a, stream = draw(seed, 7, 5), np.random.default_rng(seed)
    value, rows, columns = solve_zero_sum(a).value, stream.permutation(7), stream.permutation(5)
    assert solve_zero_sum(scale * a + shift).value == pytest.approx(scale * value + shift, abs=1e-9 * (scale + 1e3))
    assert solve_zero_sum(a[rows][:, columns]).value == pytest.approx(value, abs=1e-12)
    assert solve_zero_sum(-a.T).value == pytest.approx(-value, abs=1e-12)
    assert solve_zero_sum(np.repeat(a, 2, 0)).value == pytest.approx(value, abs=1e-12)
    assert solve_zero_sum(np.vstack([a, a.min(0) - 1])).value == pytest.approx(value, abs=1e-12)  # a dominated row


HARD = {
    "one row": draw(0, 1, N),
    "one column": draw(0, N, 1),
    "one entry": np.array([[-3.25]]),
    "constant": np.full((N, N), 0.1),
    "zero": np.zeros((4, 3)),
    "duplicated rows": np.repeat(draw(1, N // 2, N), 2, 0),
    "rank 1": np.outer(draw(2, N), draw(3, N)),
    "rank 5": draw(4, N, 5) @ draw(5, 5, N),
    "antisymmetric": draw(6, N, N) - draw(6, N, N).T,
    "antisymmetric, odd": draw(7, N + 1, N + 1) - draw(7, N + 1, N + 1).T,
    "sparse zeros and ones": (draw(8, N, N) > 0.8) * 1.0,
    "huge": 1e300 * draw(9, N, N),
    "tiny": 1e-300 * draw(9, N, N),
    "far from zero": 1e9 + draw(10, N, N),
    "heavy tails": 1 / draw(11, N, N),
    "cyclic": np.sign((np.subtract.outer(np.arange(9), np.arange(9)) + 4) % 9 - 4.0),
    "Beale's cycling program": np.array([[0.25, -60, -1 / 25, 9], [0.5, -90, -1 / 50, 3], [0, 0, 1, 0]]),
    "wide": draw(12, 5, 200),
    "tall": draw(13, 200, 5),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("method", ["auto", "simplex"])
def test_hard_matrices_are_solved(name: str, method: str) -> None:
    check(HARD[name], solve_zero_sum(HARD[name], method=method))


@pytest.mark.parametrize("name", HARD)
def test_by_the_interior_point_alone_they_are_solved_to_1e_7(name: str) -> None:
    check(HARD[name], solve_zero_sum(HARD[name], method="interior_point", tolerance=1e-7), 1e-7)


def test_when_methods_fail_the_next_one_follows_and_the_best_pair_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    a = draw(0, 6, 6)
    broken = dict(zero_sum._METHODS, simplex=lambda b, tolerance: None)
    monkeypatch.setattr(zero_sum, "_METHODS", broken)
    assert solve_zero_sum(a).method == "interior_point"
    poor, poorer = np.arange(1.0, 7), np.full(6, math.nan)
    broken |= {"interior_point": lambda b, t: (poor, poor), "highs": lambda b, t: (poorer, poorer)}
    found = solve_zero_sum(a)
    assert not found.solved and found.nash_conv == pytest.approx(nash_conv(a, found)) and found.nash_conv > 1e-9
    assert bool(found.row.isfinite().all()) and found.lower <= found.value <= found.upper


def test_equal_input_gives_equal_bytes() -> None:
    for size in (40, 260):
        one, two = (solve_zero_sum(draw(3, size, size)) for _ in range(2))
        assert torch.equal(one.row, two.row) and torch.equal(one.column, two.column)


@pytest.mark.parametrize("size", [100, 300])
def test_larger_random_games_are_solved_to_1e_9(size: int) -> None:
    for seed in range(3):
        a = draw(seed, size, size)
        check(a, solve_zero_sum(a))


@pytest.mark.slow
def test_matrices_of_a_thousand_rows_are_solved_of_full_and_of_low_rank_and_antisymmetric() -> None:
    a = draw(0, 1000, 1000)
    for matrix in (a, a - a.T, a[:, :5] @ a[:5], np.repeat(a[:500], 2, 0)):
        check(matrix, solve_zero_sum(matrix))


@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 30))
@settings(max_examples=15)
def test_regret_matching_reaches_its_tolerance_around_the_value(seed: int, m: int, n: int) -> None:
    a = draw(seed, m, n)
    found = approximate_zero_sum(a, tolerance=1e-2)
    check(a, found, 1e-2)
    assert found.lower - 1e-9 <= solve_zero_sum(a).value <= found.upper + 1e-9


def test_regret_matching_says_when_it_did_not_get_there() -> None:
    a = draw(0, 50, 50)
    found = approximate_zero_sum(a, tolerance=1e-9, max_iterations=60)
    assert not found.solved and 1e-9 < found.nash_conv < 0.2
    assert found.nash_conv == pytest.approx(nash_conv(a, found))
    assert approximate_zero_sum(1e6 * a, tolerance=1e-2).solved and approximate_zero_sum(np.eye(300)).solved


BAD = (
    ([[1.0, 2.0], [3.0]], "rectangular"),
    ([1.0, 2.0], r"shape \(2,\)"),
    ([], r"shape \(0,\)"),
    (np.zeros((0, 3)), r"shape \(0, 3\)"),
    (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\), expected payoffs \(rows, columns\)"),
    ([[1.0, math.nan]], r"the payoff at \(0, 1\) is nan"),
    ([[1.0], [-math.inf]], r"the payoff at \(1, 0\) is -inf"),
    ([["a", "b"]], "real numbers"),
    ([[1 + 2j, 0]], "complex128, expected"),
    ([[None, 1.0]], "object, expected"),
)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("matrix", "message"), BAD)
@pytest.mark.parametrize("solve", [solve_zero_sum, approximate_zero_sum])
def test_matrices_that_are_none_are_refused(solve: object, matrix: object, message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        solve(matrix)  # pyright: ignore[reportCallIssue]


def test_numbers_of_other_types_are_payoffs_too() -> None:
    for a in (torch.eye(3, dtype=torch.bool), torch.eye(3, dtype=torch.int32), np.eye(3, dtype=np.float32)):
        assert solve_zero_sum(a).value == pytest.approx(1 / 3)  # pyright: ignore[reportArgumentType]
    assert solve_zero_sum(torch.eye(3, requires_grad=True)).solved


@pytest.mark.usefixtures("unchecked")
def test_settings_that_make_no_sense_are_refused() -> None:
    for bad in (-1.0, math.nan, math.inf, "small", True):
        with pytest.raises(InvalidSettingError, match="got tolerance="):
            solve_zero_sum([[1.0]], tolerance=bad)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownNameError, match="did you mean 'simplex'"):
        solve_zero_sum([[1.0]], method="simplx")
    for bad in ({"max_iterations": 0}, {"check_every": 0}, {"check_every": 1.5}):
        with pytest.raises(InvalidSettingError, match=f"got {next(iter(bad))}="):
            approximate_zero_sum([[1.0]], **bad)
