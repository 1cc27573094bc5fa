"""First values are what the belief that they are named after would pay, played out; schedules are their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from strategic_envs.baselines.q_learning import (
    AverageRivals,
    Boltzmann,
    Constant,
    Exponential,
    FixedRivals,
    Given,
    GrimTrigger,
    QLearning,
    UniformCells,
    run_sessions,
)
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.pricing import PricingTables, pricing

BASELINE = [5.78976050, 6.00810841, 6.16208425, 6.25163665, 6.27800490, 6.24373737, 6.15264191, 6.00966833, 5.82072863]


def played_out(tables: PricingTables, strategy: np.ndarray, firm: int) -> np.ndarray:
    """What a firm earns from each price in each state if all follow a strategy `(n, S)` from the next period on."""
    n, m, states = tables.n, tables.m, np.arange(tables.n_states)

    def pays(actions: np.ndarray) -> np.ndarray:
        return tables.mean_profit[actions @ m ** np.arange(n - 1, -1, -1), firm]

    then = tables.follow(states, strategy.T)
    value = np.linalg.solve(np.eye(len(states)) - tables.delta * np.eye(len(states))[then], pays(strategy.T))
    q = np.empty((len(states), m))
    for price in range(m):
        actions = strategy.T.copy()
        actions[:, firm] = price
        q[:, price] = pays(actions) + tables.delta * value[tables.follow(states, actions)]
    return q


@pytest.mark.parametrize(
    "options", [{"m": 4}, {"n": 3, "m": 3}, {"m": 3, "memory": 2}, {"m": 4, "shock": 0.2}], ids=str
)
def test_fixed_rivals_and_grim_trigger_are_played_out(options: dict) -> None:
    tables = pricing(**options, cost=[1.0, 0.9, 0.8][: options.get("n", 2)]).frozen()
    states, n = np.arange(tables.n_states), tables.n
    always = np.full((n, len(states)), 1)
    always[0] = 2
    everywhere = FixedRivals([2] + [1] * (n - 1)).table(tables)
    grim = np.zeros((n, len(states)), np.int64)
    grim[:, sum(2 * tables.base**d for d in range(n * tables.memory))] = 2
    triggered = GrimTrigger(2, 0).table(tables)
    for i in range(n):
        np.testing.assert_allclose(everywhere[i], played_out(tables, always, i), rtol=1e-12)
        np.testing.assert_allclose(triggered[i], played_out(tables, grim, i), rtol=1e-12)
    stays = FixedRivals([2] + [1] * (n - 1), stays=True).table(tables)
    assert (stays[0].argmax(-1) == everywhere[0].argmax(-1)).all()


def test_average_rivals_is_the_published_row() -> None:
    q = AverageRivals().table(pricing().frozen())
    assert q.shape == (2, 225, 15)
    assert q[0, 17, :9] == pytest.approx(BASELINE, abs=5e-9)
    assert (q == q[:, :1]).all()


def test_uniform_cells_fill_their_range() -> None:
    learner = QLearning(initial=UniformCells(2.0, 3.0), cap=1)
    ends = run_sessions(pricing(), learner, 2, keep_q=True)
    assert ends.q is not None
    assert ends.q.min() >= 0
    cells = np.sort(ends.q[ends.q >= 2.0])
    assert abs(cells.mean() - 2.5) < 0.02
    assert np.abs(cells - np.linspace(2, 3, len(cells))).max() < 0.03
    assert (ends.q[0] != ends.q[1]).mean() > 0.99


def test_equal_cells_are_told_apart_at_random() -> None:
    """Of fifteen equal prices each is greedy in about a fifteenth of the states."""
    learner = QLearning(initial=Constant(5.0), ties="random", cap=1)
    ends = run_sessions(pricing(), learner, 20)
    counts = np.bincount(ends.strategy.ravel(), minlength=15)
    assert (np.abs(counts - 600) < 5 * 600**0.5).all()
    lowest = run_sessions(pricing(), QLearning(initial=Constant(5.0), cap=1), 1)
    assert (lowest.strategy == 0).mean() > 0.99


def test_given_values_are_taken() -> None:
    row = np.arange(6.0).reshape(2, 3)
    table = Given(row).table(pricing(m=3).frozen())
    assert (table == row[:, None]).all()
    whole = np.random.default_rng(0).normal(size=(2, 9, 3))
    assert (Given(whole).table(pricing(m=3).frozen()) == whole).all()


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        (FixedRivals(15), r"FixedRivals got price 15, expected one index 0\.\.14"),
        (FixedRivals([1, 2, 3]), r"or 2, one a firm"),
        (GrimTrigger(-1, 2), "GrimTrigger got price -1"),
        (GrimTrigger(3, 3), "expected two different prices"),
        (Given(np.zeros((2, 4))), r"shape \(2, 4\)"),
        (Given(np.full((2, 15), np.inf)), "not all finite"),
    ],
)
def test_values_that_do_not_fit_the_game(initial, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        run_sessions(pricing(), QLearning(initial=initial), 1)


def test_grim_trigger_needs_a_memory() -> None:
    with pytest.raises(InvalidSettingError, match="memory 0"):
        run_sessions(pricing(memory=0), QLearning(initial=GrimTrigger(13, 1)), 1)


def test_schedules_are_their_formulas() -> None:
    first, factor = Exponential((1e-3, 2e-3), first=0.5).levels(2)
    assert first.tolist() == [0.5, 0.5]
    assert factor == pytest.approx(np.exp([-1e-3, -2e-3]), rel=1e-15)
    first, factor = Boltzmann(1000.0).levels(3)
    assert first.tolist() == [1000.0] * 3
    assert factor == pytest.approx([0.999961] * 3, abs=5e-7)
