"""The compiled loop is the rule of learning, written out slowly, bit for bit: every variant, on random games."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.baselines.q_learning import (
    AverageRivals,
    Boltzmann,
    Constant,
    Exponential,
    QLearning,
    Sessions,
    UniformCells,
    run_sessions,
)
from strategic_envs.baselines.q_learning.draws import CELLS, FIRM, FIRST, START, STEP, session_key
from strategic_envs.baselines.q_learning.draws_compiled import explorations, hazards
from strategic_envs.games.pricing import PricingTables

MASK = 2**64 - 1
Frozen = dict[int, np.ndarray]


def random_tables(rng: np.random.Generator, n: int, m: int, memory: int, markets: int, absent: bool) -> PricingTables:
    """A game of no meaning; with `absent`, some firm is missing in some market state."""
    present = np.ones((markets, n), bool)
    if absent:
        present[rng.integers(markets), rng.integers(n)] = False
    profit = rng.normal(size=(markets, m**n, n)) * present[:, None, :]
    chain = rng.dirichlet(np.ones(markets), size=markets)
    anchors = np.full((markets, n), 1.0)
    return PricingTables(
        grid=np.tile(np.arange(m) + 1.0, (n, 1)),
        profit=profit,
        chain=chain,
        present=present,
        delta=float(rng.choice([0.0, 0.5, 0.95])),
        memory=memory,
        nash_prices=anchors,
        nash_profits=np.zeros(n),
        monopoly_prices=anchors,
        monopoly_profits=np.ones(n),
    )


def word(key: int, period: int, firm: int) -> int:
    """The word of a period and a firm, in whole numbers."""
    h = (key + period * STEP) & MASK
    h = (h ^ h >> 32) * FIRST & MASK
    w = (h ^ h >> 32) * pow(FIRM, firm + 1) & MASK
    return w ^ w >> 32


def price(w: int, m: int) -> int:
    return (w & 0xFFFFFF) * m >> 24


def uniform(w: int) -> float:
    return (w >> 11) * 2.0**-53


def pick(chances: np.ndarray, u: float) -> int:
    """The first place whose cumulative chance is above a number."""
    return min(int(np.searchsorted(np.cumsum(chances), u, side="right")), len(chances) - 1)


def slowly(
    tables: PricingTables, learner: QLearning, number: int, seed: int, draws: str, dtype: str, frozen: Frozen
) -> tuple[np.ndarray, np.ndarray, int, int, bool]:
    """Tables, greedy prices, state, periods and whether it converged: the definition, one cell at a time."""
    n, m, memory, base, kind = tables.n, tables.m, tables.memory, tables.base, np.dtype(dtype).type
    key, states = session_key(seed, number), range(tables.n_states)
    d = pick(tables.share, uniform(word(key, 0, n)))
    digits = [
        [price(word(key, START + lag, i), m) if tables.present[d, i] else m for lag in range(memory)] for i in range(n)
    ]
    level, fade = learner.schedule.levels(n)
    q = learner.initial.table(tables).astype(dtype)
    if learner.initial.spread:
        for i, s, a in itertools.product(range(n), states, range(m)):
            q[i, s, a] = float(q[i, s, a]) + learner.initial.spread * uniform(word(key, CELLS + s * m + a, i))

    def best(i: int, s: int, w: int) -> int:
        if learner.ties == "lowest":
            return int(q[i, s].argmax())
        tied = np.flatnonzero(q[i, s] >= q[i, s].max() - 2.0**-52)
        return int(tied[price(w, len(tied))])

    def code() -> int:
        return sum(x * base**p for p, x in enumerate(reversed([x for own in digits for x in own])))

    greedy = np.array([[best(i, s, word(key, CELLS + s, n + 1 + i)) for s in states] for i in range(n)])
    for i, strategy in frozen.items():
        greedy[i], level[i], fade[i] = strategy, 0.0, 1.0
    table = hazards(level, fade, learner.cap)
    late = [set(explorations(np.uint64(key), i, table, learner.cap)) if draws == "thinned" else set() for i in range(n)]
    alpha, delta = learner.alphas(n).astype(dtype), kind(tables.delta)
    calm, t = 0, 0
    while calm < learner.window and t < learner.cap:
        s, played = code(), []
        for i in range(n):
            a, w = greedy[i, s], word(key, t, i)
            if isinstance(learner.schedule, Boltzmann):
                if i not in frozen:
                    weights = np.exp((q[i, s] - q[i, s].max()).astype(np.float64) / level[i])
                    a = pick(weights, uniform(w) * weights.sum())
            elif draws == "thinned" and t >= table.start:
                a = price(w, m) if t in late[i] else a
            elif (w >> 24) < level[i] * 2.0**40:
                a = price(w, m)
            level[i] *= fade[i]
            played.append(int(a) if tables.present[d, i] else 0)
        joint = sum(a * m ** (n - 1 - i) for i, a in enumerate(played))
        digits = [([played[i] if tables.present[d, i] else m, *digits[i]])[:memory] for i in range(n)]
        following, before = code(), greedy.copy()
        for i in range(n):
            if i in frozen or not tables.present[d, i]:
                continue
            a, g = played[i], greedy[i, s]
            top, old, ahead = q[i, s, g], q[i, s, a], q[i, following, greedy[i, following]]
            new = old + alpha[i] * (kind(tables.profit[d, joint, i]) + delta * ahead - old)
            q[i, s, a] = new
            if learner.ties == "lowest" or (a == g and new < top):
                greedy[i, s] = best(i, s, word(key, t, n + 1 + i))
            elif a != g and new > top:
                greedy[i, s] = a
        calm = calm + 1 if (greedy == before).all() else 1
        t += 1
        d = pick(tables.chain[d], uniform(word(key, t, n)))
    return q, greedy, code(), t, calm >= learner.window


def assert_equal(ends: Sessions, r: int, slow: tuple) -> None:
    q, greedy, state, periods, converged = slow
    assert ends.q is not None
    learned = (ends.periods[r], ends.converged[r], ends.state[r])
    assert learned == (periods, converged, state)
    assert ends.strategy[r].tolist() == greedy.tolist()
    assert ends.q[r].tobytes() == q.tobytes()


VARIANTS = [  # firms, prices, memory, market states, absent firms, exploration, ties, dtype
    (2, 4, 1, 1, False, "exponential", "lowest", "float64"),
    (2, 4, 1, 1, False, "exponential", "lowest", "float32"),
    (2, 3, 1, 1, False, "exponential", "random", "float64"),
    (2, 4, 1, 1, False, "boltzmann", "lowest", "float64"),
    (2, 3, 0, 1, False, "exponential", "lowest", "float64"),
    (2, 2, 2, 1, False, "exponential", "lowest", "float64"),
    (1, 3, 3, 1, False, "exponential", "lowest", "float64"),
    (2, 3, 1, 3, False, "exponential", "lowest", "float64"),
    (3, 2, 1, 2, True, "exponential", "lowest", "float64"),
    (3, 2, 2, 2, True, "boltzmann", "random", "float32"),
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@given(seed=st.integers(0, 10**6), first=st.sampled_from(["average", "cells", "flat"]), freeze=st.booleans())
@settings(max_examples=5)
def test_loop_is_the_rule_bit_for_bit(variant: tuple, seed: int, first: str, freeze: bool) -> None:
    n, m, memory, markets, absent, exploration, ties, dtype = variant
    rng = np.random.default_rng(seed)
    tables = random_tables(rng, n, m, memory, markets, absent)
    learner = QLearning(
        alpha=tuple(rng.uniform(0.05, 1.0, n)),
        window=int(rng.integers(1, 80)),
        cap=300,
        exploration=Boltzmann(9.0, 0.02) if exploration == "boltzmann" else Exponential(tuple(rng.uniform(0, 0.05, n))),
        initial={"average": AverageRivals(), "cells": UniformCells(-1, 2), "flat": Constant(0.5)}[first],
        ties=ties,
    )
    frozen = {n - 1: rng.integers(m, size=tables.n_states)} if freeze and n > 1 else {}
    ends = run_sessions(tables, learner, [0, 7], seed=seed, dtype=dtype, keep_q=True, frozen=frozen, threads=1)
    for r in range(2):
        assert_equal(ends, r, slowly(tables, learner, int(ends.number[r]), seed, "per_period", dtype, frozen))


@pytest.mark.parametrize("seed", range(4))
def test_thinned_draws_are_the_listed_explorations(seed: int) -> None:
    tables = random_tables(np.random.default_rng(seed), 2, 3, 1, 1, absent=False)
    learner = QLearning(beta=(0.006, 0.004), window=2_500, cap=3_000, alpha=0.3)
    ends = run_sessions(tables, learner, 1, seed=seed, draws="thinned", keep_q=True)
    assert_equal(ends, 0, slowly(tables, learner, 0, seed, "thinned", "float64", {}))
