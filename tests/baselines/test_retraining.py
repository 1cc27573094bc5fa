from __future__ import annotations

import numpy as np
import pytest

from strategic_envs.baselines.q_learning import QLearning, Sessions, run_sessions
from strategic_envs.baselines.q_learning.retraining import play_together, rematch, retrain
from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.collusion import analyse
from strategic_envs.games.pricing import pricing
from strategic_envs.games.pricing.tables import PricingTables

LEARNER = QLearning(beta=2e-4, window=2000)


@pytest.fixture(scope="module")
def tables() -> PricingTables:
    return pricing(m=5).frozen()


@pytest.fixture(scope="module")
def trained(tables: PricingTables) -> Sessions:
    return run_sessions(tables, LEARNER, 8, seed=3, keep_q=True)


def fixed_sessions(tables: PricingTables, prices: list[int], count: int = 3) -> Sessions:
    """Sessions that ended with firms that always charge the same price."""
    strategy = np.empty((count, tables.n, tables.n_states), dtype=np.int16)
    strategy[:] = np.array(prices)[:, None]
    b = tables.base
    state = np.full(count, sum(p * b ** (tables.n - 1 - i) for i, p in enumerate(prices)))
    return Sessions(np.arange(count), strategy, state, np.full(count, 10), np.ones(count, dtype=bool), window=5)


def test_only_the_firm_that_learns_anew_changes(tables: PricingTables, trained: Sessions) -> None:
    for firm in (0, 1):
        found = retrain(tables, trained, LEARNER, firm=firm, seed=1)
        np.testing.assert_array_equal(found.sessions.strategy[:, 1 - firm], trained.strategy[:, 1 - firm])
        assert (found.sessions.strategy[:, firm] != trained.strategy[:, firm]).any()
        before = analyse(tables, trained.strategy, trained.state)
        np.testing.assert_array_equal(found.before, before.profits)
        np.testing.assert_allclose(found.gain_before.mean(-1), before.gain)
        after = analyse(tables, found.sessions.strategy, found.sessions.state)
        np.testing.assert_allclose(found.exploitation, after.profits[:, firm] / before.profits[:, firm] - 1)
        np.testing.assert_allclose(found.rival_loss, 1 - after.profits[:, 1 - firm] / before.profits[:, 1 - firm])


def test_a_rival_that_never_punishes_is_undercut_for_ever(tables: PricingTables) -> None:
    top = tables.m - 1
    found = retrain(tables, fixed_sessions(tables, [top, top]), QLearning(beta=2e-5, window=5000))
    profit = tables.mean_profit.reshape(tables.m, tables.m, 2)
    best = int(profit[:, top, 0].argmax())  # a fixed rival makes it a decision problem, and that is solved
    np.testing.assert_allclose(found.after[:, 0], profit[best, top, 0])
    assert best < top and (found.exploitation > 0).all() and (found.rival_loss > 0).all()


def test_three_firms_are_retrained_and_rematched() -> None:
    tables = pricing(n=3, m=3).frozen()
    trained = run_sessions(tables, LEARNER, 3, keep_q=True)
    found = retrain(tables, trained, LEARNER, firm=2)
    np.testing.assert_array_equal(found.sessions.strategy[:, :2], trained.strategy[:, :2])
    met = rematch(tables, trained, LEARNER, learn=True)
    assert met.partner.tolist() == [[0, 1, 2], [1, 2, 0], [2, 0, 1]] and len(met.sessions or ()) == 3


def test_the_same_seed_retrains_to_the_same_strategies(tables: PricingTables, trained: Sessions) -> None:
    one, two = (retrain(tables, trained, LEARNER, seed=5, threads=t).sessions for t in (1, 3))
    np.testing.assert_array_equal(one.strategy, two.strategy)
    other = retrain(tables, trained, LEARNER, seed=6).sessions
    assert (other.periods != one.periods).any()


def test_firms_put_together_start_from_their_own_last_prices(tables: PricingTables, trained: Sessions) -> None:
    rows = np.array([[b, (b + 1) % 8] for b in range(8)])
    gain, state = play_together(tables, trained, rows)
    for b, (one, two) in enumerate(rows):
        prices = [int(trained.state[one]) // tables.m, int(trained.state[two]) % tables.m]
        assert state[b] == prices[0] * tables.m + prices[1]
        path = [int(state[b])]
        while path[-1] not in path[:-1]:  # the definition, step by step
            prices = [int(trained.strategy[one, 0, path[-1]]), int(trained.strategy[two, 1, path[-1]])]
            path.append(prices[0] * tables.m + prices[1])
        cycle = path[path.index(path[-1]) + 1 :]
        assert gain[b] == pytest.approx(tables.profit_gain(tables.mean_profit[cycle].mean(0)).item())


def test_partners_of_old_play_as_before(tables: PricingTables, trained: Sessions) -> None:
    together = np.repeat(np.arange(8)[:, None], 2, axis=1)
    gain, state = play_together(tables, trained, together)
    np.testing.assert_array_equal(state, trained.state)
    np.testing.assert_allclose(gain, analyse(tables, trained.strategy, trained.state).gain)


def test_rematched_firms_go_on_from_what_they_have_learnt(tables: PricingTables, trained: Sessions) -> None:
    still = QLearning(alpha=1e-300, beta=2e-4, window=2000, exploration=None)  # they explore, and learn nothing
    met = rematch(tables, trained, still, learn=True)
    assert met.sessions is not None
    for b in range(8):
        np.testing.assert_array_equal(met.sessions.strategy[b, 0], trained.strategy[b, 0])
        np.testing.assert_array_equal(met.sessions.strategy[b, 1], trained.strategy[(b + 1) % 8, 1])


def test_memory_of_two_periods_is_put_together_lag_by_lag() -> None:
    tables = pricing(m=3, memory=2).frozen()
    trained = fixed_sessions(tables, [0, 0], count=2)
    states = np.array([int("0120", 3), int("2101", 3)])  # firm 0's two last prices, then firm 1's
    trained = Sessions(trained.number, trained.strategy, states, trained.periods, trained.converged, trained.window)
    state = play_together(tables, trained, np.array([[0, 1], [1, 0]]))[1]
    assert state.tolist() == [int("0101", 3), int("2120", 3)]


def test_evidence_counts_only_sessions_that_converged(tables: PricingTables, trained: Sessions) -> None:
    found = retrain(tables, trained, QLearning(beta=2e-4, window=2000, cap=2001))
    assert not found.sessions.converged.all()
    told = found.evidence(rematch(tables, trained))
    assert told.sessions == found.sessions.converged.sum()
    assert told.rematch == pytest.approx(rematch(tables, trained).gain.mean())


def test_what_cannot_be_retrained_or_rematched_is_told(tables: PricingTables, trained: Sessions) -> None:
    with pytest.raises(InvalidSettingError, match="got firm=2 in a game of 2 firms"):
        retrain(tables, trained, LEARNER, firm=2)
    with pytest.raises(InvalidSettingError, match="got 1 session, expected at least two"):
        rematch(tables, run_sessions(tables, LEARNER, 1))
    with pytest.raises(InvalidSettingError, match="keep_q=True"):
        rematch(tables, run_sessions(tables, LEARNER, 2), learn=True)
