"""The layers environment: the rewards are minus the loss, and acting by the gradient is gradient descent."""

from __future__ import annotations

import copy
import pickle
import time
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from strategic_envs.envs import layers_v0
from strategic_envs.envs.faces.layers import LayersParallelEnv, LayersTurnEnv
from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError, UnknownNameError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.stages import Chain, Stage
from strategic_envs.profile import Profile

with warnings.catch_warnings():  # importing PettingZoo's tests imports its deprecated way to make environments
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test

SMALL: dict[str, Any] = {"hidden": (4,), "samples": 60}


def add(state: tuple[torch.Tensor, ...], outputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (outputs[0] + outputs[1],)


def two_players_in_a_stage() -> DynamicGame:
    stages = [
        Stage((nn.Linear(3, 4),), Chain((nn.Tanh(),))),
        Stage((nn.Linear(4, 2), nn.Linear(4, 2)), add),
    ]
    inputs = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    return DynamicGame(stages, inputs, torch.arange(9) % 2)


def zeros(env: Any) -> dict[str, np.ndarray]:
    return {a: np.zeros(env.action_space(a).shape, dtype=np.float32) for a in env.agents}


def weights(env: Any) -> Profile:
    return Profile.from_flat(torch.from_numpy(env.state()), env.game.dims)


@pytest.mark.filterwarnings("ignore:Agent's m..imum observation space value is")  # losses have no bounds
@pytest.mark.filterwarnings("ignore:Agents have different observation space sizes")  # layers have different weights
@pytest.mark.filterwarnings("ignore:Observations are different shapes")
@pytest.mark.parametrize("options", [{"observation": "gradient"}, {"batch": 16}])
def test_pettingzoo_suites_pass(options: dict[str, Any]) -> None:
    options = {**SMALL, **options}
    parallel_api_test(layers_v0.parallel_env(**options), num_cycles=25)
    parallel_seed_test(lambda: layers_v0.parallel_env(**options), num_cycles=25)
    api_test(layers_v0.env(**options), num_cycles=25)
    seed_test(lambda: layers_v0.env(**options), num_cycles=25)


def test_rewards_are_the_games_utilities_after_the_update() -> None:
    env = layers_v0.parallel_env(**SMALL, weight_decay=0.1)
    env.reset(seed=0)
    before = weights(env)
    update = {a: env.action_space(a).sample() for a in env.agents}
    _, rewards, _, _, infos = env.step(update)
    expected = before + Profile(torch.from_numpy(u) for u in update.values())
    assert torch.equal(weights(env).flat(), expected.flat())
    utilities = env.game.utilities(expected)
    assert list(rewards.values()) == pytest.approx(utilities.tolist(), abs=1e-6)
    assert infos["player_0"]["loss"] == pytest.approx(float(env.game.loss(expected)), abs=1e-6)


def test_features_are_loss_time_and_norms() -> None:
    env = layers_v0.parallel_env(**SMALL, max_cycles=4)
    env.reset(seed=0)
    seen = env.step(zeros(env))[0]
    x, field = weights(env), env.game.field(weights(env))
    for i, observation in enumerate(seen.values()):
        expected = [float(env.game.loss(x)), 0.25, float(x[i].norm()), float(field[i].norm())]
        assert observation.tolist() == pytest.approx(expected, rel=1e-6)


def test_acting_by_the_gradient_observed_is_torch_sgd() -> None:
    env = layers_v0.parallel_env(observation="gradient", max_update=10.0, **SMALL)
    seen, _ = env.reset(seed=3)
    net = env.game.module(weights(env))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.5)
    while env.agents:
        seen = env.step({a: np.float32(0.5) * seen[a] for a in env.agents})[0]
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(env.game.inputs), env.game.targets).backward()
        optimiser.step()
    torch.testing.assert_close(weights(env).flat(), env.game.load(net).flat(), rtol=0, atol=1e-6)


