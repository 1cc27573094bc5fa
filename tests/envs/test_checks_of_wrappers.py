"""The turn-based face checks order and bounds as PettingZoo's wrappers do: side by side, call by call."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pettingzoo.utils.env_logger import EnvLogger
from pettingzoo.utils.wrappers import AssertOutOfBoundsWrapper, OrderEnforcingWrapper

from strategic_envs.envs import tic_tac_toe_v0
from strategic_envs.envs.faces.turn_based import TurnBasedEnv
from strategic_envs.errors import IllegalActionError, OutOfBoundsActionError, OutOfOrderError
from strategic_envs.games.tic_tac_toe import TicTacToe

WIN = (0, 3, 1, 4, 2)
ATTRIBUTES = ("agents", "num_agents", "agent_selection", "rewards", "terminations", "truncations", "infos")


def wrapped() -> Any:
    """PettingZoo's own tic-tac-toe in the two wrappers."""
    pytest.importorskip("pygame")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pettingzoo.classic import tictactoe_v3

        return OrderEnforcingWrapper(AssertOutOfBoundsWrapper(tictactoe_v3.raw_env()))


def ours() -> Any:
    return tic_tac_toe_v0.env()


def after(*moves: Any) -> Callable[[Any], Any]:
    """The probe of one more call `step(last of the moves)`."""

    def probe(env: Any) -> None:
        env.reset()
        for move in moves:
            env.step(move)

    return probe


def twice(env: Any) -> None:
    """Two turns of a loop without a step."""
    env.reset()
    turns = iter(env.agent_iter())
    next(turns)
    next(turns)


def reset_in_the_loop(env: Any) -> None:
    env.reset()
    turns = iter(env.agent_iter())
    next(turns)
    env.reset()
    next(turns)


def first_agent(env: Any) -> str:
    return env.possible_agents[0]


PROBES: dict[str, Callable[[Any], Any]] = {
    "step before reset": lambda e: e.step(0),
    "observe before reset": lambda e: e.observe(first_agent(e)),
    "state before reset": lambda e: e.state(),
    "render before reset": lambda e: e.render(),
    "agent_iter before reset": lambda e: e.agent_iter(),
    "last before reset": lambda e: e.last(),
    **{f"{name} before reset": lambda e, name=name: getattr(e, name) for name in ATTRIBUTES},
    "unknown attribute": lambda e: e.no_such_attribute,
    "close before reset": lambda e: e.close(),
    "spaces before reset": lambda e: (e.action_space(first_agent(e)), e.observation_space(first_agent(e))),
    "a move": after(4),
    "a NumPy integer": after(np.int64(4)),
    "a NumPy array of no dimension": after(np.array(4)),
    "too large": after(9),
    "negative": after(-1),
    "a fraction": after(0.5),
    "a whole float": after(1.0),
    "NaN": after(float("nan")),
    "text": after("0"),
    "nothing": after(None),
    "a dictionary": after({}),
    "an array": after(np.array([1])),
    "too large later": after(0, 1, 9),
    "None at the end": after(*WIN, None),
    "a move at the end": after(*WIN, 8),
    "a move out of bounds at the end": after(*WIN, 9),
    "everybody leaves": after(*WIN, None, None),
    "a step after everybody has left": after(*WIN, None, None, None),
    "a move after everybody has left": after(*WIN, None, None, 3),
    "a loop without a step": twice,
    "reset in a loop": reset_in_the_loop,
}


def outcome(env: Any, probe: Callable[[Any], Any]) -> tuple[type[BaseException] | None, int]:
    """The built-in exception that a call raises, and how many warnings it logs."""
    EnvLogger.flush()
    try:
        probe(env)
    except (AssertionError, AttributeError, ValueError) as error:
        return type(error), len(EnvLogger.mqueue)
    return None, len(EnvLogger.mqueue)


@pytest.mark.parametrize("name", [n for n in PROBES if n != "state before reset"])
def test_the_same_calls_are_refused_with_the_same_exceptions(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    expected, got = outcome(wrapped(), PROBES[name]), outcome(ours(), PROBES[name])
    assert got[1] == expected[1]
    if got[0] is None or expected[0] is None:
        assert got[0] is expected[0]
    else:
        assert issubclass(got[0], expected[0])


def test_before_reset_the_state_is_refused_as_by_the_wrapper() -> None:
    with pytest.raises(AssertionError):
        OrderEnforcingWrapper(ours()).state()
    with pytest.raises(OutOfOrderError, match=r"call reset\(\) before state\(\)"):
        ours().state()


def test_an_occupied_cell_is_our_own_error_and_no_assertion() -> None:
    env = ours()
    env.reset()
    env.step(4)
    with pytest.raises(IllegalActionError) as caught:
        env.step(4)
    assert not isinstance(caught.value, AssertionError)
    with pytest.raises(OutOfBoundsActionError):
        env.step(True)  # stricter than Gymnasium's space, to which a bool is an integer


def test_no_wrapper_is_left_and_wrappers_can_be_put_around() -> None:
    env = ours()
    assert isinstance(env, TurnBasedEnv) and env.unwrapped is env
    inside: Any = OrderEnforcingWrapper(AssertOutOfBoundsWrapper(env))
    inside.reset()
    moves = 0
    for _ in inside.agent_iter():
        seen, _, ended, cut, _ = inside.last()
        inside.step(None if ended or cut else int(seen["action_mask"].argmax()))
        moves += 1
    assert moves == 9  # 0, 1, ..., 6 and both leave


def test_agent_iter_stops_after_max_iter() -> None:
    env, seen = ours(), []
    env.reset()
    for agent in env.agent_iter(3):
        seen.append(agent)
        env.step(len(seen))
    assert seen == ["player_0", "player_1", "player_0"]


def test_what_a_user_does_to_an_observation_changes_no_game() -> None:
    env = ours()
    env.reset()
    before = env.observe("player_0")
    for array in env.observe("player_0").values():
        array[:] = 7
    env.state()[:] = 7
    other = ours()
    other.reset()
    for fresh in (env, other):
        assert all(np.array_equal(fresh.observe("player_0")[k], before[k]) for k in before)
    env.step(0)


@pytest.mark.parametrize("tabulate", [True, False])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_know_whether_the_game_was_begun(tabulate: bool, duplicate: Callable[[Any], Any]) -> None:
    env = TurnBasedEnv(TicTacToe(), tabulate=tabulate)
    with pytest.raises(OutOfOrderError):
        duplicate(env).step(0)
    with pytest.raises(AttributeError, match="agents cannot be accessed before reset"):
        _ = duplicate(env).agents
    env.reset()
    env.step(4)
    twin = duplicate(env)
    assert twin.state_code == env.state_code and twin.agent_selection == "player_1"
    twin.step(0)
    assert twin.state_code != env.state_code
