"""The environment of Bertrand pricing: what infos tell of other prices, and learners built on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import strategic_envs as se
from strategic_envs.baselines.q_learning.counterfactual import CounterfactualLearning, learn_counterfactual
from strategic_envs.errors import InvalidGameError, UnknownNameError


def test_prices_rewards_and_counterfactual_profits() -> None:
    env = se.make("bertrand_pricing_v0")
    seen, _ = env.reset(seed=0)
    assert seen["player_0"].tolist() == [1.0]  # nothing to see
    _, rewards, *_, infos = env.step({"player_0": 49, "player_1": 59})
    assert rewards == pytest.approx({"player_0": 3.0, "player_1": 0.0})
    assert infos["player_0"]["prices"] == pytest.approx([5.0, 6.0])
    own, other = infos["player_0"]["counterfactual"], infos["player_1"]["counterfactual"]
    assert (own[49], own[58], own[59], own[60], own[0]) == pytest.approx((3.0, 3.9, 2.0, 0.0, -1.9))
    assert (other[48], other[49], other[50], other[59]) == pytest.approx((2.9, 1.5, 0.0, 0.0))


def test_equal_prices_share_the_customer_and_three_firms_share_by_three() -> None:
    env = se.make("bertrand_pricing_v0", n=3, m=10)
    env.reset(seed=0)
    _, rewards, *_, infos = env.step({"player_0": 7, "player_1": 7, "player_2": 7})
    assert rewards == pytest.approx(dict.fromkeys(rewards, 2.0))
    assert infos["player_2"]["counterfactual"][6] == pytest.approx(5.0)


def test_a_synchronous_learner_on_the_environment_is_the_compiled_one() -> None:
    env: Any = se.make("bertrand_pricing_v0", max_cycles=400)
    run = learn_counterfactual(env.game, CounterfactualLearning("synchronous", window=400, cap=400), [3], recorded=400)
    begin = learn_counterfactual(env.game, CounterfactualLearning("synchronous", window=1, cap=1), [3])
    env.reset(seed=0)
    assert run.path is not None
    infos: dict[str, Any] = {}
    played = run.path[0, 0].tolist()
    values = None
    for t in range(400):
        *_, infos = env.step(dict(zip(env.possible_agents, played, strict=True)))
        target = np.stack([infos[a]["counterfactual"] for a in env.possible_agents])
        values = begin.values[0] if t == 0 else 0.9 * values + 0.1 * target
        played = values.argmax(1).tolist()
        if t + 1 < 300:  # before values tie but for rounding
            assert played == run.path[0, t + 1].tolist()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"m": 1}, InvalidGameError, "got m=1"),
        ({"cost": 12.0}, InvalidGameError, "got reservation=10.0, expected a finite price above the cost"),
        ({"delta": 1.0}, InvalidGameError, "got delta=1.0"),
        ({"memory": 1}, UnknownNameError, "option of bertrand_pricing_v0, 'memory'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_options_are_refused(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        se.make("bertrand_pricing_v0", **options)