def test_stage_by_stage_a_layer_sees_the_earlier_ones_moved() -> None:
    env = layers_v0.raw_env(observation="gradient", **SMALL)
    env.reset(seed=0)
    start = weights(env)
    update = np.full(env.action_space("player_0").shape, 0.05, dtype=np.float32)
    env.step(update)
    moved = start.replace(0, start[0] + torch.from_numpy(update))
    assert env.agent_selection == "player_1"
    np.testing.assert_allclose(env.observe("player_1"), env.game.field(moved)[1].numpy(), atol=1e-7)
    assert set(env.rewards.values()) == {0.0}
    env.step(np.zeros(env.action_space("player_1").shape, dtype=np.float32))
    assert list(env.rewards.values()) == pytest.approx([-float(env.game.loss(moved))] * 2, abs=1e-6)
    assert env.agent_selection == "player_0"


def test_players_of_one_stage_do_not_see_each_other() -> None:
    env = LayersTurnEnv(two_players_in_a_stage())
    env.reset(seed=0)
    env.step(np.full(16, 0.1, dtype=np.float32))
    before = env.observe("player_2")
    env.step(np.full(10, 0.1, dtype=np.float32))
    np.testing.assert_array_equal(env.observe("player_2"), before)
    start = weights(env)
    env.step(np.full(10, -0.1, dtype=np.float32))
    expected = Profile([start[0], start[1] + 0.1, start[2] - 0.1])
    torch.testing.assert_close(weights(env).flat(), expected.flat(), rtol=0, atol=1e-7)


def test_both_faces_agree_when_only_the_last_stage_moves() -> None:
    parallel, turns = layers_v0.parallel_env(**SMALL), layers_v0.raw_env(**SMALL)
    parallel.reset(seed=5)
    turns.reset(seed=5)
    assert np.array_equal(parallel.state(), turns.state())
    update = {**zeros(parallel), "player_1": np.full(parallel.action_space("player_1").shape, 0.1, dtype=np.float32)}
    rewards = parallel.step(update)[1]
    for agent in list(turns.agents):
        turns.step(update[agent])
    assert np.array_equal(parallel.state(), turns.state())
    assert list(turns.rewards.values()) == pytest.approx(list(rewards.values()), abs=1e-7)


def test_a_fresh_minibatch_judges_every_cycle() -> None:
    def losses() -> list[float]:
        env.reset(seed=0)
        return [-env.step(zeros(env))[1]["player_0"] for _ in range(6)]

    env = layers_v0.parallel_env(batch=10, **SMALL)
    first = losses()
    assert len(set(first)) == 6 and losses() == first
    _, infos = env.reset(seed=0)
    epoch = [infos["player_0"]["loss"], *first[:5]]  # six batches of ten are the sixty samples
    assert float(np.mean(epoch)) == pytest.approx(float(env.game.loss(weights(env))), abs=1e-5)


def test_the_seed_decides_this_episode_and_the_next() -> None:
    one, two, other = (layers_v0.parallel_env(**SMALL) for _ in range(3))
    for env, seed in ((one, 1), (two, 1), (other, 2)):
        env.reset(seed=seed)
    assert np.array_equal(one.state(), two.state()) and not np.array_equal(one.state(), other.state())
    first = one.state()
    one.reset()
    two.reset()
    assert np.array_equal(one.state(), two.state()) and not np.array_equal(one.state(), first)


@pytest.mark.parametrize("face", ["parallel", "turns"])
def test_copies_continue_as_the_original(face: str) -> None:
    env = layers_v0.parallel_env(batch=8, **SMALL) if face == "parallel" else layers_v0.raw_env(batch=8, **SMALL)
    env.reset(seed=0)
    for other in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        for e in (env_copy := copy.deepcopy(env), other):
            for _ in range(2):
                if isinstance(e, LayersParallelEnv):
                    e.step(zeros(e))
                else:
                    e.step(zeros(e)[e.agent_selection])
        assert np.array_equal(env_copy.state(), other.state())
        assert all(np.array_equal(env_copy._observe(a), other._observe(a)) for a in env.agents)


def bad_actions(shape: tuple[int, ...]) -> list[tuple[Any, type[Exception], str]]:
    good = np.zeros(shape, dtype=np.float32)
    nan, far = good.copy(), good.copy()
    nan[3], far[0] = np.nan, 0.2
    return [
        (nan, InvalidStrategyError, "NaN or infinite"),
        (good[:-1], InvalidStrategyError, "one number a weight"),
        (good.astype(int), InvalidStrategyError, "dtype int64"),
        (None, InvalidStrategyError, "dtype object"),
        ([[0.0], [0.0, 1.0]], InvalidStrategyError, "no array"),
        (far, IllegalActionError, r"size 0.2, expected at most max_update=0.1"),
    ]


