from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from strategic_envs.envs import continuous_game_v0, larger_number_v0
from strategic_envs.envs.faces.one_shot import OneShotParallelEnv
from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError, UnknownNameError
from strategic_envs.games.catalogue import game, list_games
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.sets import Ball, Box, Simplex

with warnings.catch_warnings():  # importing PettingZoo's tests imports its deprecated way to make environments
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import (
        api_test,
        max_cycles_test,
        parallel_api_test,
        parallel_seed_test,
        render_test,
        seed_test,
        state_test,
    )


def ball_game() -> Game:
    return Game(_inner_product, [Ball([0.0, 0.0], 1.0), Simplex(2)], name="ball_and_simplex")


def _inner_product(x: tuple[torch.Tensor, ...]) -> torch.Tensor:
    u = (x[0] * x[1]).sum(-1)
    return torch.stack([u, -u], dim=-1)


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "larger_number": (larger_number_v0, {}),
    "larger_number_mixed": (larger_number_v0, {"n": 3, "actions": "mixed"}),
    "larger_number_reals": (larger_number_v0, {"n": 5, "kind": "reals"}),
    "squared_difference": (continuous_game_v0, {}),
    "matching_pennies": (continuous_game_v0, {"game": "matching_pennies"}),
    "f1": (continuous_game_v0, {"game": "f1", "box": 1.0}),
    "three_players": (continuous_game_v0, {"game": "three_player_polynomial"}),
    "bilinear_2": (continuous_game_v0, {"game": "bilinear", "dim": 2}),
    "object": (continuous_game_v0, {"game": ball_game()}),
}
UNBOUNDED: dict[str, tuple[Any, dict[str, Any]]] = {
    "integers": (larger_number_v0, {"n": None}),
    "reals": (larger_number_v0, {"n": None, "kind": "reals"}),
    "bilinear": (continuous_game_v0, {"game": "bilinear", "box": None}),
}


@pytest.mark.parametrize("max_cycles", [1, 25])
@pytest.mark.parametrize("case", CASES)
def test_every_pettingzoo_suite_passes_without_a_warning(case: str, max_cycles: int) -> None:
    module, options = CASES[case]
    options = {**options, "max_cycles": max_cycles}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if case == "object":  # players of one game may well have spaces of different kinds
            warnings.filterwarnings("ignore", message="Agents have different")
        if case != "larger_number_mixed":  # the suite plays the zero vector, which is no probability vector
            api_test(module.env(**options), num_cycles=20)
        parallel_api_test(module.parallel_env(**options), num_cycles=20)
        seed_test(lambda: module.env(**options), num_cycles=20)
        parallel_seed_test(lambda: module.parallel_env(**options), num_cycles=20)
        state_test(module.env(**options), module.parallel_env(**options))


@pytest.mark.parametrize("case", UNBOUNDED)
def test_unbounded_games_pass_the_suites_too(case: str) -> None:
    module, options = UNBOUNDED[case]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*infinity.*")  # bounds that are infinite are meant to be
        warnings.filterwarnings("ignore", message=".*space value is.*")
        if case != "integers":  # the suite plays 0, and the integers of this game start at 1
            api_test(module.env(**options), num_cycles=20)
        parallel_api_test(module.parallel_env(**options), num_cycles=20)
        parallel_seed_test(lambda: module.parallel_env(**options), num_cycles=20)


@pytest.mark.parametrize("module", [larger_number_v0, continuous_game_v0])
def test_max_cycles_truncates_all_players_together(module: Any) -> None:
    max_cycles_test(module)
    env = module.parallel_env(max_cycles=2)
    env.reset(seed=0)
    for expected in (False, True):
        actions = {a: env.action_space(a).sample() for a in env.agents}
        _, _, terminations, truncations, _ = env.step(actions)
        assert set(truncations.values()) == {expected} and not any(terminations.values())
    assert env.agents == []


