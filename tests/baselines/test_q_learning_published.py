"""Published profit gains of variants (AER 2020, online appendix), each with some sessions of our own."""

from __future__ import annotations

import numpy as np
import pytest

from strategic_envs.baselines.q_learning import (
    Boltzmann,
    Constant,
    FixedRivals,
    GrimTrigger,
    NoExploration,
    QLearning,
    UniformCells,
    run_sessions,
)
from strategic_envs.evaluators.collusion import analyse
from strategic_envs.games.pricing import pricing

VARIANTS = [  # name, game, learner, sessions, published Delta of 1,000 sessions
    ("wide grid, rivals at the third price", {"xi": 0.5}, QLearning(initial=FixedRivals(2)), 60, 0.761),
    ("perfect substitutes", {"mu": 0.0}, QLearning(), 60, 0.774),
    ("a cheaper rival", {"cost": (1.0, 0.5)}, QLearning(), 60, 0.759),
    ("linear demand", {"demand": "linear", "g": 0.7}, QLearning(), 60, 0.651),
    ("less patience", {"delta": 0.7}, QLearning(), 60, 0.363),
    ("random demand", {"shock": 0.25}, QLearning(), 20, 0.695),
    ("rivals at Nash", {}, QLearning(initial=FixedRivals(1)), 60, 0.731),
    ("grim trigger", {}, QLearning(initial=GrimTrigger(13, 1)), 60, 0.724),
    ("random cells", {}, QLearning(initial=UniformCells(0, 10)), 60, 0.877),
    ("optimism", {}, QLearning(initial=Constant(10), ties="random", exploration=NoExploration()), 20, 0.978),
    ("Boltzmann", {}, QLearning(alpha=0.05, exploration=Boltzmann()), 10, 0.856),
    ("a slower learner", {}, QLearning(alpha=(0.05, 0.15)), 60, 0.821),
    ("a longer explorer", {}, QLearning(beta=(2e-6, 4e-6)), 30, 0.771),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "game", "learner", "sessions", "published"), VARIANTS, ids=[v[0] for v in VARIANTS])
def test_variants_have_their_published_profit_gain(
    name: str, game: dict, learner: QLearning, sessions: int, published: float
) -> None:
    tables = pricing(**game).frozen()
    ends = run_sessions(tables, learner, sessions)
    assert ends.converged.all()
    gain = analyse(tables, ends.strategy, ends.state).gain
    error = float(np.hypot(gain.std() / sessions**0.5, gain.std() / 1000**0.5))
    assert gain.mean() == pytest.approx(published, abs=3.5 * error), name