def test_bad_updates_are_refused_and_change_nothing() -> None:
    parallel, turns = layers_v0.parallel_env(**SMALL), layers_v0.env(**SMALL)
    parallel.reset(seed=0)
    turns.reset(seed=0)
    state, inner = parallel.state(), turns.unwrapped
    for action, error, message in bad_actions(parallel.action_space("player_0").shape):
        with pytest.raises(error, match=message):
            parallel.step({**zeros(parallel), "player_0": action})
        with pytest.raises(error, match=message):
            turns.step(action)
        assert np.array_equal(parallel.state(), state) and np.array_equal(inner.state(), state)
        assert turns.agent_selection == "player_0"
    with pytest.raises(IllegalActionError, match=r"missing \['player_1'\]"):
        parallel.step({"player_0": zeros(parallel)["player_0"]})
    parallel.step(zeros(parallel))


def test_updates_that_end_in_infinity_are_refused_and_change_nothing() -> None:
    for env in (layers_v0.parallel_env(max_update=1e38, **SMALL), layers_v0.raw_env(max_update=1e38, **SMALL)):
        env.reset(seed=0)
        state = env.state()
        huge = {a: z + np.float32(9e37) for a, z in zeros(env).items()}
        with pytest.raises(InvalidStrategyError, match="play smaller ones"):
            env.step(huge) if isinstance(env, LayersParallelEnv) else env.step(huge["player_0"])
        assert np.array_equal(env.state(), state)


def test_steps_before_and_after_an_episode_are_refused() -> None:
    parallel, turns = layers_v0.parallel_env(max_cycles=1, **SMALL), layers_v0.raw_env(max_cycles=1, **SMALL)
    action = np.zeros(parallel.action_space("player_0").shape, dtype=np.float32)
    with pytest.raises(IllegalActionError, match="call reset"):
        parallel.step({"player_0": action})
    with pytest.raises(IllegalActionError, match="call reset"):
        turns.step(action)
    with pytest.raises(IllegalActionError, match="call reset"):
        parallel.state()
    parallel.reset(seed=0)
    _, _, terminations, truncations, _ = parallel.step(zeros(parallel))
    assert all(truncations.values()) and not any(terminations.values()) and parallel.agents == []
    assert parallel.step({}) == ({}, {}, {}, {}, {})
    with pytest.raises(IllegalActionError, match="call reset"):
        parallel.step({"player_0": action})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_cycles": 0}, InvalidGameError, "max_cycles=0"),
        ({"max_update": 0.0}, InvalidGameError, "max_update=0.0"),
        ({"max_update": np.nan}, InvalidGameError, "max_update=nan"),
        ({"batch": 61}, InvalidGameError, r"whole number in 1..60"),
        ({"batch": 0}, InvalidGameError, "batch=0"),
        ({"observation": "gradients"}, UnknownNameError, "did you mean 'gradient'"),
        ({"render_mode": "rgb"}, InvalidGameError, "render_mode='rgb'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    for make in (layers_v0.parallel_env, layers_v0.raw_env, layers_v0.env):
        with pytest.raises(error, match=message):
            make(**SMALL, **options)


def test_a_mean_squared_error_network_is_drawn_without_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    game = DynamicGame.from_sequential([nn.Linear(2, 1)], torch.ones(4, 2), torch.zeros(4, 1), "mse")
    env = LayersParallelEnv(game, render_mode="human")
    env.reset(seed=0)
    env.step(zeros(env))
    text = capsys.readouterr().out
    assert "cycle 1 of 20, loss" in text and "accuracy" not in text and "player_0: 3 weights" in text


def test_making_an_environment_takes_under_a_tenth_of_a_second() -> None:
    layers_v0.parallel_env()
    start = time.perf_counter()
    layers_v0.parallel_env().reset(seed=0)
    assert time.perf_counter() - start < 0.1
