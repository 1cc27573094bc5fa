"""The random words of sessions: one definition everywhere, and the statistics of fair numbers."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
from scipy import stats

from strategic_envs.baselines.q_learning import draws, draws_compiled
from strategic_envs.seeding import child_seed

MOD = 1 << 64
PERIODS = 200_000


def defined(seed: int, session: int, period: int, firm: int) -> int:
    """The docstring's definition, in integers without end."""
    key = child_seed(seed, "pricing sessions") + (session + 1) * 0x9E3779B97F4A7C15
    key %= MOD
    for _ in range(3):
        key = (key ^ key >> 32) * 0xD6E8FEB86659FD93 % MOD
    key ^= key >> 32
    h = (key + period * 0x9E3779B97F4A7C15) % MOD
    h = (h ^ h >> 32) * 0xD6E8FEB86659FD93 % MOD
    h ^= h >> 32
    w = h * 0xD1342543DE82EF95 ** (firm + 1) % MOD
    return w ^ w >> 32


@numba.njit
def compiled_words(key, period, firms):
    found = np.empty(firms, np.uint64)
    for i in range(firms):
        found[i] = draws_compiled.word(key, np.uint64(period), i)
    return found


@pytest.mark.parametrize("period", [0, 1, 10**6, draws.GAPS, draws.CELLS, draws.START])
def test_all_forms_give_the_defined_words(period: int) -> None:
    keys = draws.session_keys(5, [0, 1, 999])
    patterns = torch.from_numpy(keys.view(np.int64))
    wanted = np.array([[defined(5, r, period, i) for i in range(5)] for r in (0, 1, 999)], np.uint64)
    assert np.array_equal(draws.words(keys, period, 5), wanted)
    as_tensor = draws.word_tensor(patterns, period, 5)
    assert np.array_equal(as_tensor.numpy().view(np.uint64), wanted)
    assert draws.word_tensor(patterns, torch.tensor([period] * 3), 5).equal(as_tensor)
    assert np.array_equal(np.stack([compiled_words(key, period, 5) for key in keys]), wanted)


def test_keys_of_one_and_of_many_sessions_agree() -> None:
    assert draws.session_keys(3, range(4)).tolist() == [draws.session_key(3, r) for r in range(4)]
    many = np.concatenate([draws.session_keys(seed, range(1000)) for seed in range(20)])
    assert len(np.unique(many)) == len(many)
    with pytest.raises(ValueError, match="non-negative"):
        draws.session_key(-1, 0)


def evenly(values: np.ndarray, cells: int) -> float:
    """The p-value that values below `cells` are equally frequent."""
    return float(stats.chisquare(np.bincount(values.ravel().astype(np.int64), minlength=cells)).pvalue)


def upper(words: np.ndarray, bits: int) -> np.ndarray:
    return (words >> np.uint64(64 - bits)).astype(np.int64)


def share_of_ones(words: np.ndarray) -> np.ndarray:
    return np.array([((words >> np.uint64(b)) & np.uint64(1)).mean(axis=0) for b in range(64)])


@pytest.mark.parametrize("first", [0, 10**6, draws.GAPS])
def test_bits_prices_and_pairs_are_fair(first: int) -> None:
    w = draws.words(draws.session_keys(11, [7]), np.arange(first, first + PERIODS), 3)
    assert np.abs(share_of_ones(w) - 0.5).max() < 5.0 * 0.5 / PERIODS**0.5
    a, u = draws.price_of(w, 15), upper(w, 6)
    pairs = {
        "prices of two firms": (a[:, 0] * 15 + a[:, 1], 225),
        "prices of three firms": ((a[:, 0] * 15 + a[:, 1]) * 15 + a[:, 2], 3375),
        "tests of two firms": (u[:, 0] * 64 + u[:, 1], 4096),
        "a firm's test and its price": (u[:, 0] * 15 + a[:, 0], 960),
        "a firm's test and its rival's price": (u[:, 0] * 15 + a[:, 1], 960),
        "a firm's prices in turn": (a[1:, 0] * 15 + a[:-1, 0], 225),
        "a firm's tests in turn": (u[1:, 0] * 64 + u[:-1, 0], 4096),
        "a firm's price and its rival's before": (a[1:, 0] * 15 + a[:-1, 1], 225),
    }
    assert {name: evenly(*pair) for name, pair in pairs.items() if evenly(*pair) < 1e-4} == {}
    rare = (u[:, 0] < 8) & (u[:, 1] < 8)  # both explore when chances are small
    assert evenly(a[rare, 0] * 15 + a[rare, 1], 225) > 1e-4


