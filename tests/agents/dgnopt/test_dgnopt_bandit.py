"""Bandits over alignments: chances add up, every arm is met, regret stays small, a saved bandit goes on as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest

from strategic_envs.agents.dgnopt.bandit import Bandit, Exp3PP, FixedArm, RandomArm
from strategic_envs.errors import InvalidSettingError, OutOfOrderError


def play(bandit: Bandit, means: list[float], rounds: int, seed: int = 0) -> list[int]:
    """Bernoulli rewards; the arms that were played."""
    random, arms = np.random.default_rng(seed), []
    for _ in range(rounds):
        arms.append(bandit.choose())
        bandit.update(float(random.random() < means[arms[-1]]))
    return arms


@pytest.mark.parametrize("make", [FixedArm, RandomArm, Exp3PP])
def test_every_bandit_keeps_the_protocol(make: type) -> None:
    bandit = make(3)
    assert isinstance(bandit, Bandit)
    assert set(play(bandit, [0.1, 0.5, 0.9], 50)) <= {0, 1, 2}


def test_chances_add_up_to_one_and_are_positive() -> None:
    bandit = Exp3PP(4, seed=1)
    for arm in play(bandit, [0.2, 0.4, 0.6, 0.8], 4) and range(500):
        p = bandit.probabilities()
        assert p.shape == (4,)
        assert abs(p.sum() - 1) < 1e-12
        assert (p > 0).all()
        bandit.choose()
        bandit.update(0.5 + 0.5 * (arm % 2))


def test_every_arm_is_played_once_first() -> None:
    assert play(Exp3PP(5), [0.0] * 5, 5) == [0, 1, 2, 3, 4]


def test_one_arm_has_all_the_chance() -> None:
    bandit = Exp3PP(1)
    assert play(bandit, [0.5], 10) == [0] * 10
    assert bandit.probabilities().tolist() == [1.0]


def test_regret_is_small_in_a_stochastic_bandit() -> None:
    """Uniform play loses 0.2 a round; here what is lost in a round falls as rounds go on."""
    means, rounds = [0.5, 0.5, 0.8], 8000
    lost = []
    for seed in range(3):
        arms = play(Exp3PP(3, seed=seed), means, rounds, seed)
        regret = np.cumsum([0.8 - means[arm] for arm in arms])
        assert regret[-1] - regret[rounds // 2] < 0.6 * regret[rounds // 2]
        lost.append(regret[-1] / rounds)
    assert np.mean(lost) < 0.05


def test_follows_the_best_arm_when_it_changes() -> None:
    """The rewards of all arms drift: the importance-weighted losses of a fallen arm catch up."""
    bandit = Exp3PP(2, seed=0)
    play(bandit, [0.9, 0.1], 1000)
    arms = play(bandit, [0.1, 0.9], 4000, seed=1)
    assert np.mean(arms[-1000:]) > 0.8


def test_a_saved_bandit_goes_on_as_it_was() -> None:
    for make in (Exp3PP, RandomArm):
        first, means = make(3, seed=4), [0.1, 0.5, 0.9]
        play(first, means, 100)
        state = json.loads(json.dumps(first.state_dict()))  # plain objects only
        second = make(3, seed=99)
        second.load_state_dict(state)
        assert play(first, means, 200, seed=7) == play(second, means, 200, seed=7)


def test_a_bandit_saved_between_choice_and_reward_goes_on() -> None:
    first = Exp3PP(2, seed=0)
    play(first, [0.2, 0.8], 20)
    first.choose()
    second = Exp3PP(2, seed=1)
    second.load_state_dict(first.state_dict())
    first.update(1.0)
    second.update(1.0)
    assert first.state_dict() == second.state_dict()


def test_a_state_of_the_fixed_arm() -> None:
    other = FixedArm(3)
    other.load_state_dict(FixedArm(3, arm=2).state_dict())
    assert other.choose() == 2


@pytest.mark.parametrize("make", [FixedArm, RandomArm, Exp3PP])
def test_bad_input_is_refused(make: type) -> None:
    with pytest.raises(InvalidSettingError, match="arms=0"):
        make(0)
    bandit = make(2)
    bandit.choose()
    for reward in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidSettingError, match="expected a number in"):
            bandit.update(reward)
    with pytest.raises(InvalidSettingError, match="3 arms, expected 2"):
        bandit.load_state_dict(make(3).state_dict())


def test_bad_calls_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"arm=2.*0\.\.1"):
        FixedArm(2, arm=2)
    with pytest.raises(OutOfOrderError, match="choose"):
        Exp3PP(2).update(0.5)
