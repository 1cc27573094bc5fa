"""Limit cycles of sequential pricing and exact best responses, against slow definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.evaluators.alternating import analyse_sequential, best_values, price_path
from strategic_envs.games.pricing.sequential import SequentialPricing
from strategic_envs.seeding import numpy_stream

GAME = SequentialPricing(k=5, delta=0.9)
B, M = 60, 6


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    stream = numpy_stream(seed, "strategies")
    strategy = stream.integers(M, size=(B, 2, M))
    strategy[::3, :, 1:] = np.arange(M - 1)  # these cut by one step, and jump somewhere from 0
    return strategy, stream.integers(2 * M, size=B)


def slow_cycle(strategy: np.ndarray, state: int) -> list[tuple[int, int, int]]:
    """The moves `(firm, standing price, new price)` of the limit cycle, by looking for a state again."""
    seen, moves = [], []
    while state not in seen:
        seen.append(state)
        mover, standing = divmod(state, M)
        new = int(strategy[mover, standing])
        moves.append((mover, standing, new))
        state = (1 - mover) * M + new
    return moves[seen.index(state) :]


def test_cycles_profits_and_prices_are_those_of_slow_play() -> None:
    strategy, state = drawn()
    found = analyse_sequential(GAME, strategy, state)
    pi = GAME.profit.numpy()
    for b in range(B):
        cycle = slow_cycle(strategy[b], int(state[b]))
        assert found.length[b] == len(cycle)
        earned = np.zeros(2)
        for mover, standing, new in cycle:
            earned[mover] += pi[new, standing]
            earned[1 - mover] += pi[standing, new]
        assert found.profit[b] == pytest.approx(earned / len(cycle), abs=1e-14)
        assert found.price[b] == pytest.approx(np.mean([new for *_, new in cycle]) / 5, abs=1e-14)
        assert found.constant[b] == (len({new for *_, new in cycle}) == 1)
        steps = [np.sign(new - standing) for _, standing, new in cycle]
        lone = any(
            steps[t] > 0 and min(-steps[t - n + 1], -steps[t - n + 2]) <= 0 for n in [len(steps)] for t in range(n)
        )
        assert found.edgeworth[b] == (0 not in steps and 1 in steps and not lone)
    assert len(set(found.length.tolist())) >= 3 and found.constant.any() and found.edgeworth.any()


def test_values_and_optimality_are_those_of_exact_dynamic_programming() -> None:
    strategy, state = drawn(1)
    found = analyse_sequential(GAME, strategy, state)
    for b in range(12):
        policies = GAME.policies(*torch.from_numpy(strategy[b]))
        values = GAME.values(policies)
        cycle = slow_cycle(strategy[b], int(state[b]))
        for i in range(2):
            best = GAME.best_response(policies, i)[1]
            own = slice(i * M, (i + 1) * M)
            quick = best_values(GAME, strategy[b : b + 1, 1 - i])[0]
            assert quick == pytest.approx(best[own].numpy(), abs=1e-10)
            reached = [standing for mover, standing, _ in cycle if mover == i]
            share = [
                float(values[own, i][s] / best[own][s]) if best[own][s] > 1e-12 else 1.0
                for s in reached
            ]  # fmt: skip
            assert found.optimality[b, i] == pytest.approx(np.mean(share), abs=1e-10)
            gains = best[own] - values[own, i]
            assert found.best_on_path[b, i] == (max(float(gains[s]) for s in reached) < 1e-9)
            assert found.best_everywhere[b, i] == (float(gains.max()) < 1e-9)


def test_an_edgeworth_cycle_is_seen_and_whether_one_firm_leads_it() -> None:
    cut = np.array([5, 0, 1, 2, 3, 4])  # jump from 0 to the top, else cut by one step: six moves, so one firm jumps
    found = analyse_sequential(GAME, np.stack([cut, cut])[None], np.array([0]))
    assert (found.length[0], found.edgeworth[0], found.asymmetric[0], found.constant[0]) == (6, True, True, False)
    game = SequentialPricing(k=4)
    cut = np.array([4, 0, 1, 2, 3])  # five moves a round: the firms take turns to jump
    found = analyse_sequential(game, np.stack([cut, cut])[None], np.array([0]))
    assert (found.length[0], found.edgeworth[0], found.asymmetric[0]) == (10, True, False)


def test_prices_that_go_up_and_down_are_no_edgeworth_cycle() -> None:
    swing = np.array([3, 3, 3, 1, 1, 1])
    found = analyse_sequential(GAME, np.stack([swing, swing])[None], np.array([0]))
    assert not found.edgeworth[0] and not found.constant[0]


def test_a_path_begins_with_the_state() -> None:
    strategy, state = drawn()
    path = price_path(GAME, strategy, state, 5)
    mover, standing = divmod(int(state[7]), M)
    assert path[7, 0] == strategy[7, mover, standing] and path[7, 1] == strategy[7, 1 - mover, path[7, 0]]


def test_strategies_of_another_game_are_refused() -> None:
    strategy, state = drawn()
    with pytest.raises(InvalidStrategyError, match=r"expected \(60, 2, 6\)"):
        analyse_sequential(GAME, strategy[:, :, :5], state)
    with pytest.raises(InvalidStrategyError, match=r"got price indices .*expected 0..5"):
        analyse_sequential(GAME, strategy + 3, state)
    with pytest.raises(InvalidStrategyError, match=r"got states .*expected 0..11"):
        analyse_sequential(GAME, strategy, state + 6)
