"""Answers in a file: one JSON object a line, with a board and what a player answered.

`{"board": "X.X/OO./...", "answer": "MOVE: 1"}` is enough, so answers may also be collected by hand. `evaluate --out`
writes such files, with every attempt beside the answer. An answer is read as strictly as one that was just given;
`null` is a forfeit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from strategic_envs.agents.text.board import legal_cells
from strategic_envs.agents.text.reading import read_answer
from strategic_envs.agents.text.turns import FAULTS, Attempt, Turn
from strategic_envs.errors import DataError, InvalidGameError, InvalidStrategyError
from strategic_envs.games.tic_tac_toe import TicTacToe, board_text, parse_board
from strategic_envs.results import write_atomic

__all__ = ["read_answers", "turn_record", "write_answers"]


def turn_record(turn: Turn) -> dict[str, Any]:
    """A turn as a line of the file.

    Example:
        >>> turn_record(Turn(1, 4, (Attempt("ok", "MOVE: 4"),)))["board"]
        'X../.../...'
    """
    answer = turn.attempts[-1].answer if turn.attempts else None if turn.action is None else str(turn.action)
    board = board_text(turn.state).replace("\n", "/")
    attempts = [asdict(attempt) for attempt in turn.attempts]
    return {"board": board, "answer": answer, "cell": turn.action, "reason": turn.reason, "attempts": attempts}


def write_answers(path: str | Path, turns: Iterable[Turn]) -> None:
    """Writes turns to a file, whole or not at all.

    Example:
        >>> write_answers("answers.jsonl", [Turn(0, 4, (Attempt("ok", "MOVE: 4"),))])
        >>> read_answers("answers.jsonl")[0].action
        4
    """
    write_atomic(Path(path), "".join(json.dumps(turn_record(turn)) + "\n" for turn in turns))


def read_answers(path: str | Path) -> list[Turn]:
    """The turns of a file.

    Raises:
        DataError: If the file is missing, empty or no text, or a line has no board that can be reached and is still to
            play, no answer, or a board that stands above already. The message names the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no file of answers ({error})") from error
    turns: dict[int, Turn] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            turn = _turn(line, f"{path}, line {number}")
            if turn.state in turns:
                raise DataError(f"{path}, line {number}: the board {board_text(turn.state)!r} stands above already")
            turns[turn.state] = turn
    if not turns:
        raise DataError(f"{path} holds no answers, expected one JSON object a line")
    return list(turns.values())


def _turn(line: str, where: str) -> Turn:
    try:
        record = json.loads(line)
        board, answer = record["board"], record["answer"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f'{where}: got {line[:60]!r}, expected {{"board": ..., "answer": ...}}') from error
    if not isinstance(board, str) or not (answer is None or isinstance(answer, str)):
        raise DataError(f"{where}: board and answer are texts, and an answer may be null")
    state = _state(board, where)
    earlier = _attempts(record.get("attempts"), where)
    if answer is None:
        return Turn(state, None, earlier or (Attempt("error", None, str(record.get("reason") or "no answer")),))
    reading = read_answer(answer, legal_cells(state))
    last = earlier[-1].seconds if earlier else 0.0
    attempt = Attempt(reading.fault or "ok", answer, reading.explain, last)
    return Turn(state, reading.cell, (*earlier[:-1], attempt))


def _state(board: str, where: str) -> int:
    graph = TicTacToe().state_graph()
    try:
        state = parse_board(board)
        row = int(graph.index(torch.tensor(state)))
    except (InvalidGameError, InvalidStrategyError) as error:
        raise DataError(f"{where}: {board!r} is no board of a game ({error})") from error
    if bool(graph.terminal[row]):
        raise DataError(f"{where}: {board!r} is a game that is over")
    return state


def _attempts(records: object, where: str) -> tuple[Attempt, ...]:
    if records is None:
        return ()
    try:
        found = tuple(Attempt(**record) for record in records)  # pyright: ignore[reportGeneralTypeIssues]
    except TypeError as error:
        raise DataError(f"{where}: the attempts are not as they were written ({error})") from error
    if any(
        a.kind not in ("ok", *FAULTS) or isinstance(a.seconds, bool) or not isinstance(a.seconds, int | float)
        for a in found
    ):
        raise DataError(f"{where}: the attempts are not as they were written")
    return found
