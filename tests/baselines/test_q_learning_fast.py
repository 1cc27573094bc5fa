"""The fast executor gives what the plain loop gives, bit for bit: ends, periods, states and whole tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from strategic_envs.baselines.q_learning.fast import fits, pieces, play_many, play_piece
from strategic_envs.baselines.q_learning.initial import Given, UniformCells
from strategic_envs.baselines.q_learning.run import run_sessions
from strategic_envs.baselines.q_learning.schedules import Boltzmann, Exponential
from strategic_envs.baselines.q_learning.session import Outcome, Plan, play
from strategic_envs.baselines.q_learning.settings import QLearning
from strategic_envs.games.pricing import PricingTables, pricing

BOTH = pytest.mark.parametrize("draws", ["per_period", "thinned"])


def never() -> bool:
    return False


def equal(one: Outcome | None, other: Outcome | None) -> bool:
    assert one is not None and other is not None
    head = [
        (end.number, end.state, end.periods, end.converged, end.visited, end.strategy.tobytes(), end.q.tobytes())
        for end in (one, other)
        if end.q is not None
    ]
    return len(head) == 2 and head[0] == head[1]


def agreeing(plan: Plan, sessions: int) -> int:
    """How many sessions the fast executor played, all of them as the plain loop does."""
    todo = [(index, 3 + index) for index in range(sessions)]
    found = [(end, place) for place, end in zip(todo, play_many(plan, todo), strict=True) if end is not None]
    assert all(equal(end, play(plan, *place, never)) for end, place in found)
    return len(found)


def random_tables(seed: int) -> PricingTables:
    """An asymmetric duopoly with few or many prices."""
    random = np.random.default_rng(seed)
    m = int(random.choice([2, 3, 7, 15, 16]))
    cost, quality = random.uniform(0.8, 1.2, 2), random.uniform(1.8, 2.3, 2)
    return pricing(m=m, cost=tuple(cost), quality=tuple(quality), delta=float(random.uniform(0.3, 0.97))).frozen()


@BOTH
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(4))
def test_random_games_and_rates(seed: int, draws: str, dtype: str) -> None:
    random = np.random.default_rng(100 + seed)
    rates = [float(b) for b in random.uniform(5e-4, 3e-3, 2)]
    learner = QLearning(alpha=tuple(random.uniform(0.03, 0.4, 2)), beta=tuple(rates), window=2000, cap=60_000)
    plan = Plan(random_tables(seed), learner, seed, draws, dtype, keep_q=True)
    assert fits(plan) and agreeing(plan, 7) >= 3


@BOTH
def test_sessions_of_the_baseline(draws: str) -> None:
    assert agreeing(Plan(pricing().frozen(), QLearning(), 1, draws, "float64", keep_q=True), 5) == 5
    assert agreeing(Plan(pricing().frozen(), QLearning(), 1, draws, "float32", keep_q=True), 4) == 4


@BOTH
@pytest.mark.parametrize("cap", [1040, 3999, 4097, 6000, 9000])
def test_sessions_that_reach_the_cap(draws: str, cap: int) -> None:
    learner = QLearning(beta=4e-3, window=3000, cap=cap)
    plan = Plan(pricing().frozen(), learner, 0, draws, "float64", keep_q=True)
    if fits(plan):
        agreeing(plan, 12)
    ends = run_sessions(plan.tables, learner, 12, draws=draws)
    plain = [play(Plan(plan.tables, learner, 0, draws, "float64"), r, r, never) for r in range(12)]
    assert ends.converged.tolist() == [end.converged for end in plain if end]
    assert ends.periods.tolist() == [end.periods for end in plain if end]


@BOTH
@pytest.mark.parametrize("window", [1, 5, 60, 400, 1500])
def test_a_session_that_may_have_converged_early_is_left_to_the_plain_loop(draws: str, window: int) -> None:
    learner = QLearning(beta=1e-3, window=window)
    plan = Plan(pricing(m=4).frozen(), learner, 0, draws, "float64", keep_q=True)
    todo = [(index, index) for index in range(12)]
    ends = list(play_piece(plan, todo, never))
    assert all(equal(end, play(plan, *place, never)) for end, place in zip(ends, todo, strict=True))
    assert window > 5 or play_many(plan, todo) == [None] * 12


@BOTH
def test_first_values_and_states_of_any_kind(draws: str) -> None:
    tables, learner = pricing(m=5).frozen(), QLearning(beta=2e-3, window=1500)
    random = np.random.default_rng(0)
    q = random.uniform(0.0, 10.0, (6, 2, 25, 5))
    plan = Plan(tables, learner, 0, draws, "float64", True, 0, q, np.arange(6))
    assert agreeing(plan, 6) == 6
    for initial in (UniformCells(), Given(q[0])):
        settings = QLearning(beta=2e-3, window=1500, initial=initial)
        assert agreeing(Plan(tables, settings, 0, draws, "float64", True), 6) >= 4
    late = QLearning(exploration=Exponential(beta=1e-3, first=0.01), window=1500)  # the second phase only
    assert agreeing(Plan(tables, late, 0, draws, "float64", True), 6) == 6


def test_what_does_not_fit_is_told() -> None:
    tables = pricing().frozen()
    assert fits(Plan(tables, QLearning(), 0, "thinned", "float64"))
    refused = [
        Plan(tables, QLearning(exploration=Boltzmann()), 0, "per_period", "float64"),
        Plan(tables, QLearning(beta=0.0), 0, "per_period", "float64"),
        Plan(tables, QLearning(cap=1000), 0, "per_period", "float64"),
        Plan(tables, QLearning(ties="random"), 0, "per_period", "float64"),
        Plan(tables, QLearning(), 1, "replay", "float64"),
        Plan(tables, QLearning(), 0, "per_period", "float64", gain_every=1000),
        Plan(tables, QLearning(), 0, "per_period", "float64", frozen={0: np.zeros(225, np.int16)}),
        Plan(pricing(n=3, m=3).frozen(), QLearning(), 0, "per_period", "float64"),
        Plan(pricing(m=17).frozen(), QLearning(), 0, "per_period", "float64"),
        Plan(pricing(m=3, memory=2).frozen(), QLearning(), 0, "per_period", "float64"),
    ]
    assert [fits(plan) for plan in refused] == [False] * len(refused)


@BOTH
def test_neither_threads_nor_pieces_matter(draws: str) -> None:
    tables, learner = pricing().frozen(), QLearning(beta=4e-4, window=4000)
    one = run_sessions(tables, learner, 21, draws=draws, threads=1, keep_q=True)
    two = run_sessions(tables, learner, range(20, -1, -1), draws=draws, threads=2, keep_q=True)
    for name in ("number", "strategy", "state", "periods", "converged", "q"):
        assert np.array_equal(getattr(one, name), getattr(two, name)[::-1]), name


def test_pieces_get_small_at_the_end() -> None:
    plan = Plan(pricing().frozen(), QLearning(), 0, "thinned", "float64")
    sizes = [len(piece) for piece in pieces(plan, [(r, r) for r in range(100)], 2)]
    assert sum(sizes) == 100 and sizes[0] == 16 and sizes[-1] <= 4 and sizes == sorted(sizes, reverse=True)


REPORT = """
import hashlib
from strategic_envs.baselines.q_learning import QLearning
from strategic_envs.baselines.q_learning.run import run_sessions
from strategic_envs.games.pricing import pricing

ends = run_sessions(pricing(), QLearning(beta=4e-5, window=20_000), 8, threads=1, keep_q=True)
print(hashlib.sha256(ends.q.tobytes() + ends.periods.tobytes() + ends.state.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_a_machine_with_short_registers_gives_the_same_numbers(tmp_path: Path) -> None:
    told = []
    for settings in ({}, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}):
        done = subprocess.run(
            [sys.executable, "-c", REPORT], env=os.environ | settings, check=True, capture_output=True, text=True
        )
        told.append(done.stdout)
    assert told[0] == told[1] and len(told[0]) == 65
