"""Fast figures of sessions beside slow definitions: matrix solves, value iteration, play-outs, the Markov game."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.errors import InvalidSettingError, InvalidStrategyError
from strategic_envs.evaluators.collusion import analyse
from strategic_envs.games.pricing import PricingGame, PricingTables, pricing

GAMES = {
    "baseline": {"m": 5},
    "asymmetric": {"m": 4, "cost": (1.0, 0.6), "quality": (2.0, 2.3)},
    "three": {"n": 3, "m": 3},
    "stateless": {"m": 6, "memory": 0},
    "two periods": {"m": 3, "memory": 2},
    "random demand": {"m": 4, "shock": 0.15},
    "no tomorrow": {"m": 4, "delta": 0.0},
    "patient": {"m": 4, "delta": 0.99},
}


def random_play(tables: PricingTables, sessions: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Strategies and last states, all prices and states equally likely."""
    rng = np.random.default_rng(seed)
    strategy = rng.integers(0, tables.m, (sessions, tables.n, tables.n_states)).astype(np.int16)
    return strategy, rng.integers(0, tables.n_states, sessions)


def by_hand(tables: PricingTables, strategy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Successors `(S,)`, values `(n, S)`, one-shot values `(n, S, m)` and best values `(n, S)`, the slow way."""
    n, m, size = tables.n, tables.m, tables.n_states
    profit = tables.mean_profit.reshape(*[m] * n, n)
    states = np.arange(size)
    prices = strategy.T.astype(np.int64)
    after = tables.follow(states, prices)
    value, one_shot, best = np.zeros((n, size)), np.zeros((n, size, m)), np.zeros((n, size))
    matrix = np.eye(size) - tables.delta * np.eye(size)[after]
    for i in range(n):
        value[i] = np.linalg.solve(matrix, profit[tuple(prices.T)][:, i])
        reward, following = np.zeros((size, m)), np.zeros((size, m), np.int64)
        for a in range(m):
            changed = prices.copy()
            changed[:, i] = a
            reward[:, a], following[:, a] = profit[tuple(changed.T)][:, i], tables.follow(states, changed)
        one_shot[i] = reward + tables.delta * value[i][following]
        best[i] = value[i]
        for _ in range(100_000):  # value iteration
            new = (reward + tables.delta * best[i][following]).max(-1)
            close = np.abs(new - best[i]).max() <= 1e-13 * (1 - tables.delta) * np.abs(new).max()
            best[i] = new
            if close:
                break
    return after, value, one_shot, best


@pytest.mark.parametrize("name", GAMES)
def test_every_figure_is_its_slow_definition(name: str) -> None:
    tables = pricing(**GAMES[name]).frozen()
    strategy, state = random_play(tables, 3)
    found = analyse(tables, strategy, state)
    assert found.solved.all()
    for b in range(len(state)):
        after, value, one_shot, best = by_hand(tables, strategy[b])
        s = int(state[b])
        for _ in range(tables.n_states):
            s = int(after[s])
        cycle = [s]
        while after[cycle[-1]] != s:
            cycle.append(int(after[cycle[-1]]))
        assert found.cycle_length[b] == len(cycle)
        joint = strategy[b][:, cycle].T.astype(np.int64)
        place = tables.m ** np.arange(tables.n)[::-1]
        np.testing.assert_allclose(found.profits[b], tables.mean_profit[joint @ place].mean(0), rtol=1e-12)
        np.testing.assert_allclose(found.prices[b], tables.grid[np.arange(tables.n), joint].mean(0), rtol=1e-12)
        np.testing.assert_allclose(found.price_share[b].sum(-1), 1.0)
        assert found.symmetric[b] == (joint == joint[:, :1]).all()

        ends = np.arange(tables.n_states)
        for _ in range(tables.n_states):
            ends = after[ends]
        assert found.strays[b] == (~np.isin(ends, cycle)).sum()

        own = np.take_along_axis(one_shot, strategy[b].astype(np.int64)[..., None], -1)[..., 0]
        loss = (one_shot.max(-1) - own) / np.abs(one_shot.max(-1))
        off = np.setdiff1d(np.arange(tables.n_states), cycle)
        np.testing.assert_allclose(found.loss_on_path[b], loss[:, cycle].mean(-1), atol=1e-11)
        if len(off):
            np.testing.assert_allclose(found.loss_off_path[b], loss[:, off].mean(-1), atol=1e-11)
        np.testing.assert_array_equal(found.one_shot[b], loss[:, cycle].max(-1) < 1e-10)
        assert found.perfect[b] == (loss.max() < 1e-10)

        share = (best - value) / np.abs(best)
        np.testing.assert_allclose(found.exploitability[b], share[:, cycle].mean(-1), atol=1e-9)
        np.testing.assert_allclose(found.exploitability_everywhere[b], share.mean(-1), atol=1e-9)
        np.testing.assert_allclose(found.exploitability_worst[b], share.max(-1), atol=1e-9)


@pytest.mark.parametrize("name", ["baseline", "asymmetric", "three", "stateless", "two periods"])
def test_exact_best_responses_are_those_of_the_markov_game(name: str) -> None:
    game = pricing(**GAMES[name])
    tables = game.frozen()
    strategy, state = random_play(tables, 2, seed=1)
    found = analyse(tables, strategy, state)
    for b in range(2):
        policies = policies_of(game, strategy[b])
        value = game.values(policies).numpy()
        for i in range(tables.n):
            best = game.best_response(policies, i)[1].numpy()
            share = (best - value[:, i]) / np.abs(best)
            assert found.exploitability_everywhere[b, i] == pytest.approx(share.mean(), abs=1e-9)
            assert found.exploitability_worst[b, i] == pytest.approx(share.max(), abs=1e-9)


def policies_of(game: PricingGame, strategy: np.ndarray) -> tuple[torch.Tensor, ...]:
    rows = torch.eye(game.m, dtype=torch.float64)
    return tuple(rows[torch.from_numpy(own.astype(np.int64))] for own in strategy)


def test_best_response_pays_what_it_promises_when_played_out() -> None:
    """Six hundred periods of the best response against the fixed rival earn its value."""
    game = pricing(m=6)
    tables = game.frozen()
    strategy, state = random_play(tables, 1, seed=5)
    found = analyse(tables, strategy, state)
    policies = policies_of(game, strategy[0])
    plan = game.best_response(policies, 0)[0].argmax(-1).numpy()
    value = game.values(policies)[:, 0].numpy()
    s, total = np.arange(tables.n_states), np.zeros(tables.n_states)
    for t in range(600):
        a = np.stack([plan[s], strategy[0, 1, s]], -1).astype(np.int64)
        total += tables.delta**t * tables.mean_profit[a @ [tables.m, 1], 0]
        s = tables.follow(s, a)
    shares = (total - value) / total
    assert found.exploitability_worst[0, 0] == pytest.approx(shares.max(), abs=1e-9)
    assert found.exploitability_everywhere[0, 0] == pytest.approx(shares.mean(), abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), delta=st.floats(0.0, 0.99), m=st.integers(2, 6))
@settings(max_examples=15)
def test_an_exact_best_response_gains_at_least_what_one_shot_does(seed: int, delta: float, m: int) -> None:
    tables = pricing(m=m, delta=delta).frozen()
    found = analyse(tables, *random_play(tables, 4, seed))
    assert (found.loss_on_path >= 0).all()
    assert (found.exploitability >= found.loss_on_path - 1e-9).all()
    assert (found.exploitability_worst >= found.exploitability_everywhere).all()
    assert (found.one_shot | ~found.exact).all()  # a best response passes the one-shot test
    np.testing.assert_array_equal(found.exact, found.exploitability <= 1e-10)
    np.testing.assert_array_equal(found.perfect, found.exploitability_worst.max(-1) <= 1e-9)


def test_threads_and_company_do_not_matter() -> None:
    tables = pricing().frozen()
    strategy, state = random_play(tables, 7)
    one, many = analyse(tables, strategy, state), analyse(tables, strategy, state, threads=3)
    alone = analyse(tables, strategy[4:5], state[4:5])
    for name in ("gain", "exploitability", "loss_off_path", "price_share", "reply_cycle"):
        assert getattr(one, name).tobytes() == getattr(many, name).tobytes()
        assert getattr(one, name)[4:5].tobytes() == getattr(alone, name).tobytes()


def test_bad_play_is_refused_by_name(unchecked: None) -> None:
    tables = pricing(m=3).frozen()
    strategy, state = np.zeros((2, 2, 9), np.int16), np.zeros(2, np.int64)
    with pytest.raises(InvalidStrategyError, match=r"shape \(2, 9\), expected \(2, 2, 9\)"):
        analyse(tables, strategy[0], state)
    strategy[1, 0, 5] = 3
    with pytest.raises(
        InvalidStrategyError, match=r"session 1, player_0: got price index 3 in state 5, expected 0\.\.2"
    ):
        analyse(tables, strategy, state)
    with pytest.raises(InvalidStrategyError, match=r"session 1: got state 9, expected 0\.\.8"):
        analyse(tables, strategy * 0, np.array([0, 9]))
    with pytest.raises(InvalidSettingError, match="threads=0"):
        analyse(tables, strategy * 0, state, threads=0)
