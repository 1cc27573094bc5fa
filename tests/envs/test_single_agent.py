"""One learner against fixed opponents: Gymnasium's checks, and returns that are the best responses' exact values."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import strategic_envs as se
from strategic_envs.envs import tic_tac_toe_v0
from strategic_envs.envs.single_agent import SingleAgentEnv
from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError, UnknownNameError
from strategic_envs.play import TabularPlay
from strategic_envs.registry import gymnasium_id, single_agent

RECOMMENDATIONS = (  # Gymnasium's, for spaces that are not the unit box: ours are what the games say
    ".*minimum value is -infinity",
    ".*maximum value is infinity",
    ".*we recommend using a symmetric and normalized space",
    ".*maximum and minimum .*space values are equal",
)


@pytest.mark.parametrize("name", se.list_environments())
@pytest.mark.parametrize("player", [0, 1])
def test_gymnasiums_checks_pass(name: str, player: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for message in RECOMMENDATIONS:
            warnings.filterwarnings("ignore", message=message)
        options: dict[str, Any] = {}
        if name in ("continuous_game_v0", "larger_number_v0", "routing_v0"):
            options = {"max_cycles": 5}  # the suite does not like episodes of one step
        if name == "tic_tac_toe_v0":
            options = {"opponent": last_free_cell}  # the suite knows no masks: its samples do not meet this opponent's
        env = gymnasium.make(gymnasium_id(name), player=player, **options).unwrapped
        env.action_space.seed(0)
        check_env(env)


def last_free_cell(seen: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(8 - mask.int().flip(-1).argmax(-1), 9).float()


@pytest.mark.parametrize("name", se.list_environments())
def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    def play(env: Any) -> list[Any]:
        seen, info = env.reset(seed=5)
        env.action_space.seed(1)
        log = [pickle.dumps((seen, sorted(info)))]
        for _ in range(6):
            mask = info.get("action_mask")
            action = env.action_space.sample() if mask is None else env.action_space.sample(mask)
            seen, reward, ended, cut, info = env.step(action)
            log.append(pickle.dumps((seen, reward, ended, cut)))
            if ended or cut:
                seen, info = env.reset()
        return log

    env = single_agent(name)
    assert play(env) == play(single_agent(name)) == play(copy.deepcopy(env)) == play(env)


def episode(env: Any, table: torch.Tensor, seed: int | None) -> float:
    """The return of a policy table in one game of tic-tac-toe."""
    env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        action = int(table[env._env.unwrapped.state_row].argmax())
        _, reward, ended, cut, info = env.step(action)
        total, over = total + reward, ended or cut
        assert over or info["action_mask"].sum() > 0
    return total


@pytest.mark.parametrize("player", [0, 1])
def test_a_best_response_never_loses_value_against_uniform(player: int) -> None:
    env = single_agent("tic_tac_toe_v0", player=player)
    table, value = env.game.best_response(env.game.uniform_policy(), player)
    returns = [episode(env, table, 0 if k == 0 else None) for k in range(120)]
    spread = 3.5 * np.std(returns) / len(returns) ** 0.5
    assert abs(np.mean(returns) - float(value[0])) < max(spread, 0.02)


def test_tables_functions_and_play_are_the_same_opponent() -> None:
    game = tic_tac_toe_v0.game()
    table, _ = game.best_response(game.uniform_policy(), 1)

    def policy(seen: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        assert seen.shape == (1, 27) and mask.shape == (1, 9) and mask.dtype == torch.bool
        own, other = seen[0, :9].long(), seen[0, 9:18].long()
        code = int((other << torch.arange(9)).sum() + (own << torch.arange(9, 18)).sum())
        return table[game.state_graph().index(torch.tensor([code]))]

    logs = []
    for opponent in (table, table.numpy(), TabularPlay((table, table)), policy):
        env = single_agent("tic_tac_toe_v0", opponent=opponent)
        env.reset(seed=0)
        env.action_space.seed(2)
        seen, info, log = None, {"action_mask": np.ones(9, dtype=np.int8)}, []
        over = False
        while not over:
            seen, reward, over, _, info = env.step(env.action_space.sample(info["action_mask"]))
            log.append((seen["observation"].tobytes(), reward))
        logs.append(log)
    assert logs[0] == logs[1] == logs[2] == logs[3]


def test_pricing_against_a_constant_rival_pays_the_tables_profit() -> None:
    game = se.make("duopoly_pricing_v0").game
    rival = game.constant_policies([7, 7])[1]
    env = single_agent("duopoly_pricing_v0", opponent=rival, max_cycles=3)
    env.reset(seed=0)
    for t in range(3):
        _, reward, ended, cut, info = env.step(4)
        assert reward == pytest.approx(float(game.profits(torch.tensor([4, 7]))[0]))
        assert not ended and cut == (t == 2)
    assert info["prices"][1] == pytest.approx(float(game.grid[1, 7]))


def test_continuous_opponents_are_functions_to_actions() -> None:
    env = single_agent("continuous_game_v0", opponent=lambda seen: torch.full((1, 1), 0.25), game="squared_difference")
    env.reset(seed=0)
    _, reward, _, cut, _ = env.step(np.array([0.75], dtype=np.float32))
    assert reward == pytest.approx(0.25) and cut


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"player": 2}, InvalidGameError, r"got player=2, expected 0\.\.1"),
        ({"player": -1}, InvalidGameError, "got player=-1"),
        ({"opponent": "random"}, InvalidStrategyError, "got opponent='random', expected 'uniform', a function"),
        ({"opponent": 3}, InvalidStrategyError, "got opponent=3"),
        ({"memroy": 1}, UnknownNameError, "did you mean 'memory'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        single_agent("duopoly_pricing_v0", **options)


def test_something_else_is_no_environment() -> None:
    with pytest.raises(InvalidGameError, match="expected a PettingZoo ParallelEnv or AECEnv"):
        SingleAgentEnv(gymnasium.make("CartPole-v1"))


def test_a_table_needs_states() -> None:
    with pytest.raises(InvalidStrategyError, match="pass a function"):
        single_agent("larger_number_v0", opponent=torch.full((1, 10), 0.1))


def test_a_table_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(InvalidStrategyError, match=r"expected \(225, 15\)"):
        single_agent("duopoly_pricing_v0", opponent=torch.full((9, 15), 1 / 15))


def test_an_opponent_that_gives_no_distribution_is_named() -> None:
    env = single_agent("duopoly_pricing_v0", opponent=lambda seen: torch.ones(1, 15))
    env.reset(seed=0)
    with pytest.raises(InvalidStrategyError, match="player_1: the opponent's policy gave"):
        env.step(0)


def test_an_illegal_action_of_the_learner_changes_nothing() -> None:
    env = single_agent("tic_tac_toe_v0", player=1)
    _, info = env.reset(seed=0)
    taken = int((info["action_mask"] == 0).nonzero()[0][0])
    with pytest.raises(IllegalActionError, match="which is not legal here"):
        env.step(taken)
    assert env.step(int(info["action_mask"].argmax()))[1] == 0.0
