"""The strategic test in words: which boards are asked, and what answers amount to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from strategic_envs.agents.text import (
    Attempt,
    NoAnswerError,
    TablePlayer,
    TextPlayer,
    Turn,
    choose_positions,
    examine,
    judge_turns,
    read_answers,
    write_answers,
)
from strategic_envs.baselines.turn_based import fixed_player
from strategic_envs.errors import DataError, InvalidSettingError, InvalidStrategyError, UnknownNameError
from strategic_envs.evaluators.strategic import strategic_test
from strategic_envs.evaluators.strategic_classes import canonical, strategic_classes
from strategic_envs.games.tic_tac_toe import TicTacToe, parse_board

GAME = TicTacToe()
GRAPH = GAME.state_graph()
LIVE = ~GRAPH.terminal
SLIDE = parse_board("X.X / OO. / ...")


def table(name: str) -> TablePlayer:
    return TablePlayer(GAME, fixed_player(GAME, name), name)


def test_boards_are_one_of_each_eight_alike_with_the_slide_as_it_is():
    boards = choose_positions()
    assert len(boards) == len(set(boards)) == 627 and SLIDE in boards
    assert len(canonical(torch.tensor(boards))[0].unique()) == 627
    assert sorted(choose_positions("all")) == sorted(GRAPH.states[LIVE].tolist())


def test_classes_and_a_limit_leave_boards_that_are_scored():
    classes, few = strategic_classes(), choose_positions(classes=["fork", "win1"], limit=4)
    assert len(few) == 8 and SLIDE in few and few == choose_positions(classes=["fork", "win1"], limit=4)
    assert few != choose_positions(classes=["fork", "win1"], limit=4, seed=1)
    assert len(choose_positions(classes=["fork"])) == 26 and len(choose_positions("all", ["fork"])) == 192
    rows = GRAPH.index(torch.tensor(choose_positions(limit=1000)))
    assert bool(classes.scored[rows].all()) and len(rows) < 627


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"positions": "some"}, UnknownNameError, "canonical"),
        ({"classes": ["forks"]}, UnknownNameError, "did you mean 'fork'"),
        ({"classes": ["lost"]}, InvalidSettingError, "no position that is scored"),
        ({"limit": 0}, InvalidSettingError, "limit=0"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_positions_that_are_none_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        choose_positions(**arguments)


def test_a_model_that_reads_the_board_well_scores_as_its_table_does(reads):
    model = reads("fastest")
    found = examine(TextPlayer(model), choose_positions())
    assert model.count == 627 and found.tally.first_time == 627
    assert found.report.positions == 4520 and found.report["all"].accuracy == 1
    assert found.report.exploitability == 0 and found.report.slide_right == 1
    assert bool(found.asked[LIVE].all()) and not bool(found.forfeits.any())


def test_answers_are_turned_with_the_board():
    """Judging all positions of a player that commutes with turns is judging one of each eight."""
    best = fixed_player(GAME, "two_moves_ahead")
    few = examine(TablePlayer(GAME, best, "ahead"), choose_positions())
    codes, _ = canonical(GRAPH.states)
    worth = (few.table * strategic_classes().perfect.worth.nan_to_num(0)).sum(-1)
    for code in codes[LIVE].unique()[::7].tolist():
        alike = worth[(codes == code) & LIVE]
        assert bool((alike == alike[0]).all())
    everywhere = strategic_test(few.table)
    assert few.report.row() == everywhere.row()


def test_all_positions_are_asked_as_they_are():
    best = fixed_player(GAME, "lowest")
    boards = choose_positions("all")
    found = examine(TablePlayer(GAME, best, "lowest"), boards, positions="all")
    assert found.report.row() == strategic_test(best).row()
    part = examine(TablePlayer(GAME, best, "lowest"), boards[:50], positions="all")
    assert part.report.positions == 50 and part.report.exploitability is None


def test_workers_give_the_same_answers_in_the_same_order(reads):
    boards = choose_positions(limit=10)
    one, four = (examine(TextPlayer(reads()), boards, workers=n) for n in (1, 4))
    assert [t.state for t in four.turns] == boards
    assert [t.action for t in one.turns] == [t.action for t in four.turns]
    drawn = [examine(table("uniform_random"), boards, workers=n).turns for n in (1, 3)]
    assert drawn[0] == drawn[1]


def test_nonsense_is_forfeited_and_never_right(scripted):
    boards = choose_positions(classes=["fork"])
    found = examine(TextPlayer(scripted("what a nice board"), retries=1), boards)
    assert found.tally.forfeits == 26 and found.tally.attempts["unparsable"] == 52
    fork = found.report["fork"]
    assert (fork.accuracy, fork.value_kept, fork.regret, fork.forfeits) == (0, 0, 2, 1)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_model_that_is_down_is_not_asked_for_ever_and_the_run_ends(scripted, workers):
    model = scripted(NoAnswerError("refused", "no connection to 127.0.0.1"))
    found = examine(TextPlayer(model), choose_positions(), workers=workers, give_up_after=4)
    assert 4 <= len(model.asked) < 4 + workers
    assert found.tally.forfeits == 627 and found.tally.attempts["not_asked"] == 627 - len(model.asked)
    assert found.report.nash_conv == 2 and found.report["all"].accuracy == 0
    assert "no connection to 127.0.0.1" in found.turns[-1].reason


def test_single_failures_do_not_end_the_asking(scripted):
    model = scripted(*[NoAnswerError("http", "500"), "MOVE: 0"] * 20)
    boards = choose_positions(limit=5)
    examine(TextPlayer(model, retries=0), boards, give_up_after=2)
    assert len(model.asked) == len(boards)


@pytest.mark.parametrize("setting", ["workers", "give_up_after"])
def test_counts_of_nothing_are_refused(reads, setting):
    with pytest.raises(InvalidSettingError, match=f"{setting}=0"):
        examine(TextPlayer(reads()), choose_positions(limit=1), **{setting: 0})


def test_answers_for_no_board_of_a_game_are_refused():
    with pytest.raises(InvalidStrategyError, match="no answers"):
        judge_turns([])
    with pytest.raises(InvalidStrategyError, match="cannot be reached"):
        judge_turns([Turn(0b111_111_111, 0)])
    with pytest.raises(InvalidStrategyError, match="the game is over"):
        judge_turns([Turn(parse_board("XXX/OO./..."), 5)])
    with pytest.raises(InvalidStrategyError, match="illegal action"):
        judge_turns([Turn(1, 0)])


def test_answers_that_were_written_are_read_again_with_all_that_happened(tmp_path: Path, scripted):
    player = TextPlayer(scripted("1 or 5", "MOVE: 5", "?", "?", "?", NoAnswerError("timeout", "late")))
    turns = [player.turn(board) for board in (SLIDE, 0, 1)]
    write_answers(tmp_path / "answers.jsonl", turns)
    assert read_answers(tmp_path / "answers.jsonl") == turns
    assert judge_turns(turns).report.slide_right == 0 and judge_turns(turns).report.slide_value_kept == 1


def test_a_board_and_an_answer_are_enough(tmp_path: Path):
    lines = [{"board": "X.X/OO./...", "answer": "MOVE: 1"}, {"board": "...\n...\n...", "answer": None}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    right, forfeit = read_answers(tmp_path / "a.jsonl")
    assert right == Turn(SLIDE, 1, (Attempt("ok", "MOVE: 1"),)) and forfeit.reason == "error: no answer"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no answers"),
        ("{", "line 1: got '{'"),
        ("[1]", "line 1"),
        ('{"board": "X.X/OO./..."}', 'expected {"board"'),
        ('{"board": 5, "answer": "1"}', "are texts"),
        ('{"board": "X.X/OO./...", "answer": 5}', "are texts"),
        ('{"board": "X.X", "answer": "1"}', "no board of a game"),
        ('{"board": "XXX/.../...", "answer": "4"}', "no board of a game"),
        ('{"board": "XXX/OO./...", "answer": "5"}', "a game that is over"),
        ('{"board": "X../.../...", "answer": "4"}\n{"board": "X../.../...", "answer": "5"}', "line 2: .* above"),
        ('{"board": "X../.../...", "answer": "4", "attempts": [{"kind": "fine"}]}', "not as they were written"),
        ('{"board": "X../.../...", "answer": "4", "attempts": [5]}', "not as they were written"),
        ('{"board": "X../.../...", "answer": "4", "attempts": [{"kind": "ok", "seconds": "1"}]}', "not as they"),
    ],
)
def test_a_damaged_file_of_answers_is_refused_by_its_line(tmp_path: Path, text, message):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_answers(path)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no file of answers"):
        read_answers(tmp_path / "none.jsonl")
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no file of answers"):
        read_answers(tmp_path / "b")
