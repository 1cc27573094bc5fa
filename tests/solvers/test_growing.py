from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from strategic_envs.errors import InvalidGameError
from strategic_envs.solvers.growing import GrowingGame
from strategic_envs.solvers.zero_sum import ZeroSumSolution


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


def grown(a: np.ndarray, each: int = 1) -> list[tuple[np.ndarray, ZeroSumSolution]]:
    """The solutions while `a` grows from its first entry by `each` rows and columns at a time."""
    game, m, n, found = GrowingGame(float(a[0, 0])), 1, 1, []
    while (m, n) != a.shape:
        more_n = min(n + each, a.shape[1])
        game.add(columns=list(a[:m, n:more_n].T))
        n, more_m = more_n, min(m + each, a.shape[0])
        game.add(rows=list(a[m:more_m, :n]))
        m = more_m
        found.append((a[:m, :n], game.solve(1e-9)))
    return found


def kinds(seed: int, m: int, n: int) -> dict[str, np.ndarray]:
    stream = np.random.default_rng(seed)
    square = stream.normal(size=(m, m))
    return {
        "uniform": stream.uniform(-1, 1, (m, n)),
        "whole numbers": stream.integers(-1, 2, (m, n)).astype(float),  # many ties
        "low rank": stream.normal(size=(m, 2)) @ stream.normal(size=(2, n)),
        "antisymmetric": square - square.T,
        "large and far from zero": 1e4 * stream.normal(size=(m, n)) + 1e6,
        "tiny": 1e-7 * stream.normal(size=(m, n)),
        "from small to large": stream.normal(size=(m, n)) * 10.0 ** np.arange(-3, m - 3)[:, None].clip(max=4),
        "hide and seek": np.eye(m, n),
        "larger number": np.sign(np.subtract.outer(np.arange(m), np.arange(n))).astype(float),
        "one payoff": np.full((m, n), 0.25),
    }


@given(st.integers(0, 10**6), st.integers(2, 14), st.integers(2, 14), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_every_game_on_the_way_is_solved_and_the_last_has_the_value_of_a_cold_start(
    seed: int, m: int, n: int, each: int
) -> None:
    for name, a in kinds(seed, m, n).items():
        scale, solution = float(np.abs(a).max()), GrowingGame(0.0).solve()
        for matrix, solution in grown(a, each):
            assert solution.nash_conv <= 1e-9 * max(scale, 1.0), name
            lower = float((solution.row.numpy() @ matrix).min())
            assert lower == pytest.approx(solution.lower, abs=1e-12 * scale) and solution.row.shape == matrix.shape[:1]
            assert float(solution.row.sum()) == pytest.approx(1) and bool((solution.column >= 0).all())
        value = value_by_linear_programming(a)
        assert solution.value == pytest.approx(value, abs=1e-8 * max(scale, 1.0)), name


def test_rounding_does_not_add_up_over_hundreds_of_pivots_and_is_mended_from_the_matrix() -> None:
    a = np.random.default_rng(1).uniform(-1, 1, (120, 120))
    solutions = [s for _, s in grown(a)]
    assert max(s.nash_conv for s in solutions) <= 1e-12 and {s.method for s in solutions} == {"growing simplex"}
    game = GrowingGame(float(a[0, 0]))
    game.add(columns=list(a[:1, 1:].T), rows=list(a[1:]))
    game.solve()
    np.add(game._tableau._table, 1e-3, out=game._tableau._table)  # as if rounding had spoilt it
    assert game.solve().nash_conv <= 1e-12 and game.pivots > 50


def test_lines_of_another_length_or_not_finite_are_refused() -> None:
    game = GrowingGame(1.0)
    with pytest.raises(InvalidGameError, match=r"got a line of shape \(2,\), expected 1 finite payoffs"):
        game.add(columns=[[1.0, 2.0]])
    with pytest.raises(InvalidGameError, match="expected 1 finite payoffs"):
        game.add(rows=[[float("nan")]])
    with pytest.raises(InvalidGameError, match="got the entry inf"):
        GrowingGame(float("inf"))
    assert game.matrix.tolist() == [[1.0]] and game.solve().value == 1.0
