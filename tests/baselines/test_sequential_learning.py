"""Q-learning in sequential pricing: the loop against plain Python, keys and threads, figures, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from strategic_envs.baselines.q_learning.draws import START, price_of, session_keys, words
from strategic_envs.baselines.q_learning.sequential import SequentialLearning, learn_sequential
from strategic_envs.errors import InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.evaluators.alternating import analyse_sequential
from strategic_envs.games.pricing import pricing
from strategic_envs.games.pricing.sequential import SequentialPricing


def among(word: int, count: int) -> int:
    return (word & 0xFFFFFF) * count >> 24


def best_place(row: list[float], ties: str, word: int) -> int:
    places = [b for b, value in enumerate(row) if value == max(row)]
    if ties == "random" and len(places) > 1:
        return places[among(word, len(places))]
    return places[-1] if ties == "highest" else places[0]


def slow_session(game: SequentialPricing, learner: SequentialLearning, number: int, seed: int) -> Any:
    """The rule as it is printed, with dictionaries."""
    m, pi, key = game.k + 1, game.profit.tolist(), session_keys(seed, [number])
    value = [{(s, a): 0.0 for s in range(m) for a in range(m)} for _ in range(2)]
    charged = price_of(words(key, START, 2)[0], m).tolist()
    faced, eps, alpha, delta = [0, 0], 1.0, learner.alpha, game.discount
    for t in range(learner.periods):
        i = t % 2
        now = charged[1 - i]
        row = [value[i][now, b] for b in range(m)]
        if t >= 2:
            s, a = faced[i], charged[i]
            target = pi[a][s] + delta * pi[a][now] + delta * delta * max(row)
            value[i][s, a] = (1.0 - alpha) * value[i][s, a] + alpha * target
            row = [value[i][now, b] for b in range(m)]
        word = words(key, t, 5)[0].tolist()
        explores = (word[i] >> 24) < eps * 2.0**40
        charged[i] = among(word[i], m) if explores else best_place(row, learner.ties, word[3 + i])
        faced[i] = now
        eps *= 1.0 - learner.theta
    return np.array([[[value[i][s, a] for a in range(m)] for s in range(m)] for i in range(2)]), charged


@pytest.mark.parametrize("ties", ["lowest", "highest", "random"])
@pytest.mark.parametrize("periods", [3, 701])
def test_the_loop_is_the_rule_bit_for_bit(ties: str, periods: int) -> None:
    game, learner = SequentialPricing(k=3, delta=0.9), SequentialLearning(theta=0.01, periods=periods, ties=ties)
    found = learn_sequential(game, learner, [5, 2], seed=3, keep_q=True)
    assert found.q is not None
    for row, number in enumerate((5, 2)):
        values, charged = slow_session(game, learner, number, seed=3)
        assert found.q[row].tobytes() == values.tobytes()
        assert found.last[row].tolist() == charged
    place = (found.q.shape[-1] - 1 - found.q[..., ::-1].argmax(-1)) if ties == "highest" else found.q.argmax(-1)
    assert found.strategy.tolist() == place.tolist()
    mover = periods % 2
    assert found.state.tolist() == (4 * mover + found.last[:, 1 - mover]).tolist()


def test_a_session_depends_on_its_number_and_the_seed_only() -> None:
    game, learner = SequentialPricing(k=6), SequentialLearning(periods=5000)
    many = learn_sequential(game, learner, 20, threads=2, blocks=7)
    few = learn_sequential(game, learner, [13, 4], threads=1, keep_q=True, blocks=7)
    other = learn_sequential(game, learner, [13, 4], seed=1)
    assert few.strategy.tolist() == many.strategy[[13, 4]].tolist() != other.strategy.tolist()
    assert few.profit is not None and many.profit is not None and many.q is None and len(many) == 20
    assert few.profit.tobytes() == many.profit[[13, 4]].tobytes()


def test_profits_by_block_are_means_of_what_was_earned() -> None:
    game = SequentialPricing(k=6)
    one = learn_sequential(game, SequentialLearning(periods=1000, theta=0.0), 200, blocks=3)
    assert one.profit is not None
    uniform = float(game.profit.mean())  # theta = 0: always exploring
    assert one.profit.mean((0, 2)) == pytest.approx([uniform] * 3, abs=1e-3)
    whole = learn_sequential(game, SequentialLearning(periods=999), 5, blocks=1).profit
    parts = learn_sequential(game, SequentialLearning(periods=999), 5, blocks=999).profit
    assert whole is not None and parts is not None
    assert parts.mean(1) == pytest.approx(whole[:, 0], abs=1e-14)


def test_few_prices_lead_to_constant_prices_and_many_to_cycles() -> None:
    """Within about three standard errors of the figures of a thousand runs."""
    coarse = learn_sequential(game := SequentialPricing(6), sessions=60)
    found = analyse_sequential(game, coarse.strategy, coarse.state)
    assert found.profit.mean() == pytest.approx(0.1090, abs=0.005)
    assert found.constant.mean() == pytest.approx(0.685, abs=0.19)
    assert found.optimality.mean() == pytest.approx(0.972, abs=0.02)
    fine = learn_sequential(game := SequentialPricing(24), sessions=24)
    found = analyse_sequential(game, fine.strategy, fine.state)
    assert found.profit.mean() == pytest.approx(0.1059, abs=0.005)
    assert found.edgeworth.mean() > 0.7 and found.constant.mean() < 0.2
    assert found.optimality.mean() == pytest.approx(0.817, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("k", "runs", "profit", "constant", "both", "optimality"),
    [(6, 250, 0.1090, 0.685, 0.653, 0.972), (12, 100, 0.1018, 0.144, 0.186, 0.900)],
)
def test_figures_of_many_sessions(
    k: int, runs: int, profit: float, constant: float, both: float, optimality: float
) -> None:
    game = SequentialPricing(k)
    sessions = learn_sequential(game, sessions=runs, seed=1)
    found = analyse_sequential(game, sessions.strategy, sessions.state)
    assert found.profit.mean() == pytest.approx(profit, abs=0.0035)
    assert found.constant.mean() == pytest.approx(constant, abs=0.1)
    assert found.best_on_path.all(1).mean() == pytest.approx(both, abs=0.11)
    assert found.optimality.mean() == pytest.approx(optimality, abs=0.015)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"alpha": 0.0}, InvalidSettingError, r"got alpha=0.0, expected a rate in \(0, 1\]"),
        ({"alpha": 1.5}, InvalidSettingError, "got alpha=1.5"),
        ({"alpha": float("nan")}, InvalidSettingError, "got alpha=nan"),
        ({"theta": -1e-5}, InvalidSettingError, r"got theta=-1e-05, expected a number in \[0, 1\]"),
        ({"theta": 1.1}, InvalidSettingError, "got theta=1.1"),
        ({"periods": 2}, InvalidSettingError, "got periods=2, expected a whole number >= 3"),
        ({"periods": 10.0}, InvalidSettingError, "got periods=10.0"),
        ({"ties": "lowst"}, UnknownNameError, "unknown rule for ties 'lowst': did you mean 'lowest'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_learners_that_make_no_sense_are_refused(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SequentialLearning(**settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sessions": 0}, "got sessions=0, expected how many"),
        ({"sessions": [3, -1]}, r"got sessions=\[3, -1\]"),
        ({"sessions": True}, "got sessions=True"),
        ({"threads": 0}, "got threads=0, expected a whole number >= 1"),
        ({"blocks": -1}, "got blocks=-1"),
        ({"blocks": 101}, "from 0 to 100 periods"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_runs_that_make_no_sense_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        learn_sequential(SequentialPricing(), SequentialLearning(periods=100), **options)


@pytest.mark.usefixtures("unchecked")
def test_the_game_of_simultaneous_prices_is_refused() -> None:
    with pytest.raises(InvalidGameError, match="got a PricingGame, expected a SequentialPricing"):
        learn_sequential(pricing())  # type: ignore[arg-type]
