"""Array sessions against a slow definition of one period, and against the plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from strategic_envs.baselines.q_learning.batched import Batch, batched_msteps, finish, play_batched, start, step
from strategic_envs.baselines.q_learning.initial import UniformCells
from strategic_envs.baselines.q_learning.schedules import Boltzmann
from strategic_envs.baselines.q_learning.session import Plan, play
from strategic_envs.baselines.q_learning.settings import QLearning
from strategic_envs.errors import InvalidSettingError, UnknownNameError
from strategic_envs.games.pricing import PricingTables, pricing

BUSY = {"alpha": 0.3, "beta": 6e-3, "window": 200, "cap": 1300, "initial": UniformCells(0, 10)}


def plan_of(tables: PricingTables, *, draws: str = "per_period", dtype: str = "float64", **settings: object) -> Plan:
    return Plan(tables, QLearning(**{**BUSY, **settings}), 5, draws, dtype, keep_q=True)


def random_tables(n: int, m: int, memory: int, markets: int) -> PricingTables:
    """A game of random profits; with several market states, the last firm is out in the last of them."""
    generator = np.random.default_rng(0)
    present = np.ones((markets, n), dtype=bool)
    present[-1, -1] = markets == 1
    profit = generator.random((markets, m**n, n))
    absent = profit[-1].reshape(-1, m, n)
    if markets > 1:
        absent[:] = absent[:, :1]  # whoever is absent has no price
        absent[..., -1] = 0.0
    anchors, firms = np.ones((markets, n)), np.arange(n, dtype=np.float64)
    return PricingTables(
        grid=np.tile(np.linspace(1, 2, m), (n, 1)),
        profit=profit,
        chain=generator.dirichlet(np.ones(markets), markets),
        present=present,
        delta=0.9,
        memory=memory,
        nash_prices=anchors,
        nash_profits=firms,
        monopoly_prices=anchors,
        monopoly_profits=firms + 1,
    )


def period(q, greedy, state, market, tables, alpha, explore, price):
    """One period of one session by its definition; returns the next state and whether a greedy price changed."""
    n, m = tables.n, tables.m
    prices = [int(price[i]) if explore[i] else int(greedy[i, state]) for i in range(n)]
    digits = [p if tables.present[market, i] else m for i, p in enumerate(prices)]
    joint = int(np.ravel_multi_index(prices, (m,) * n))
    after = int(tables.follow(np.array([state]), np.array([digits]))[0])
    best = [q[i, after, greedy[i, after]] for i in range(n)]  # before anything is written
    changed = False
    for i in range(n):
        if tables.present[market, i]:
            old = q[i, state, prices[i]]
            q[i, state, prices[i]] = old + alpha[i] * (tables.profit[market, joint, i] + tables.delta * best[i] - old)
            if q[i, state, greedy[i, state]] < q[i, state].max():
                greedy[i, state] = q[i, state].argmax()
                changed = True
    return after, changed


@pytest.mark.parametrize("xp", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("n", "m", "memory", "markets"),
    [(2, 4, 1, 1), (3, 3, 1, 1), (2, 3, 2, 1), (2, 5, 0, 1), (1, 3, 1, 1), (3, 3, 1, 2)],
)
def test_a_step_is_the_definition_on_given_draws(n: int, m: int, memory: int, markets: int, xp: str) -> None:
    tables, sessions, window = random_tables(n, m, memory, markets), 6, 25
    alpha = np.linspace(0.15, 0.4, n)
    plan = plan_of(tables, alpha=tuple(alpha), window=window, cap=300)
    batch = start(plan, range(sessions), xp=xp)
    first = finish(batch, keep_q=True)
    q, greedy, state = first.q.copy(), first.strategy.copy(), first.state.copy()
    market = np.asarray(batch.market).copy()
    calm, played = np.zeros(sessions, dtype=int), np.zeros(sessions, dtype=int)
    generator = np.random.default_rng(1)
    while len(batch.live):
        explore = generator.random((n, sessions)) < 0.2 * (batch.period < 60)
        price, chance = generator.integers(0, m, (n, sessions)), generator.random(sessions)
        for b in batch.live:
            state[b], changed = period(q[b], greedy[b], state[b], market[b], tables, alpha, explore[:, b], price[:, b])
            market[b] = (chance[b] >= np.cumsum(tables.chain[market[b]])[:-1]).sum()
            calm[b] = 1 if changed else calm[b] + 1
            played[b] += 1
        given = [part[..., batch.live] for part in (explore, price, chance)]
        batch = step(batch, *(given if xp == "numpy" else map(torch.from_numpy, given)))
    ends = finish(batch, keep_q=True)
    np.testing.assert_array_equal(ends.q, q)
    np.testing.assert_array_equal(ends.strategy, greedy)
    np.testing.assert_array_equal(ends.state, state)
    np.testing.assert_array_equal(ends.periods, played)
    np.testing.assert_array_equal(ends.converged, calm >= window)


def assert_the_plain_loop(plan: Plan, number: range, **settings: object) -> np.ndarray:
    ours = play_batched(plan, number, **settings)
    for i, r in enumerate(number):
        one = play(plan, i, r, lambda: False)
        assert (ours.number[i], ours.state[i], ours.visited[i]) == (r, one.state, one.visited)
        assert (ours.periods[i], ours.converged[i]) == (one.periods, one.converged)
        np.testing.assert_array_equal(ours.strategy[i], one.strategy)
        np.testing.assert_array_equal(ours.q[i], one.q)
    return ours.periods


@pytest.mark.parametrize(
    ("xp", "draws", "dtype"),
    [
        ("numpy", "per_period", "float64"),
        ("torch", "thinned", "float64"),
        ("numpy", "thinned", "float32"),
        ("torch", "per_period", "float32"),
    ],
)
def test_whole_sessions_are_those_of_the_plain_loop(xp: str, draws: str, dtype: str) -> None:
    plan = plan_of(pricing(m=4).frozen(), draws=draws, dtype=dtype)
    assert assert_the_plain_loop(plan, range(3, 7), xp=xp, size=3).max() > 1024  # so that gaps were drawn


def test_firms_that_come_and_go_and_demand_that_changes_are_those_of_the_plain_loop() -> None:
    assert_the_plain_loop(plan_of(random_tables(3, 3, 1, 2), cap=700), range(4))


def test_own_rates_and_frozen_firms_are_those_of_the_plain_loop() -> None:
    tables = pricing(m=4).frozen()
    settings = {"alpha": (0.1, 0.3), "beta": (4e-3, 8e-3)}
    plan = plan_of(tables, **settings)
    fixed = Plan(tables, plan.learner, 5, "per_period", "float64", keep_q=True, frozen={1: np.arange(16) % 4})
    for each in (plan, fixed):
        assert_the_plain_loop(each, range(3))


@pytest.mark.gpu
def test_torch_on_a_device_gives_the_sessions_of_the_plain_loop() -> None:
    assert_the_plain_loop(plan_of(pricing(m=4).frozen(), draws="thinned"), range(3, 7), xp="torch", device="cuda")


def test_sessions_do_not_depend_on_their_neighbours() -> None:
    plan = plan_of(pricing(m=3).frozen(), cap=700)
    together = play_batched(plan, range(7))
    alone = play_batched(plan, [4], places=np.array([4]))
    np.testing.assert_array_equal(together.q[4], alone.q[0])
    assert together.periods[4] == alone.periods[0]


def test_a_stopped_run_returns_what_there_is() -> None:
    asked = iter([False, False, True])
    ends = play_batched(plan_of(pricing(m=3).frozen()), range(3), stopped=lambda: next(asked))
    assert not ends.converged.any() and set(ends.periods) == {128}


def test_the_rate_is_a_positive_number() -> None:
    assert batched_msteps("numpy", sessions=4, periods=5, marks=(0,)) > 0


def test_what_arrays_cannot_do_is_refused() -> None:
    tables = pricing(m=3).frozen()
    for settings, word in (({"exploration": Boltzmann()}, "Boltzmann"), ({"ties": "random"}, "ties='random'")):
        with pytest.raises(InvalidSettingError, match=word):
            start(plan_of(tables, **settings), [0])
    with pytest.raises(InvalidSettingError, match="replay"):
        start(plan_of(tables, draws="replay"), [0])
    with pytest.raises(InvalidSettingError, match="xp='torch'"):
        start(plan_of(tables), [0], device="cuda")


def test_an_unknown_library_is_named(unchecked: None) -> None:
    with pytest.raises(UnknownNameError, match="numpi"):
        start(plan_of(pricing(m=3).frozen()), [0], xp="numpi")


def test_older_batches_keep_their_counts() -> None:
    batch = start(plan_of(pricing(m=3).frozen()), range(2))
    after = step(batch, np.ones((2, 2), dtype=bool), np.zeros((2, 2), dtype=np.int64))
    assert isinstance(after, Batch) and (batch.period, after.period) == (0, 1)
