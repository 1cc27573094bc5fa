"""The environment of sequential pricing: only the mover acts, everybody is paid, what it refuses."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

import strategic_envs as se
from strategic_envs.envs import sequential_pricing_v0
from strategic_envs.envs.faces.alternating import AlternatingEnv
from strategic_envs.envs.single_agent import SingleAgentEnv
from strategic_envs.errors import IllegalActionError, InvalidGameError
from strategic_envs.games.pricing import pricing
from strategic_envs.games.pricing.maskin_tirole import kinked_demand


def begun(seed: int = 0, **options: Any) -> Any:
    env = sequential_pricing_v0.raw_env(**options)
    env.reset(seed=seed)
    return env


def test_firms_take_turns_and_each_period_pays_both() -> None:
    env = begun(max_cycles=3)
    game, mover = env.game, env.agent_selection
    standing = env.state_row % 7
    other = next(a for a in env.agents if a != mover)
    env.step(3)
    assert env.rewards == {mover: float(game.profit[3, standing]), other: float(game.profit[standing, 3])}
    assert env.agent_selection == other
    env.step(2)
    assert env.rewards == {other: float(game.profit[2, 3]), mover: 0.0}
    assert env.infos[mover]["prices"] == env.infos[other]["prices"] and env.infos[other]["mover"] == other
    assert (env.infos[mover]["price"], env.infos[other]["price"]) == (0.5, pytest.approx(1 / 3))
    assert env.agent_selection == mover


def test_rewards_add_up_between_turns() -> None:
    env = begun()
    mover, standing = env.agent_selection, env.state_row % 7
    env.step(3)
    env.step(3)
    expected = float(env.game.profit[3, standing] + env.game.profit[3, 3])
    assert env.last()[1] == pytest.approx(expected) and env.agent_selection == mover


def test_the_mover_sees_the_rivals_price_and_the_other_its_own() -> None:
    env = begun()
    env.step(4)
    now, before = env.agent_selection, next(a for a in env.agents if a != env.agent_selection)
    assert env.observe(now).nonzero()[0].tolist() == [0, 5]
    assert env.observe(before).nonzero()[0].tolist() == [5]
    assert env.observe(now).dtype == np.float32


def test_all_are_truncated_after_every_firm_has_moved_max_cycles_times() -> None:
    env = begun(max_cycles=4)
    moves = dict.fromkeys(env.agents, 0)
    for agent in env.agent_iter():
        over = env.truncations[agent]
        assert not env.terminations[agent]
        moves[agent] += not over
        env.step(None if over else 1)
    assert moves == {"player_0": 4, "player_1": 4} and env.agents == []
    with pytest.raises(IllegalActionError, match="the episode is over or was not begun"):
        env.step(1)


@pytest.mark.parametrize("action", [7, -1, 0.5, None, "3", float("nan"), True])
def test_what_is_no_price_is_refused_and_changes_nothing(action: Any) -> None:
    env = begun(seed=2)
    mover, state = env.agent_selection, env.state_row
    with pytest.raises(IllegalActionError, match=f"sequential_pricing, {mover}: got"):
        env.step(action)
    assert (env.agent_selection, env.state_row, env._last) == (mover, state, None)


def test_an_action_after_the_end_is_refused() -> None:
    env = begun(max_cycles=1)
    env.step(1)
    env.step(1)
    with pytest.raises(IllegalActionError, match=r"but the episode is over: step\(None\)"):
        env.step(1)


def test_seeds_decide_who_begins() -> None:
    first = {begun(seed=s).agent_selection for s in range(20)}
    assert first == {"player_0", "player_1"}
    assert begun(seed=5).state_row == begun(seed=5).state_row
    env = begun(seed=5)
    env.step(2)
    copy = pickle.loads(pickle.dumps(env))
    for one in (env, copy):
        one.step(6)
    assert env.infos == copy.infos and env.state_row == copy.state_row


def test_rendering_tells_who_set_which_price(capsys: pytest.CaptureFixture[str]) -> None:
    env = begun(render_mode="ansi", k=2)
    assert env.render() == "sequential_pricing: period 0 of 200"
    mover = env.agent_selection
    env.step(1)
    text = env.render()
    assert text.startswith("sequential_pricing: period 1 of 200\n") and f"{mover} sets 0.5000, earns" in text
    assert "keeps" in text
    begun(render_mode="human").step(1)
    assert "sequential_pricing: period 1" in capsys.readouterr().out


def test_play_earns_what_exact_values_say() -> None:
    """A best response to the kinked-demand equilibrium, against the environment's own rewards."""
    env = SingleAgentEnv(se.make("sequential_pricing_v0"), opponent=(begun().game.policies(kinked_demand(0.95))))
    env.reset(seed=0)
    total = sum(env.step(3)[1] for _ in range(60))
    assert total / 120 == pytest.approx(0.125, abs=0.01)  # both charge 1/2 after a few periods


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "got k=0"),
        ({"delta": 1.0}, "got delta=1.0"),
        ({"max_cycles": 0}, "got max_cycles=0"),
        ({"render_mode": "rgb_array"}, "got render_mode='rgb_array'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        se.make("sequential_pricing_v0", **options)


def test_there_is_no_parallel_mode_and_no_turn_in_games_without() -> None:
    with pytest.raises(InvalidGameError, match="sequential_pricing_v0 is turn-based only"):
        se.make("sequential_pricing_v0", mode="parallel")
    with pytest.raises(InvalidGameError, match="nobody's turn"):
        AlternatingEnv(pricing())


def test_the_wrapped_environment_keeps_order() -> None:
    env = sequential_pricing_v0.env()
    with pytest.raises(AttributeError, match="before reset"):
        _ = env.agent_selection
    assert torch.equal(env.unwrapped.game.prices, begun().game.prices)
