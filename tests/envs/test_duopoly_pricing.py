"""The pricing environment: rewards, infos, both faces, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from strategic_envs.envs import duopoly_pricing_v0
from strategic_envs.envs.faces import markov
from strategic_envs.errors import IllegalActionError, InvalidGameError


def both(a: Any, b: Any) -> dict[str, Any]:
    return {"player_0": a, "player_1": b}


def test_rewards_and_infos_are_the_games_own() -> None:
    env = duopoly_pricing_v0.parallel_env()
    env.reset(seed=0)
    seen, rewards, ended, cut, infos = env.step(both(0, 14))
    assert rewards == pytest.approx(both(0.3518747488, 0.0911431495), abs=5e-11)
    assert not any(ended.values()) and not any(cut.values())
    assert infos["player_0"]["prices"] == pytest.approx([1.42772123, 1.97018634], abs=5e-9)
    assert infos["player_1"]["price"] == pytest.approx(1.97018634, abs=5e-9)
    gain = env.game.profit_gain(env.game.profits(torch.tensor([0, 14])))
    assert infos["player_0"]["profit_gain"] == pytest.approx(float(gain), abs=1e-15)
    assert seen["player_1"].nonzero()[0].tolist() == [14, 15]  # own price first
    assert env.state_row == 14


def test_everybody_is_truncated_together_after_max_cycles() -> None:
    env = duopoly_pricing_v0.parallel_env(max_cycles=3)
    env.reset(seed=0)
    for t in range(3):
        _, _, ended, cut, _ = env.step(both(t, t))
        assert cut == both(t == 2, t == 2) and ended == both(False, False)
    assert env.agents == []
    with pytest.raises(IllegalActionError, match="call reset"):
        env.step(both(0, 0))


def test_initial_state_is_drawn_by_the_seed_and_later_ones_by_its_stream() -> None:
    one, two = duopoly_pricing_v0.parallel_env(), duopoly_pricing_v0.parallel_env()
    rows = []
    for env in (one, two):
        env.reset(seed=3)
        rows.append([env.state_row])
        for _ in range(5):
            env.reset()
            rows[-1].append(env.state_row)
    assert rows[0] == rows[1] and len(set(rows[0])) > 3
    one.reset(seed=4)
    assert one.state_row != rows[0][0]


def test_looking_outcomes_up_and_asking_the_game_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def play() -> list[Any]:
        env = duopoly_pricing_v0.parallel_env(max_cycles=20)
        env.reset(seed=1)
        rng = np.random.default_rng(0)
        log = [env.step(both(*rng.integers(15, size=2))) for _ in range(20)]
        return [(seen["player_1"].tobytes(), rewards, infos) for seen, rewards, _, _, infos in log]

    looked_up = play()
    monkeypatch.setattr(markov, "_LOOKUP_LIMIT", 0)
    assert play() == looked_up


def test_turn_by_turn_play_is_parallel_play() -> None:
    parallel, aec = duopoly_pricing_v0.parallel_env(max_cycles=4), duopoly_pricing_v0.env(max_cycles=4)
    parallel.reset(seed=2)
    aec.reset(seed=2)
    for a, b in ((0, 1), (14, 3), (7, 7), (2, 2)):
        seen, rewards, *_ = parallel.step(both(a, b))
        aec.step(a)
        assert aec.observe("player_1").tobytes() != seen["player_1"].tobytes()  # nothing is seen of the move yet
        aec.step(b)
        assert aec.rewards == rewards
        assert aec.observe("player_1").tobytes() == seen["player_1"].tobytes()
    assert all(aec.truncations.values())
    assert aec.unwrapped.game.n_states == 225


def test_render_tells_prices_and_gain(capsys: pytest.CaptureFixture[str]) -> None:
    env = duopoly_pricing_v0.parallel_env(render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == "pricing: period 0 of 100"
    env.step(both(13, 13))
    text = env.render()
    assert text is not None and "player_0 charged 1.9314 (index 13)" in text and "profit gain 1.000" in text
    human = duopoly_pricing_v0.parallel_env(render_mode="human")
    human.reset(seed=0)
    human.step(both(1, 1))
    assert "profit gain -0.024" in capsys.readouterr().out


def test_spaces_follow_the_game() -> None:
    env = duopoly_pricing_v0.parallel_env(n=3, m=4, memory=2)
    assert env.possible_agents == ["player_0", "player_1", "player_2"]
    assert env.action_space("player_2").n == 4
    assert env.observation_space("player_0").shape == (24,)
    assert env.metadata["name"] == "duopoly_pricing_v0"


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (both(15, 0), r"player_0: got action 15, expected a whole number in 0\.\.14"),
        (both(0, -1), r"player_1: got action -1"),
        (both(float("nan"), 0), "got nan of dtype float64"),
        (both(0, 1.0), "player_1: got 1.0 of dtype float64"),
        (both(0, np.float32(2)), "of dtype float32"),
        (both(True, 0), "of dtype bool"),
        (both("3", 0), "got '3' of dtype <U1"),
        (both(None, 0), "got None of dtype object"),
        (both(np.array([3]), 0), r"shape \(1,\), expected one whole number"),
        ({"player_0": 1}, r"missing \['player_1'\]"),
        ({**both(1, 1), "player_2": 1}, r"unknown \['player_2'\]"),
        ([1, 1], "got actions of type list, expected a dictionary"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_actions_are_refused_and_change_nothing(actions: Any, message: str) -> None:
    env = duopoly_pricing_v0.parallel_env()
    env.reset(seed=0)
    before = env.state_row, env._cycle, env.state().tobytes(), list(env.agents)
    with pytest.raises(IllegalActionError, match=message):
        env.step(actions)
    assert (env.state_row, env._cycle, env.state().tobytes(), env.agents) == before


def test_numpy_and_torch_integers_are_actions() -> None:
    env = duopoly_pricing_v0.parallel_env()
    env.reset(seed=0)
    env.step(both(np.int32(3), torch.tensor(4)))
    env.step(both(np.array(3), np.uint8(4)))
    assert env.state_row == 3 * 15 + 4


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_cycles": 0}, r"got max_cycles=0, expected a whole number >= 1"),
        ({"max_cycles": 1.5}, "got max_cycles=1.5"),
        ({"render_mode": "rgb_array"}, r"got render_mode='rgb_array', expected None or one of \['human', 'ansi'\]"),
        ({"n": 0}, "got n=0 firms"),
        ({"cost": (-1.0, 1.0)}, "expected costs >= 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        duopoly_pricing_v0.parallel_env(**options)


def test_step_before_reset_is_refused() -> None:
    with pytest.raises(IllegalActionError, match="call reset"):
        duopoly_pricing_v0.parallel_env().step(both(0, 0))