@pytest.mark.parametrize("module", [larger_number_v0, continuous_game_v0])
def test_render_modes(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        render_test(module.env)
    assert "played" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", [name for name in list_games(files=False) if name not in ("layers", "polar")]
)  # played in layers_v0, and not at all
def test_rewards_are_the_utilities_for_every_one_shot_game_of_the_catalogue(name: str) -> None:
    found = game(name)
    assert isinstance(found, Game)
    env = continuous_game_v0.parallel_env(name)
    observations, _ = env.reset(seed=0)
    for agent in env.agents:
        env.action_space(agent).seed(3)
        assert env.observation_space(agent).contains(observations[agent])
    actions = {a: env.action_space(a).sample() for a in env.agents}
    observations, rewards, *_ = env.step(actions)
    assert all(env.observation_space(a).contains(o) for a, o in observations.items())
    strategies = []
    for i, (agent, action) in enumerate(actions.items()):
        discrete = isinstance(env.action_space(agent), spaces.Discrete)
        vector = np.eye(found.dims[i])[action] if discrete else action.astype(np.float64)
        strategies.append(torch.from_numpy(vector))
    if found.joint is not None:  # what is played: the nearest actions that fit together
        strategies = list(found.project(strategies))
    torch.testing.assert_close(
        torch.tensor(list(rewards.values()), dtype=torch.float64), found.utilities(strategies), atol=1e-6, rtol=1e-5
    )


def test_observation_holds_everybodys_last_actions_and_a_flag() -> None:
    env = larger_number_v0.parallel_env(n=3, max_cycles=2)
    first, _ = env.reset(seed=0)
    assert first["player_0"].tolist() == [0, 0, 0, 0, 0, 0, 1]
    second, *_ = env.step({"player_0": 2, "player_1": 0})
    assert second["player_1"].tolist() == [0, 0, 1, 1, 0, 0, 0]
    np.testing.assert_array_equal(env.state(), second["player_0"])


def test_mixed_actions_are_rewarded_by_expected_payoffs() -> None:
    env = continuous_game_v0.parallel_env("matching_pennies", actions="mixed")
    env.reset(seed=0)
    x, y = np.array([0.75, 0.25], dtype=np.float32), np.array([1.0, 0.0], dtype=np.float32)
    assert env.step({"player_0": x, "player_1": y})[1] == {"player_0": 0.5, "player_1": -0.5}


BAD_POINTS = {
    "shape": np.zeros(2, dtype=np.float32),
    "scalar": np.float32(0.5),
    "integers": np.zeros(1, dtype=np.int64),
    "text": "left",
    "ragged": [[1.0], [1.0, 2.0]],
    "nan": np.array([np.nan], dtype=np.float32),
    "infinite": np.array([np.inf], dtype=np.float32),
    "overflow": np.array([1e300]),
    "outside": np.array([1.5], dtype=np.float32),
    "nothing": None,
}


@pytest.mark.parametrize("bad", BAD_POINTS)
def test_a_bad_strategy_is_refused_with_what_was_got_and_expected_and_changes_nothing(bad: str) -> None:
    env = continuous_game_v0.parallel_env(max_cycles=3)
    env.reset(seed=0)
    good = np.array([0.5], dtype=np.float32)
    env.step({"player_0": good, "player_1": good})
    before = pickle.dumps((env.state(), env.agents, env._cycle, env._last))
    with pytest.raises(InvalidStrategyError, match=r"squared_difference, player_1: got .*") as caught:
        env.step({"player_0": good, "player_1": BAD_POINTS[bad]})
    assert not isinstance(caught.value, IllegalActionError)
    assert "expected" in str(caught.value) or "outside Box(-1.0, 1.0)" in str(caught.value) or bad == "ragged"
    assert pickle.dumps((env.state(), env.agents, env._cycle, env._last)) == before


@pytest.mark.parametrize("bad", [3, -1, 1.0, True, None, "a", np.array([1])])
def test_an_illegal_discrete_action_is_refused_and_changes_nothing(bad: object) -> None:
    env = larger_number_v0.parallel_env(n=3)
    env.reset(seed=0)
    with pytest.raises(
        IllegalActionError, match=r"larger_number, player_0: got .* expected a whole number from 0 to 2"
    ):
        env.step({"player_0": bad, "player_1": 0})
    assert env.agents == ["player_0", "player_1"] and env.state()[-1] == 1


@pytest.mark.parametrize("bad", [0, 2**53 + 1, 1.5])
def test_unbounded_integers_start_at_one(bad: float) -> None:
    env = larger_number_v0.parallel_env(n=None)
    env.reset(seed=0)
    with pytest.raises(IllegalActionError, match="whole number from 1"):
        env.step({"player_0": np.array([bad]), "player_1": np.array([1])})
    assert env.step({"player_0": np.array([2**53]), "player_1": np.array([2**53 - 1])})[1]["player_0"] == 1.0


