"""The tic-tac-toe environment: play, pictures, and illegal moves."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from strategic_envs import errors
from strategic_envs.envs import tic_tac_toe_v0
from strategic_envs.envs.faces.turn_based import TurnBasedEnv
from strategic_envs.envs.tic_tac_toe_v0 import board_image
from strategic_envs.errors import IllegalActionError, InvalidGameError, MissingExtraError
from strategic_envs.games.tic_tac_toe import TicTacToe, parse_board


def played(*moves: int, **options: Any) -> Any:
    env = tic_tac_toe_v0.env(**options)
    env.reset(seed=0)
    for move in moves:
        env.step(move)
    return env


def test_x_wins_and_both_end_together() -> None:
    env = played(0, 3, 1, 4, 2)
    assert env.rewards == {"player_0": 1.0, "player_1": -1.0}
    assert env.terminations == {"player_0": True, "player_1": True}
    assert env.truncations == {"player_0": False, "player_1": False}
    assert env.last()[0]["action_mask"].tolist() == [0] * 9
    env.step(None)
    assert env.last()[1] == 1.0  # player_1 went first: it had to move; player_0 is told of its win
    env.step(None)
    assert env.agents == []


def test_a_draw_pays_nothing() -> None:
    env = played(0, 4, 8, 1, 7, 6, 2, 5, 3)
    assert env.rewards == {"player_0": 0.0, "player_1": 0.0} and all(env.terminations.values())


def test_players_see_the_board_with_their_own_marks_first() -> None:
    env = played(4)
    assert env.agent_selection == "player_1"
    own, other, empty = env.observe("player_1")["observation"].reshape(3, 9)
    assert own.sum() == 0 and other.nonzero()[0].tolist() == [4] and empty.sum() == 8
    assert env.observe("player_0")["observation"][:9].nonzero()[0].tolist() == [4]


def test_only_the_mover_has_a_mask() -> None:
    env = played(4)
    assert env.observe("player_1")["action_mask"].tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1]
    assert env.observe("player_0")["action_mask"].tolist() == [0] * 9


@pytest.mark.parametrize("make", [tic_tac_toe_v0.raw_env, tic_tac_toe_v0.env])
@pytest.mark.parametrize(
    ("action", "message"),
    [
        (4, r"player_1: got action 4, which is not legal here, expected one of \[0, 1, 2, 3, 5, 6, 7, 8\]"),
        (9, r"player_1: got action 9, expected a whole number in 0\.\.8"),
        (-1, "got action -1"),
        (float("nan"), "got nan of dtype float64"),
        (0.0, "of dtype float64"),
        (None, "got None"),
        ("0", "got '0'"),
    ],
)
def test_an_illegal_move_is_an_error_and_changes_nothing(make: Any, action: Any, message: str) -> None:
    env = make()
    env.reset(seed=0)
    env.step(4)
    board = env.unwrapped.state_code
    with pytest.raises(IllegalActionError, match=message):
        env.step(action)
    assert env.unwrapped.state_code == board and env.agent_selection == "player_1"
    env.step(0)
    assert env.agent_selection == "player_0"


def test_moves_after_the_end_and_before_the_beginning_are_refused() -> None:
    over = played(0, 3, 1, 4, 2)
    with pytest.raises(IllegalActionError, match=r"the game is over: step\(None\)"):
        over.step(8)
    with pytest.raises(IllegalActionError, match="call reset"):
        tic_tac_toe_v0.raw_env().step(0)
    with pytest.raises(IllegalActionError, match="expected one of"):
        over.unwrapped.observe("player_2")


def test_unknown_render_mode_is_refused() -> None:
    with pytest.raises(InvalidGameError, match="got render_mode='svg'"):
        tic_tac_toe_v0.env(render_mode="svg")


def test_ansi_draws_three_lines() -> None:
    assert played(0, 4, 8, render_mode="ansi").render() == "X..\n.O.\n..X"
    assert played(0).render() is None


def test_picture_marks_only_the_cells_that_are_taken() -> None:
    image = played(0, 4, render_mode="rgb_array").render()
    assert image.shape == (300, 300, 3) and image.dtype == np.uint8
    empty = board_image(0)
    changed = (image != empty).any(-1)
    cells = changed.reshape(3, 100, 3, 100).any((1, 3))
    assert cells.flatten().nonzero()[0].tolist() == [0, 4]
    assert not np.array_equal(image[:100, :100], image[100:200, 100:200])
    assert np.array_equal(board_image(parse_board("X........"))[:100, :100], image[:100, :100])


def test_window_opens_without_a_screen_and_closes() -> None:
    env = played(0, 4, render_mode="human")
    assert env.render() is None
    copy = pickle.loads(pickle.dumps(env.unwrapped))
    assert copy._screen is None and copy.state_code == env.unwrapped.state_code
    env.close()
    env.close()


def test_a_missing_pygame_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> Any:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(errors.importlib, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"strategic-envs\[render\]"):
        tic_tac_toe_v0.env(render_mode="human")


def test_looking_states_up_and_asking_the_game_give_the_same_bytes() -> None:
    def play(tabulate: bool) -> list[Any]:
        env, rng, log = TurnBasedEnv(TicTacToe(), tabulate=tabulate), np.random.default_rng(0), []
        for _ in range(20):
            env.reset()
            while not all(env.terminations.values()):
                seen, reward, *_ = env.last()
                log.append((seen["observation"].tobytes(), seen["action_mask"].tobytes(), reward, env.state_row))
                env.step(int(rng.choice(seen["action_mask"].nonzero()[0])))
            log.append((dict(env.rewards), env.state_code, env.state().tobytes()))
        return log

    assert play(True) == play(False)


def test_a_pickled_environment_leaves_its_tables_at_home() -> None:
    env = played(0, 4)
    assert len(pickle.dumps(env)) < 20_000
