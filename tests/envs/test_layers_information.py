"""The layers environment by who knows what, and with step sizes for actions."""

from __future__ import annotations

import copy
import pickle
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
from strategic_envs.testing import check_env

with warnings.catch_warnings():  # importing PettingZoo's tests imports its deprecated way to make environments
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test

SMALL: dict[str, Any] = {"hidden": (4,), "samples": 60}
KINDS: list[dict[str, Any]] = [
    {"information": "cooperative"},
    {"information": "cooperative", "observation": "gradient", "actions": "step_sizes"},
    {"information": "open_loop", "observation": "states", "actions": "step_sizes", "direction": "rms"},
    {"observation": "states", "batch": 16},
]


def add(state: tuple[torch.Tensor, ...], outputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (outputs[0] + outputs[1],)


def two_players_in_a_stage(**options: Any) -> DynamicGame:
    stages = [Stage((nn.Linear(3, 4),), Chain((nn.Tanh(),))), Stage((nn.Linear(4, 2), nn.Linear(4, 2)), add)]
    inputs = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    return DynamicGame(stages, inputs, torch.arange(9) % 2, **options)


def some(env: Any, agent: str, size: float = 0.05) -> np.ndarray:
    return np.full(env.action_space(agent).shape, size, dtype=np.float32)


def weights(env: Any) -> Profile:
    return Profile.from_flat(torch.from_numpy(env.state()), env.game.dims)


@pytest.mark.filterwarnings("ignore:Agent's m..imum observation space value is")  # losses have no bounds
@pytest.mark.filterwarnings("ignore:Agents have different observation space sizes")  # layers have different weights
@pytest.mark.filterwarnings("ignore:Observations are different shapes")
@pytest.mark.parametrize("options", KINDS, ids=lambda options: " ".join(map(str, options.values())))
def test_pettingzoo_suites_and_the_contract_hold(options: dict[str, Any]) -> None:
    options = {**SMALL, **options}
    parallel_api_test(layers_v0.parallel_env(**options), num_cycles=10)
    parallel_seed_test(lambda: layers_v0.parallel_env(**options), num_cycles=10)
    api_test(layers_v0.env(**options), num_cycles=10)
    seed_test(lambda: layers_v0.env(**options), num_cycles=10)
    check_env(lambda: layers_v0.parallel_env(max_cycles=3, **options))
    check_env(lambda: layers_v0.env(max_cycles=3, **options))


def test_in_the_open_loop_nobody_sees_a_move_before_the_sweep_ends() -> None:
    env = LayersTurnEnv(two_players_in_a_stage(), information="open_loop", observation="gradient")
    env.reset(seed=0)
    start = {a: env.observe(a) for a in env.agents}
    for agent in env.agents[:-1]:
        env.step(some(env, agent))
        assert all(np.array_equal(env.observe(a), start[a]) for a in env.agents)
        assert set(env.rewards.values()) == {0.0}
    before = weights(env)
    env.step(some(env, "player_2"))
    torch.testing.assert_close(weights(env).flat(), before.flat() + 0.05, rtol=0, atol=1e-7)
    assert not np.array_equal(env.observe("player_0"), start["player_0"])


def test_turn_by_turn_in_the_open_loop_is_all_at_once() -> None:
    for information in ("open_loop", "cooperative"):
        options: dict[str, Any] = {"information": information, "weight_decay": 0.1, **SMALL}
        parallel, turns = layers_v0.parallel_env(**options), layers_v0.raw_env(**options)
        parallel.reset(seed=5)
        turns.reset(seed=5)
        for size in (0.02, -0.01, 0.05):
            _, rewards, *_ = parallel.step({a: some(parallel, a, size) for a in parallel.agents})
            for agent in list(turns.agents):
                turns.step(some(turns, agent, size))
            assert list(turns.rewards.values()) == pytest.approx(list(rewards.values()), abs=1e-6)
        np.testing.assert_allclose(parallel.state(), turns.state(), atol=1e-6)


def test_in_cooperation_all_are_paid_minus_the_loss_minus_all_decays() -> None:
    game = two_players_in_a_stage(weight_decay=[0.1, 0.0, 0.3])
    parallel, turns = LayersParallelEnv(game, information="cooperative"), LayersTurnEnv(game, information="cooperative")
    parallel.reset(seed=1)
    turns.reset(seed=1)
    _, rewards, *_ = parallel.step({a: some(parallel, a) for a in parallel.agents})
    for agent in list(turns.agents):
        turns.step(some(turns, agent))
    for env, paid in ((parallel, rewards), (turns, turns.rewards)):
        x = weights(env)
        decays = 0.05 * x[0].square().sum() + 0.15 * x[2].square().sum()
        expected = -float(game.loss(x)) - float(decays)
        assert list(paid.values()) == pytest.approx([expected] * 3, rel=1e-5)


def test_in_cooperation_the_others_last_updates_are_seen() -> None:
    env = LayersTurnEnv(two_players_in_a_stage(), information="cooperative", observation="gradient")
    env.reset(seed=0)
    assert not env.observe("player_0")[16:].any()  # nobody has moved yet
    env.step(some(env, "player_0", 0.03))
    env.step(some(env, "player_1", -0.02))
    seen, x = env.observe("player_2"), weights(env)
    np.testing.assert_allclose(seen[:10], env.game.field(x)[2].numpy(), atol=1e-7)
    assert seen[10:].tolist() == pytest.approx([0.03] * 16 + [-0.02] * 10)  # of the same stage too: it has chosen
    env.step(some(env, "player_2", 0.01))
    assert env.observe("player_0")[16:].tolist() == pytest.approx([-0.02] * 10 + [0.01] * 10)


def test_in_cooperation_features_say_what_the_others_gain_to_first_order() -> None:
    env = LayersParallelEnv(two_players_in_a_stage(), information="cooperative")
    first, _ = env.reset(seed=0)
    assert first["player_0"][4:].tolist() == [0.0] * 4
    moves = {a: np.linspace(-0.01, 0.03, env.action_space(a).shape[0], dtype=np.float32) for a in env.agents}
    seen, *_ = env.step(moves)
    field, expected = env.game.field(weights(env)), []
    for j in (1, 2):
        move = torch.from_numpy(moves[f"player_{j}"])
        expected += [float(move.norm()), float(move @ field[j])]
    assert seen["player_0"][4:].tolist() == pytest.approx(expected, rel=1e-4)


def test_states_show_how_far_they_have_moved_and_no_further_than_the_players_stage() -> None:
    env = layers_v0.raw_env(observation="states", hidden=(5, 4), samples=40)
    env.reset(seed=0)
    assert [env.observation_space(a).shape for a in env.agents] == [(5,), (6,), (7,)]
    before = env.game.trace(weights(env))
    env.step(some(env, "player_0"))
    after = env.game.trace(weights(env))
    change = [float((x[0] - y[0]).square().mean().sqrt()) for x, y in zip(after, before, strict=True)]
    assert env.observe("player_1")[4:].tolist() == pytest.approx([0.0, change[1]], rel=1e-5)
    assert env.observe("player_2")[4:].tolist() == pytest.approx(change[:3], rel=1e-5)
    assert change[1] > 0
    env.step(some(env, "player_1"))
    env.step(some(env, "player_2"))
    assert not env.observe("player_2")[4:].any()  # a new cycle has begun
    blind = layers_v0.raw_env(observation="states", information="open_loop", hidden=(5, 4), samples=40)
    assert {blind.observation_space(a).shape for a in blind.possible_agents} == {(5,)}


def test_step_sizes_times_the_gradient_are_gradient_descent_with_a_rate_a_layer() -> None:
    env = layers_v0.parallel_env(actions="step_sizes", max_step=0.5, **SMALL)
    env.reset(seed=3)
    net = env.game.module(weights(env))
    one, two = list(net.parameters())[:2], list(net.parameters())[2:]
    optimiser = torch.optim.SGD([{"params": one, "lr": 0.5}, {"params": two, "lr": 0.2}])
    while env.agents:
        env.step({"player_0": some(env, "player_0", 0.5), "player_1": some(env, "player_1", 0.2)})
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(env.game.inputs), env.game.targets).backward()
        optimiser.step()
    torch.testing.assert_close(weights(env).flat(), env.game.load(net).flat(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("face", ["parallel", "turns"])
def test_step_sizes_of_the_rms_direction_are_adam_without_momentum(face: str) -> None:
    options: dict[str, Any] = {"actions": "step_sizes", "direction": "rms", "information": "open_loop", **SMALL}
    env: Any = layers_v0.parallel_env(**options) if face == "parallel" else layers_v0.raw_env(**options)
    for _ in range(2):  # the second episode begins anew
        env.reset(seed=3)
        net = env.game.module(weights(env))
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01, betas=(0.0, 0.99))
        for _ in range(5):
            for agent in env.agents if face == "turns" else [None]:
                env.step(some(env, agent, 0.01) if agent else {a: some(env, a, 0.01) for a in env.agents})
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(env.game.inputs), env.game.targets).backward()
            optimiser.step()
        torch.testing.assert_close(weights(env).flat(), env.game.load(net).flat(), rtol=0, atol=1e-4)