def test_the_turn_by_turn_face_refuses_an_action_at_once() -> None:
    env = larger_number_v0.env(n=3)
    env.reset(seed=0)
    with pytest.raises(IllegalActionError, match="player_0"):
        env.step(7)
    assert env.agent_selection == "player_0"
    env.step(2)
    env.step(1)
    assert env.rewards == {"player_0": 1.0, "player_1": -1.0}


def test_missing_and_unknown_players_and_a_finished_episode_are_refused() -> None:
    env = larger_number_v0.parallel_env(n=3)
    with pytest.raises(IllegalActionError, match="call reset"):
        env.step({"player_0": 0, "player_1": 0})
    env.reset()
    for actions in ({"player_0": 0}, {"player_0": 0, "player_1": 0, "player_2": 0}):
        with pytest.raises(IllegalActionError, match="expected one each of"):
            env.step(actions)
    env.step({"player_0": 0, "player_1": 0})
    with pytest.raises(IllegalActionError, match="call reset"):
        env.step({"player_0": 0, "player_1": 0})
    assert env.step({}) == ({}, {}, {}, {}, {})


def test_utilities_that_are_not_finite_are_refused_by_name() -> None:
    broken = Game(lambda x: torch.stack([x[0].squeeze(-1).log()] * 2, dim=-1), [Box(-1, 1)] * 2, name="broken")
    env = continuous_game_v0.parallel_env(broken)
    env.reset()
    zero = np.zeros(1, dtype=np.float32)
    with pytest.raises(InvalidGameError, match="broken: the utilities are"):
        env.step({"player_0": zero, "player_1": zero})


def test_bad_options_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'forsaken'"):
        continuous_game_v0.parallel_env("forsakn")
    with pytest.raises(UnknownNameError, match="option of the game 'f1', 'bxo': did you mean 'box'"):
        continuous_game_v0.parallel_env("f1", bxo=1.0)
    with pytest.raises(InvalidGameError, match="options belong to named games"):
        continuous_game_v0.parallel_env(ball_game(), box=1.0)
    with pytest.raises(InvalidGameError, match="a VIGame is an operator without utilities"):
        continuous_game_v0.parallel_env(VIGame(lambda x: x, [Box(-1, 1)]))
    with pytest.raises(InvalidGameError, match="expected a Game"):
        OneShotParallelEnv(VIGame(lambda x: x, [Box(-1, 1)]))
    with pytest.raises(InvalidGameError, match="max_cycles=0"):
        larger_number_v0.parallel_env(max_cycles=0)
    with pytest.raises(InvalidGameError, match="render_mode='rgb'"):
        larger_number_v0.parallel_env(render_mode="rgb")
    with pytest.raises(InvalidGameError, match="expected 'pure' or 'mixed'"):
        larger_number_v0.parallel_env(actions="both")
    with pytest.raises(InvalidGameError, match="normal-form games only"):
        continuous_game_v0.parallel_env(actions="mixed")
    with pytest.raises(InvalidGameError, match="n >= 1"):
        larger_number_v0.parallel_env(n=0)


@pytest.mark.parametrize("case", [*CASES, *UNBOUNDED])
@pytest.mark.parametrize("clone", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["deepcopy", "pickle"])
def test_a_copy_goes_on_exactly_as_the_original(case: str, clone: Any) -> None:
    module, options = {**CASES, **UNBOUNDED}[case]
    env = module.parallel_env(**options, max_cycles=5)
    env.reset(seed=0)
    for i, a in enumerate(env.agents):
        env.action_space(a).seed(i)
    env.step({a: env.action_space(a).sample() for a in env.agents})
    other = clone(env)
    for _ in range(3):
        results = [e.step({a: e.action_space(a).sample() for a in e.agents}) for e in (env, other)]
        assert results[0][1] == results[1][1]
        np.testing.assert_array_equal(env.state(), other.state())


@pytest.mark.parametrize("module", [larger_number_v0, continuous_game_v0])
def test_the_turn_by_turn_face_copies_and_knows_its_game(module: Any) -> None:
    env = module.env()
    env.reset(seed=0)
    other = pickle.loads(pickle.dumps(env))
    assert other.unwrapped.game.name == env.unwrapped.game.name == module.raw_env().game.name == module.game().name
    assert isinstance(module.SUMMARY, str) and module.MODES == ("aec", "parallel")


def test_an_operator_without_utilities_is_no_environment() -> None:
    with pytest.raises(InvalidGameError, match="'polar' is an operator without utilities, so no action earns a reward"):
        continuous_game_v0.parallel_env("polar")
