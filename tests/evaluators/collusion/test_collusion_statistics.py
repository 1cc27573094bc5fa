"""Means that know their clusters, and the published tables' shape."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.collusion import (
    Analysis,
    analyse,
    best_response_table,
    clustered_mean,
    correlation,
    impulse_response,
    representative_table,
)
from strategic_envs.games.pricing import pricing

TABLES = pricing(m=5).frozen()


def random_sessions(sessions: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 5, (sessions, 2, 25)).astype(np.int16), rng.integers(0, 25, sessions)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=20))
def test_equal_weights_give_the_usual_standard_error(values: list[float]) -> None:
    found = clustered_mean(np.array(values))
    assert found.value == pytest.approx(np.mean(values), abs=1e-12)
    assert found.error == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)), abs=1e-12)


def test_cases_of_one_session_are_not_independent() -> None:
    """A session with twice the cases weighs twice, but is one draw: copies of cases make nothing surer."""
    values = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    assert clustered_mean(values, np.full(5, 7)) == clustered_mean(values)
    weights = np.array([1, 2, 3, 4, 5])
    found = clustered_mean(values, weights)
    cases = np.repeat(values, weights)
    assert found.value == pytest.approx(cases.mean())
    assert found.error > cases.std(ddof=1) / math.sqrt(len(cases))
    draws = np.random.default_rng(0).integers(0, 5, (4000, 5))
    resampled = (values * weights)[draws].sum(-1) / weights[draws].sum(-1)
    assert found.error == pytest.approx(resampled.std(), rel=0.15)


def test_means_of_nothing_are_not_numbers() -> None:
    assert math.isnan(clustered_mean(np.array([])).value)
    assert clustered_mean(np.array([1.0, math.nan, 3.0]), np.array([3, 9, 1])).value == 1.5
    assert math.isnan(clustered_mean(np.array([2.0])).error)
    assert math.isnan(correlation(np.ones(3), np.arange(3.0)))


def test_correlation_needs_pairs(unchecked: None) -> None:
    with pytest.raises(InvalidSettingError, match="3 and 2 values"):
        correlation(np.ones(3), np.ones(2))


def test_correlation_is_pearsons() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 30))
    assert correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_the_table_by_cycle_length_counts_every_converged_session_once() -> None:
    found = analyse(TABLES, *random_sessions())
    table = representative_table(found)
    frequency = table["frequency"]
    assert frequency["1 sym"] + frequency["1 asym"] == pytest.approx(frequency["1"])
    assert frequency["1"] + frequency["2"] + frequency[">=3"] == pytest.approx(1.0) == frequency["all"]
    assert frequency["EQ"] == pytest.approx(table["nash_one_shot"]["all"])
    two = found.cycle_length == 2
    assert table["gain"]["2"] == pytest.approx(found.gain[two].mean())
    assert table["gain_sd"]["2"] == pytest.approx(found.gain[two].std(ddof=1))
    assert table["loss_off_path"]["all"] == pytest.approx(found.loss_off_path.mean())


def test_sessions_that_did_not_converge_are_counted_and_left_out() -> None:
    strategy, state = random_sessions(10)
    good = np.arange(10) < 6
    found = analyse(TABLES, strategy, state, converged=good)
    only = analyse(TABLES, strategy[:6], state[:6])
    row, alone = found.row(), only.row()
    assert (row["sessions"], row["converged"]) == (10, 6)
    np.testing.assert_equal({**row, "sessions": 6}, alone)
    np.testing.assert_equal(representative_table(found), representative_table(only))
    np.testing.assert_equal(best_response_table(found), best_response_table(only))
    response = impulse_response(TABLES, strategy, state, converged=good).row()
    assert response["converged"] == 6
    np.testing.assert_equal({**response, "sessions": 6}, impulse_response(TABLES, strategy[:6], state[:6]).row())
    nobody = dataclasses.replace(found, converged=np.zeros(10, dtype=bool))
    assert math.isnan(nobody.row()["gain"]) and math.isnan(best_response_table(nobody)["firms"]["exact"])
    assert len(found.rows()) == 10 and found.rows()[9]["converged"] is False


def test_rows_are_plain_numbers() -> None:
    found = analyse(TABLES, *random_sessions(3))
    json.dumps([found.row(), found.rows(), impulse_response(TABLES, *random_sessions(3)).row()])
    assert list(found.rows()[0])[:3] == ["converged", "cycle_length", "symmetric"]


def test_published_weights_are_the_cases_of_a_session() -> None:
    strategy, state = random_sessions(20)
    response = impulse_response(TABLES, strategy, state)
    found: Analysis = analyse(TABLES, strategy, state)
    np.testing.assert_array_equal(response.cases, 2 * found.cycle_length)
    np.testing.assert_array_equal(response.length_counts.sum(-1), response.cases)
    row = response.row()
    weighted = (response.unprofitable * response.cases).sum() / response.cases.sum()
    assert row["unprofitable"] == pytest.approx(weighted)
    assert row["unprofitable_by_session"] == pytest.approx(response.unprofitable.mean())
    assert row["deviator_0"] == pytest.approx(found.prices.mean())