def test_in_the_closed_loop_a_step_follows_the_gradient_at_the_moved_weights() -> None:
    env = layers_v0.raw_env(actions="step_sizes", **SMALL)
    env.reset(seed=0)
    start = weights(env)
    env.step(some(env, "player_0", 0.8))
    moved = start.replace(0, start[0] + 0.8 * env.game.field(start)[0])
    env.step(some(env, "player_1", 0.4))
    expected = moved.replace(1, moved[1] + 0.4 * env.game.field(moved)[1])
    torch.testing.assert_close(weights(env).flat(), expected.flat(), rtol=0, atol=1e-6)


def test_copies_continue_with_their_running_squares() -> None:
    env = layers_v0.raw_env(actions="step_sizes", direction="rms", information="cooperative", batch=8, **SMALL)
    env.reset(seed=0)
    env.step(some(env, "player_0", 0.1))
    copies = [copy.deepcopy(env), pickle.loads(pickle.dumps(env)), env]
    for other in copies:
        for agent in ("player_1", "player_0", "player_1"):
            other.step(some(other, agent, 0.1))
    assert np.array_equal(copies[0].state(), env.state())
    assert np.array_equal(copies[1].state(), env.state())


def test_bad_step_sizes_are_refused_and_change_nothing() -> None:
    env = layers_v0.parallel_env(actions="step_sizes", max_step=0.5, direction="rms", **SMALL)
    env.reset(seed=0)
    state, good = env.state(), some(env, "player_0", 0.1)
    bad: list[tuple[Any, type[Exception], str]] = [
        (some(env, "player_0", 0.6), IllegalActionError, "step size of 0.6, expected one in 0..0.5"),
        (some(env, "player_0", -0.1), IllegalActionError, "step size of -0.1"),
        (some(env, "player_0", np.nan), InvalidStrategyError, "NaN or infinite"),
        (np.zeros(2, np.float32), InvalidStrategyError, r"shape \(2,\), expected float32 and \(1,\): one number"),
        (0.1, InvalidStrategyError, r"shape \(\), expected"),
    ]
    for action, error, message in bad:
        with pytest.raises(error, match=message):
            env.step({"player_0": good, "player_1": action})
        assert np.array_equal(env.state(), state)
    fresh = layers_v0.parallel_env(actions="step_sizes", max_step=0.5, direction="rms", **SMALL)
    fresh.reset(seed=0)
    for e in (env, fresh):
        e.step({a: good for a in e.agents})
    assert np.array_equal(env.state(), fresh.state())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"information": "closed"}, UnknownNameError, "did you mean 'closed_loop'"),
        ({"actions": "steps"}, UnknownNameError, "step_sizes"),
        ({"direction": "adam"}, UnknownNameError, "rms"),
        ({"max_step": 0.0}, InvalidGameError, "max_step=0.0"),
        ({"max_step": np.inf}, InvalidGameError, "max_step=inf"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    for make in (layers_v0.parallel_env, layers_v0.raw_env, layers_v0.env):
        with pytest.raises(error, match=message):
            make(**SMALL, **options)


def test_a_closed_loop_at_once_is_refused_with_the_way_out() -> None:
    with pytest.raises(InvalidGameError, match=r"closed_loop.*play turn by turn"):
        layers_v0.parallel_env(information="closed_loop", **SMALL)
