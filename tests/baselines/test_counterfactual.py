"""Learners that know counterfactual profits: the loop against plain Python, where they rest, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from strategic_envs.baselines.q_learning.counterfactual import (
    UPDATES,
    CounterfactualLearning,
    learn_counterfactual,
)
from strategic_envs.baselines.q_learning.draws import CELLS, session_keys, uniform_of, words
from strategic_envs.errors import InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.games.pricing import pricing
from strategic_envs.games.pricing.bertrand import bertrand, counterfactual_profits
from strategic_envs.games.pricing.game import PricingGame


def slow_values(game: PricingGame, learner: CounterfactualLearning, number: int, periods: int) -> Any:
    """The rules one price after the other; quantities from the market's own demand."""
    n, m, alpha = game.n_players, game.m, learner.alpha
    key, grid = session_keys(0, [number]), game.grid.numpy()
    first = np.stack([uniform_of(words(key, CELLS + p, n)[0]) for p in range(m)], 1)
    value = (learner.low + (learner.high - learner.low) * first).tolist()
    path = []
    for _ in range(periods):
        played = [row.index(max(row)) for row in value]
        path.append(played)
        would = counterfactual_profits(game, np.array(played))
        prices = game.prices(torch.tensor(played))
        sold = game.market.quantities(prices).tolist()
        for i in range(n):
            best, cost, charged = value[i][played[i]], game.market.costs[i], played[i]
            for p in range(m):
                old = value[i][p]
                margin = grid[i, p] - cost if abs(grid[i, p] - cost) > 1e-12 else 0.0
                ahead = game.discount * best if game.discount > 0 else 0.0
                bound = margin * sold[i] + ahead
                target = float(would[i, p]) + ahead
                if p != charged and learner.update == "asynchronous":
                    continue
                if p != charged and learner.update == "downward":
                    at_least = (p < charged and margin > 0) or (p > charged and margin < 0)
                    if margin != 0 and (old >= bound if at_least else old <= bound):
                        continue
                    target = bound
                value[i][p] = (1 - alpha) * old + alpha * target
    return np.array(value), np.array(path)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("options", [{"m": 12}, {"m": 6, "n": 3, "delta": 0.5}])
def test_the_loop_is_the_rule(update: str, options: dict) -> None:
    game, learner = bertrand(**options), CounterfactualLearning(update, cap=150, window=150)
    found = learn_counterfactual(game, learner, [4, 1], recorded=150)
    assert found.path is not None
    for row, number in enumerate((4, 1)):
        values, path = slow_values(game, learner, number, 150)
        assert found.periods[row] == 150
        assert found.path[row].tolist() == path.tolist()
        assert found.values[row] == pytest.approx(values, abs=1e-12)
        assert found.last[row].tolist() == path[-1].tolist()
        mean = np.mean([[float(game.grid[i, a]) for i, a in enumerate(step)] for step in path], axis=0)
        assert found.mean_price[row] == pytest.approx(mean, abs=1e-12)


@pytest.mark.parametrize("update", UPDATES)
def test_counterfactual_targets_bound_what_would_have_been_earned(update: str) -> None:
    """The bounds of the downward rule hold in this market: lower prices sell no less, higher ones no more."""
    game = bertrand(m=20)
    margin, grid = game.grid.numpy()[0] - 2.0, np.arange(20)
    for a, b in [(5, 5), (12, 8), (8, 12), (2, 6), (19, 19)]:
        would = counterfactual_profits(game, np.array([a, b]))[0]
        sold = 1.0 if a < b else 0.5 if a == b else 0.0
        bound = margin * sold
        below = (grid - a) * margin < -1e-9
        above = (grid - a) * margin > 1e-9
        assert (would[below] >= bound[below] - 1e-12).all() and (would[above] <= bound[above] + 1e-12).all()


def test_where_the_three_rules_rest() -> None:
    ends = {update: learn_counterfactual(bertrand(), CounterfactualLearning(update), 100) for update in UPDATES}
    for run in ends.values():
        assert run.at_rest.all() and (run.last[:, 0] == run.last[:, 1]).all()
    asynchronous = ends["asynchronous"].mean_price.mean(1)
    assert asynchronous.mean() == pytest.approx(8.21, abs=0.5) and asynchronous.min() > 3.5
    assert asynchronous.std() == pytest.approx(1.19, abs=0.35)
    assert (abs(ends["synchronous"].mean_price - 2.1) < 1e-9).all(1).mean() >= 0.98
    assert 2.09 < ends["downward"].mean_price.mean() < 2.4
    assert ends["synchronous"].mean_profit.mean() == pytest.approx(0.05, abs=1e-3)


def test_synchronous_firms_stand_at_a_tie_before_rounding_decides() -> None:
    """At 2.2 undercutting earns the same: a shorter window sees them at rest there."""
    soon = learn_counterfactual(bertrand(), CounterfactualLearning("synchronous", window=300), 50)
    assert (abs(soon.mean_price - 2.2) < 1e-9).mean() > 0.9


def test_a_session_depends_on_its_number_and_the_seed_only() -> None:
    many = learn_counterfactual(bertrand(m=20), sessions=20, threads=2, recorded=50)
    few = learn_counterfactual(bertrand(m=20), sessions=[11], threads=1, recorded=50)
    other = learn_counterfactual(bertrand(m=20), sessions=[11], seed=5)
    assert many.path is not None and few.path is not None and other.path is None
    assert few.values.tobytes() == many.values[11:12].tobytes() != other.values.tobytes()
    assert few.path.tobytes() == many.path[11:12].tobytes()


def test_a_session_that_does_not_rest_is_flagged() -> None:
    run = learn_counterfactual(bertrand(), CounterfactualLearning(cap=500), 4)
    assert not run.at_rest.any() and run.periods.tolist() == [500] * 4


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"update": "asynchron"}, UnknownNameError, "unknown update 'asynchron': did you mean 'asynchronous'"),
        ({"alpha": 0}, InvalidSettingError, r"got alpha=0, expected a rate in \(0, 1\]"),
        ({"low": 3.0, "high": 2.0}, InvalidSettingError, "from low=3.0 to high=2.0"),
        ({"high": float("inf")}, InvalidSettingError, "expected finite numbers"),
        ({"window": 0}, InvalidSettingError, "got window=0, expected a positive number"),
        ({"cap": 1.5}, InvalidSettingError, "got cap=1.5"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_learners_that_make_no_sense_are_refused(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CounterfactualLearning(**settings)


@pytest.mark.usefixtures("unchecked")
def test_games_and_runs_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidGameError, match="expected a game with memory=0"):
        learn_counterfactual(pricing())
    with pytest.raises(InvalidGameError, match="one state of demand"):
        learn_counterfactual(pricing(memory=0, shock=0.1))
    with pytest.raises(InvalidGameError, match="got a str, expected a PricingGame"):
        learn_counterfactual("bertrand")  # type: ignore[arg-type]
    with pytest.raises(InvalidSettingError, match="got recorded=-1"):
        learn_counterfactual(bertrand(), recorded=-1)
    with pytest.raises(InvalidGameError, match="got m=1"):
        bertrand(m=1)
    with pytest.raises(InvalidGameError, match="reservation"):
        bertrand(cost=11.0)