@pytest.mark.parametrize("vary", ["sessions", "seeds"])
def test_neighbouring_sessions_and_seeds_have_nothing_in_common(vary: str) -> None:
    if vary == "sessions":
        keys = draws.session_keys(0, range(100_000))
    else:
        keys = np.array([draws.session_key(seed, 0) for seed in range(20_000)], np.uint64)
    w = draws.words(keys, 12345, 2)
    a, u = draws.price_of(w, 15), upper(w, 5)
    assert evenly(a[1:, 0] * 15 + a[:-1, 0], 225) > 1e-4
    assert evenly(u[1:, 0] * 32 + u[:-1, 0], 1024) > 1e-4
    assert evenly(u[1:, 0] * 32 + u[:-1, 1], 1024) > 1e-4


def test_a_bit_of_the_period_changes_half_of_the_word() -> None:
    keys, periods = draws.session_keys(1, range(10_000)), np.arange(10_000) * 37
    words = draws.words(keys, periods, 2)
    for bit in range(0, 40, 3):
        other = words ^ draws.words(keys, periods ^ (1 << bit), 2)
        assert np.abs(share_of_ones(other) - 0.5).max() < 6.0 * 0.5 / 10_000**0.5


def test_explorations_come_as_often_as_they_should() -> None:
    w = draws.words(draws.session_keys(2, [0]), np.arange(PERIODS), 1)[:, 0]
    tests = (w >> np.uint64(24)).astype(np.float64)
    for eps in (0.5, 0.01):
        share = (tests < draws.exploration_threshold(eps)).mean()
        assert abs(share - eps) < 5.0 * (eps * (1 - eps) / PERIODS) ** 0.5
    assert (tests < draws.exploration_threshold(1.0)).all()
    assert not (tests < draws.exploration_threshold(0.0)).any()


def test_thinned_explorations_have_the_distribution_of_independent_tests() -> None:
    beta = np.array([1e-4, 8e-5])
    table = draws_compiled.hazards(np.ones(2), np.exp(-beta), 10**9)
    random = np.random.default_rng(0)
    for firm in (0, 1):
        hazard = -np.log1p(-np.exp(-beta[firm] * np.arange(1, 1_500_000)))
        hazard, total = np.append(np.inf, hazard), np.append([0.0, 0.0], np.cumsum(hazard))  # up to before a period
        passed, counts = [], []
        for key in draws.session_keys(0, range(200)):
            found = draws_compiled.explorations(key, firm, table, 1_400_000)
            before = np.concatenate([[table.start], found[:-1] + 1])
            assert (found >= before).all()
            own = -np.log1p(random.uniform(size=len(found)) * np.expm1(-hazard[found]))  # its part of its own hazard
            far = total[-1] - total[before] > 12.0  # where the next exploration is sure to come
            passed.append((total[found] - total[before] + own)[far])
            counts.append(len(found))
        assert stats.kstest(np.concatenate(passed), "expon").pvalue > 1e-3
        expected = np.exp(-beta[firm] * table.start) / beta[firm]
        assert abs(np.mean(counts) - expected) < 4.0 * (expected / len(counts)) ** 0.5


def test_thinned_explorations_are_a_function_of_their_keys() -> None:
    table = draws_compiled.hazards([1.0, 1.0], np.exp([-1e-4, -1e-4]), 10**6)
    key = draws.session_keys(0, [4])[0]
    found = draws_compiled.explorations(key, 1, table, 10**6)
    assert np.array_equal(found, draws_compiled.explorations(key, 1, table, 10**6))
    assert [draws_compiled.next_exploration(key, 1, t, table) for t in found[:-1]] == found[1:].tolist()
    assert np.array_equal(draws_compiled.explorations(key, 1, table, found[1]), found[:1])


def test_firms_that_never_explore_and_such_that_always_do() -> None:
    never = draws_compiled.hazards(np.zeros(2), np.ones(2), 10**5)
    key = draws.session_keys(0, [0])[0]
    assert never.start == 0 and draws_compiled.next_exploration(key, 0, -1, never) == draws_compiled.NEVER
    assert draws_compiled.hazards(np.ones(2), np.ones(2), 10**5).start == draws_compiled.NEVER
    small = draws_compiled.hazards(np.full(2, 0.01), np.ones(2), 10**5)
    count = len(draws_compiled.explorations(key, 0, small, 10**5))
    assert small.start == 0 and abs(count - 1000) < 130
