"""Markets that firms enter and leave: long-run shares and exact best responses beside the Markov game."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators.collusion import analyse, impulse_response
from strategic_envs.evaluators.collusion.comings import long_run, market_chances
from strategic_envs.games.pricing import pricing


@pytest.mark.parametrize(("n", "m", "memory", "rho"), [(3, 3, 1, 0.1), (2, 4, 1, 0.01), (2, 2, 2, 0.3)])
def test_figures_are_those_of_the_markov_game(n: int, m: int, memory: int, rho: float) -> None:
    game = pricing(n=n, m=m, memory=memory, rho=rho)
    tables = game.frozen()
    chance, possible, exact = market_chances(tables)
    assert exact
    every = torch.arange(tables.n_states)
    np.testing.assert_allclose(chance[possible], game.market_chances(every).numpy()[possible])
    rng = np.random.default_rng(0)
    strategy = rng.integers(0, m, (2, n, tables.n_states)).astype(np.int16)
    found = analyse(tables, strategy, np.full(2, np.flatnonzero(possible)[-1]))
    assert found.solved.all() and found.states == possible.sum() and (found.cycle_length == 0).all()
    for b in range(2):
        policies = tuple(
            torch.nn.functional.one_hot(torch.from_numpy(own.astype(np.int64)), m).double() for own in strategy[b]
        )
        value = game.values(policies).numpy()
        flow = np.zeros((tables.n_states, tables.n_states))
        outcome = game.outcomes(every, torch.from_numpy(strategy[b].T.astype(np.int64)))
        np.add.at(flow, (np.arange(tables.n_states)[:, None], outcome.next_state.numpy()), outcome.probability.numpy())
        share = np.linalg.matrix_power(0.5 * (flow + np.eye(len(flow))), 2**20)[np.flatnonzero(possible)[-1]]
        np.testing.assert_allclose(found.profits[b], share @ outcome.payoff.numpy(), atol=1e-9)
        for i in range(n):
            best = game.best_response(policies, i)[1].numpy()
            lost = (best - value[:, i]) / np.abs(best)
            assert found.exploitability[b, i] == pytest.approx(share @ lost, abs=1e-8)
            assert found.exploitability_everywhere[b, i] == pytest.approx(lost[possible].mean(), abs=1e-9)
            assert found.exploitability_worst[b, i] == pytest.approx(lost[possible].max(), abs=1e-9)
    assert (found.exploitability >= found.loss_on_path - 1e-9).all()


def test_long_run_shares_count_where_play_may_end() -> None:
    """From state 0 the chain ends in {1} or in {2, 3}, with chances 1/4 and 3/4; {4} cannot be reached."""
    flow = np.zeros((6, 6))
    flow[0, [0, 1, 2]] = 0.2, 0.2, 0.6
    flow[1, 1] = flow[2, 3] = flow[3, 2] = flow[4, 4] = 1.0
    flow[5, [0, 4]] = 0.5
    shares, elsewhere, classes = long_run(csr_array(flow), 0)
    np.testing.assert_allclose(shares, [0, 0.25, 0.375, 0.375, 0, 0], atol=1e-15)
    assert classes == 3 and elsewhere.tolist() == [False, False, False, False, True, True]


def test_static_nash_of_three_or_two_firms_is_nearly_unexploitable_and_never_punishes() -> None:
    game = pricing(n=3, m=5, rho=0.001)
    tables = game.frozen()
    strategy = np.full((1, 3, tables.n_states), 1, dtype=np.int16)
    response = impulse_response(tables, strategy, np.array([0]), periods=3)
    assert not response.is_exact and response.rival_change[0] == 0.0 and response.returned[0] == 1.0
    assert response.cases.tolist() == [5]  # three firms in one market, two in the other
    found = analyse(tables, strategy, np.array([0]))
    assert found.price_share[0, :, 1].tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(found.prices[0], tables.grid[:, 1])
    mean = tables.mean_profit[[31]]
    np.testing.assert_allclose(found.profits[0], mean[0])


def test_a_firm_that_stays_alone_has_nobody_to_answer() -> None:
    tables = pricing(n=2, m=3, rho=0.1).frozen()
    strategy = np.zeros((1, 2, tables.n_states), np.int16)
    assert impulse_response(tables, strategy, np.array([0])).cases.tolist() == [2]  # only while both are there

    with pytest.raises(InvalidGameError, match="no market with two firms"):
        apart = dataclasses.replace(tables, present=np.array([[True, False], [True, False]]))
        impulse_response(apart, strategy, np.array([0]))
