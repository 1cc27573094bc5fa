from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.errors import InvalidSettingError, InvalidStrategyError
from strategic_envs.evaluators.littlestone import littlestone_dimension, threshold_dimension


def by_the_recursion(rows: frozenset[tuple[int, ...]]) -> int:
    """The definition, without any memory or bound."""
    best = 0
    for x in range(len(next(iter(rows)))):
        ones = frozenset(row for row in rows if row[x])
        if ones and ones != rows:
            best = max(best, 1 + min(by_the_recursion(ones), by_the_recursion(rows - ones)))
    return best


def longest_pattern(table: np.ndarray) -> int:
    """The definition of the threshold dimension: try all hypotheses and points in all orders."""
    h, x = table.shape
    best = 0
    for k in range(1, min(h, x) + 1):
        wanted = np.tril(np.ones((k, k), dtype=int))
        if any(
            (table[np.ix_(rows, points)] == wanted).all()
            for rows in itertools.permutations(range(h), k)
            for points in itertools.permutations(range(x), k)
        ):
            best = k
    return best


def thresholds(n: int) -> list[list[int]]:
    """Who names the larger number: hypothesis i says at the number j whether i > j; n different ones."""
    return [[int(i > j) for j in range(n)] for i in range(n)]


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_it_is_the_recursion(seed: int, h: int, x: int) -> None:
    table = np.random.default_rng(seed).integers(0, 2, (h, x))
    dimension = littlestone_dimension(table)
    assert dimension == by_the_recursion(frozenset(map(tuple, table.tolist())))
    assert dimension <= math.log2(len({tuple(row) for row in table.tolist()}))


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_the_threshold_dimension_is_the_longest_pattern(seed: int, h: int, x: int) -> None:
    table = np.random.default_rng(seed).integers(0, 2, (h, x))
    assert threshold_dimension(table) == longest_pattern(table)


@given(st.integers(0, 10**6), st.integers(1, 24), st.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_each_dimension_bounds_the_other(seed: int, h: int, x: int) -> None:
    table = np.random.default_rng(seed).integers(0, 2, (h, x))
    littlestone, pattern = littlestone_dimension(table), threshold_dimension(table)
    if pattern:
        assert littlestone >= int(math.log2(pattern))
    if littlestone:
        assert pattern >= int(math.log2(littlestone))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 100, 128])
def test_thresholds_have_the_logarithm_of_their_number_and_patterns_of_all_lengths(n: int) -> None:
    # halving asks log2 n questions, and no class of n hypotheses can have more
    assert littlestone_dimension(thresholds(n)) == int(math.log2(n))
    if n <= 32:
        assert threshold_dimension(thresholds(n)) == n - 1


@pytest.mark.parametrize("n", [2, 5, 40])
def test_hide_and_seek_has_dimension_one_whatever_n(n: int) -> None:
    assert littlestone_dimension(np.eye(n, dtype=int)) == threshold_dimension(np.eye(n, dtype=int)) == 1


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_all_functions_on_d_points_have_dimension_d(d: int) -> None:
    cube = torch.tensor([[h >> k & 1 for k in range(d)] for h in range(2**d)])
    assert littlestone_dimension(cube) == d == threshold_dimension(cube)


def test_equal_hypotheses_count_once_and_one_alone_has_nothing_to_learn() -> None:
    assert littlestone_dimension([[1, 0], [1, 0]]) == 0 == littlestone_dimension([[0, 1]])
    assert littlestone_dimension([[True, False], [False, False]]) == 1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "expected at least one hypothesis and one point"),
        ([[]], "expected at least one hypothesis and one point"),
        ([[0, 1], [1]], "expected one rectangular table"),
        ([[0, 1], [1, 2]], "number 1 says 2 at point 1, expected 0 or 1"),
        (torch.tensor([[0.0, float("nan")]]), "number 0 says nan at point 1"),
    ],
)
def test_what_is_no_class_is_refused(table: list[list[int]] | torch.Tensor, message: str) -> None:
    for dimension in (littlestone_dimension, threshold_dimension):
        with pytest.raises(InvalidStrategyError, match=message):
            dimension(table)


def test_a_class_with_too_many_parts_is_refused_with_the_limit() -> None:
    table = np.random.default_rng(0).integers(0, 2, (40, 12))
    with pytest.raises(InvalidSettingError, match="littlestone_dimension: more than limit=10 sets"):
        littlestone_dimension(table, limit=10)
    with pytest.raises(InvalidSettingError, match="threshold_dimension: more than limit=10 sets"):
        threshold_dimension(table, limit=10)
    with pytest.raises(InvalidSettingError, match="got 2000, too many for the recursion"):
        littlestone_dimension(np.zeros((2000, 1), dtype=int))
