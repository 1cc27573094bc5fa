"""Figures of policies: those of sessions where play is pure, expectations where it is mixed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.evaluators.collusion import analyse
from strategic_envs.evaluators.collusion.impulse import impulse_response
from strategic_envs.evaluators.collusion.policies import FIGURES, long_run, policy_figures
from strategic_envs.evaluators.figures import figures, mean_figures
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.pricing import pricing
from strategic_envs.play import Independent, TabularPlay
from strategic_envs.results import FIGURE_COLUMNS

GAME = pricing()
SMALL = pricing(m=4, delta=0.8)


def _pure(strategy: np.ndarray, m: int) -> TabularPlay:
    return TabularPlay(tuple(torch.eye(m, dtype=torch.float64)[torch.from_numpy(row).long()] for row in strategy))


def _mixed(seed: int) -> tuple[torch.Tensor, ...]:
    stream = torch.Generator().manual_seed(seed)
    return tuple((torch.randn(16, 4, generator=stream).double() * 2).softmax(-1) for _ in range(2))


def test_of_pure_play_they_are_the_figures_of_a_session() -> None:
    draws = np.random.default_rng(0)
    strategy = draws.integers(15, size=(12, 2, 225)).astype(np.int16)
    state = draws.integers(225, size=12)
    tables = GAME.frozen()
    sessions = analyse(tables, strategy, state)
    response = impulse_response(tables, strategy, state, deviation="static_br")
    for b in range(12):
        ours = policy_figures(GAME, _pure(strategy[b], 15), int(state[b]))
        assert ours.profit_gain == pytest.approx(float(sessions.gain[b]), abs=1e-12)
        assert ours.price == pytest.approx(float(sessions.prices[b].mean()), abs=1e-12)
        assert ours.best_reply_loss == pytest.approx(float(sessions.exploitability[b].mean()), abs=1e-10)
        assert ours.rival_response == pytest.approx(float(response.rival_change[b]), abs=1e-12)
        assert ours.deviation_gain == pytest.approx(float(response.gain[b]), abs=1e-10)
        assert ours.deviation_unprofitable == pytest.approx(float(response.unprofitable[b]), abs=1e-12)
        assert ours.path[:, 0] == pytest.approx(response.deviator[b, :16], abs=1e-12)
        assert ours.path[:, 1] == pytest.approx(response.rival[b, :16], abs=1e-12)


def test_of_mixed_play_they_are_means_over_what_is_drawn() -> None:
    policies, draws = _mixed(1), np.random.default_rng(1)
    tables, cumulative = SMALL.frozen(), [p.numpy().cumsum(-1) for p in policies]
    profit, state, total = tables.profit[0], draws.integers(16, size=4000), np.zeros(2)
    after = []
    for period in range(60):
        action = np.stack([(draws.random((4000, 1)) > c[state]).sum(-1) for c in cumulative], axis=-1)
        if period == 40:  # firm 0 deviates once
            against = np.einsum("sb,ab->sa", policies[1].numpy()[state], profit[:, 0].reshape(4, 4))
            action[:, 0] = against.argmax(-1)
        if period >= 40:
            after.append(tables.grid[[0, 1], action].mean(0))
        if 20 <= period < 40:
            total += profit[action[:, 0] * 4 + action[:, 1]].mean(0) / 20
        state = tables.follow(state, action)
    ours = policy_figures(SMALL, policies, periods=12)
    assert ours.profit_gain == pytest.approx(float(tables.profit_gain(total)), abs=0.02)
    assert ours.path.shape == (13, 2)
    slow = _slow_path(policies, 0)
    assert after[0] == pytest.approx(slow[1], abs=0.01)
    assert after[1] == pytest.approx(slow[2], abs=0.01)


def _slow_path(policies: tuple[torch.Tensor, ...], deviator: int) -> np.ndarray:
    """Expected prices of deviator and rival in three periods, by summing over everything that may happen."""
    tables = SMALL.frozen()
    p, q = (t.numpy() for t in policies)
    follow = np.array([[tables.follow(np.array(0), np.array([a, b])) for b in range(4)] for a in range(4)])
    chain = np.zeros((16, 16))
    for s in range(16):
        for a in range(4):
            for b in range(4):
                chain[s, follow[a, b]] += p[s, a] * q[s, b]
    share = np.linalg.matrix_power(chain, 500)[0]
    prices = np.stack([p @ tables.grid[0], q @ tables.grid[1]], axis=-1)
    pay = tables.profit[0].reshape(4, 4, 2)
    rows = [share @ prices, np.zeros(2), np.zeros(2)]
    for s in range(16):
        worth = pay[..., 0] @ q[s] if deviator == 0 else p[s] @ pay[..., 1]
        best, rival = int(worth.argmax()), (q if deviator == 0 else p)[s]
        for b in range(4):
            played = (best, b) if deviator == 0 else (b, best)
            rows[1] += share[s] * rival[b] * tables.grid[[0, 1], list(played)]
            rows[2] += share[s] * rival[b] * prices[follow[played]]
    return np.stack(rows)[:, [deviator, 1 - deviator]]


def test_the_path_is_the_slow_definition() -> None:
    policies = _mixed(2)
    ours = policy_figures(SMALL, policies, periods=2).path
    both = 0.5 * (_slow_path(policies, 0) + _slow_path(policies, 1))
    assert ours == pytest.approx(both, abs=1e-10)


def test_random_prices_have_the_known_profit_gain_and_no_answer() -> None:
    ours = policy_figures(GAME, GAME.uniform_policy())
    assert ours.profit_gain == pytest.approx(0.4974, abs=5e-5)
    assert ours.rival_response == pytest.approx(0.0, abs=1e-12)
    assert ours.settled


def test_where_play_begins_matters_where_there_are_several_ends() -> None:
    stubborn = _pure(np.stack([np.arange(16) // 4, np.arange(16) % 4]), 4)  # what was charged is charged again
    gains = [policy_figures(SMALL, stubborn, start).profit_gain for start in (0, 15)]
    tables = SMALL.frozen()
    assert gains == pytest.approx(tables.profit_gain(tables.profit[0][[0, 15]]).tolist())
    anywhere = policy_figures(SMALL, stubborn).profit_gain
    assert anywhere == pytest.approx(float(tables.profit_gain(tables.profit[0].mean(0))))


@pytest.mark.parametrize("seed", range(3))
def test_long_run_shares_are_the_mean_of_all_periods(seed: int) -> None:
    draws = np.random.default_rng(seed)
    chain = np.zeros((12, 12))
    for s in range(12):  # sparse: several classes, some of them with periods
        targets = draws.choice(12, size=draws.integers(1, 3), replace=False)
        chain[s, targets] = draws.dirichlet(np.ones(len(targets)))
    start = draws.dirichlet(np.ones(12))
    share, settled = long_run(csr_array(chain), start)
    total, where = np.zeros(12), start
    for period in range(21_000):
        total, where = total + where * (period >= 1000) / 20_000, where @ chain
    assert settled and share == pytest.approx(total, abs=1e-3)
    assert share @ chain == pytest.approx(share, abs=1e-10)


def test_a_chain_without_chance_is_followed_to_its_cycles() -> None:
    following = np.array([1, 2, 0, 2, 4, 4])  # a cycle of three, a tail, a point and its tail
    chain = csr_array((np.ones(6), (np.arange(6), following)), shape=(6, 6))
    share, settled = long_run(chain, np.array([0.0, 0, 0, 0.5, 0, 0.5]))
    assert settled and share == pytest.approx([1 / 6, 1 / 6, 1 / 6, 0, 0.5, 0])


def test_a_large_chain_is_averaged_too() -> None:
    count = 2000
    columns = np.random.default_rng(0).integers(count, size=4 * count)
    chain = csr_array((np.full(4 * count, 0.25), (np.repeat(np.arange(count), 4), columns)), shape=(count, count))
    chain.sum_duplicates()
    share, settled = long_run(chain, np.full(count, 1 / count))
    assert settled and chain.T @ share == pytest.approx(share, abs=1e-9)


def test_a_large_chain_that_mixes_slowly_is_flagged() -> None:
    count = 2000
    ahead = (np.arange(count) + 1) % count
    columns = np.stack([np.arange(count), ahead], 1).ravel()
    ring = csr_array((np.full(2 * count, 0.5), (np.repeat(np.arange(count), 2), columns)), shape=(count, count))
    share, settled = long_run(ring, np.eye(count)[0])
    assert not settled and share.sum() == pytest.approx(1.0)


def test_who_earns_nothing_loses_nothing_or_everything() -> None:
    game = pricing(memory=0, m=3, bounds=(1.0, 1.5))  # the lowest price is the cost
    nothing = policy_figures(game, game.constant_policies([0, 0]))
    assert nothing.best_reply_loss == pytest.approx(1.0)
    assert nothing.deviation_gain == np.inf and nothing.deviation_unprofitable == 0.0


def test_a_state_that_is_none_is_named() -> None:
    with pytest.raises(InvalidStrategyError, match=r"got start=225, expected a state 0\.\.224"):
        policy_figures(GAME, GAME.uniform_policy(), 225)
    with pytest.raises(InvalidStrategyError, match="player_1: got shape"):
        policy_figures(GAME, (GAME.uniform_policy()[0], torch.ones(1, 15)))


def test_only_pricing_games_have_figures() -> None:
    pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
    assert figures(pennies, Independent.pure([s.centre() for s in pennies.sets])) == {}
    assert tuple(figures(SMALL, TabularPlay(_mixed(0)))) == FIGURES == FIGURE_COLUMNS[: len(FIGURES)]
    assert mean_figures([]) == {}
