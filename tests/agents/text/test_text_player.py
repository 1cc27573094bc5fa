"""A player that is asked in words: questions, retries, and accounts of what went wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from strategic_envs.agents.text import NoAnswerError, Tally, TextPlayer
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.tic_tac_toe import parse_board

SLIDE = parse_board("X.X / OO. / ...")


def test_the_question_shows_the_board_the_mover_and_the_empty_cells(scripted):
    model = scripted("MOVE: 1")
    turn = TextPlayer(model).turn(SLIDE)
    system, user = model.asked[0]
    assert turn.action == 1 and turn.reason == "" and [a.kind for a in turn.attempts] == ["ok"]
    assert system["role"] == "system" and "MOVE:" in system["content"]
    assert " X | 1 | X\n---+---+---\n O | O | 5\n---+---+---\n 6 | 7 | 8" in user["content"]
    assert "You are X" in user["content"] and "1, 5, 6, 7, 8" in user["content"]
    TextPlayer(model).turn(parse_board("X../.../..."))
    assert "You are O" in model.asked[-1][1]["content"]


def test_a_wrong_answer_is_explained_and_may_be_mended(scripted):
    model = scripted("1 or 5", "MOVE: 0", "MOVE: 5")
    turn = TextPlayer(model, retries=2).turn(SLIDE)
    assert turn.action == 5 and [a.kind for a in turn.attempts] == ["unparsable", "illegal", "ok"]
    first, second = model.asked[1][2:], model.asked[2][4:]
    assert [m["role"] for m in first] == ["assistant", "user"] and first[0]["content"] == "1 or 5"
    assert "several cells (1, 5)" in first[1]["content"] and "Empty cells: 1, 5, 6, 7, 8" in first[1]["content"]
    assert "0 is taken" in second[1]["content"]


def test_a_player_that_never_gives_a_move_forfeits_with_the_last_reason(scripted):
    model = scripted("no idea")
    turn = TextPlayer(model, retries=3).turn(SLIDE)
    assert turn.action is None and len(turn.attempts) == len(model.asked) == 4
    assert turn.reason == "unparsable: the answer has none of the forms that are read"


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (NoAnswerError("timeout", "no answer within 1 s"), "timeout", "no answer within 1 s"),
        (NoAnswerError("http", "401 wrong key"), "http", "401 wrong key"),
        (RuntimeError("out of memory"), "error", "RuntimeError: out of memory"),
        (None, "malformed", "answered with a NoneType"),
        (b"5", "malformed", "answered with a bytes"),
    ],
)
def test_whatever_a_model_does_is_recorded_and_never_raised(scripted, fault, kind, reason):
    turn = TextPlayer(scripted(fault)).turn(SLIDE)
    assert turn.action is None and turn.attempts[-1].kind == kind and reason in turn.reason


def test_an_interrupt_is_not_a_fault_of_the_player(scripted):
    with pytest.raises(KeyboardInterrupt):
        TextPlayer(scripted(KeyboardInterrupt())).turn(SLIDE)


@pytest.mark.parametrize("retries", [-1, True])
def test_retries_are_a_whole_number(scripted, retries):
    with pytest.raises(InvalidSettingError, match="retries"):
        TextPlayer(scripted("5"), retries=retries)


def test_the_tally_counts_attempts_forfeits_and_times(scripted):
    player = TextPlayer(
        scripted("MOVE: 1", "?", "MOVE: 1", "?", "?", "MOVE: 0", NoAnswerError("http", "500")), retries=2
    )
    turns = [player.turn(SLIDE) for _ in range(4)]
    tally = Tally.of(turns)
    assert [turn.action for turn in turns] == [1, 1, None, None]
    assert (tally.questions, tally.first_time, tally.forfeits) == (4, 1, 2)
    assert {k: v for k, v in tally.attempts.items() if v} == {"ok": 2, "unparsable": 3, "illegal": 1, "http": 1}
    row = tally.row()
    assert row["attempts_http"] == 1 and row["attempts_timeout"] == 0 and row["seconds_median"] >= 0
    assert row["seconds_max"] >= row["seconds_mean"]


def test_text_and_fixed_players_need_no_ray_and_a_checkpoint_says_that_it_does(tmp_path: Path):
    code = (
        "import sys\n"
        "sys.modules['ray'] = None\n"
        "from strategic_envs.agents.text import TablePlayer, TextPlayer, choose_positions, examine\n"
        "from strategic_envs.scripts.cli import main\n"
        "assert main(['evaluate', '--strategic', 'fastest', '--games', '1']) == 0\n"
        "assert main(['play', 'tic_tac_toe_v0', '--against', 'lowest']) == 0\n"
        "sys.exit(main(['evaluate', '--strategic', '.']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, input="q\n", capture_output=True, text=True)
    assert done.returncode == 2 and "You left the game" in done.stdout
    assert "strategic-envs[rllib]" in done.stderr and done.stderr.count("\n") == 1, done.stderr
