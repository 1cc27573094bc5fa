"""The strict reader: what is an answer, and what is none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategic_envs.agents.text.reading import read_answer

LEGAL = [1, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "text",
    [
        "5",
        " 5.\n",
        "**5**",
        "`5`",
        "(5)",
        "[5]",
        "'5'",
        "cell 5",
        "Cell: 5",
        "move 5",
        "My move is 5.",
        "my move is cell 5",
        "Answer: 5",
        "answer is **5**",
        "I play 5",
        "I choose cell 5.",
        "i take 5",
        "MOVE: 5",
        "move: 5",
        "Move = 5",
        "**MOVE: 5**",
        "**MOVE:** 5",
        "`MOVE: 5`",
        "> MOVE: 5",
        "MOVE: cell 5",
        "O threatens 3-4-5 and I could win with 1, but 5 blocks.\n\nMOVE: 5",
        "Cells 1, 5, 6, 7, 8 are empty.\nMOVE: 5\n\n",
        "<think>1 wins? MOVE: 1\nNo.</think>\nMOVE: 5",
        "<think>1 or 5</think>5",
        '{"move": 5}',
        '{"cell": 5, "why": "it blocks 3 and 4"}',
        '```json\n{"move": 5}\n```',
        "MOVE: +5",
        "MOVE: 05",
    ],
)
def test_documented_forms_name_one_cell(text):
    assert read_answer(text, LEGAL).cell == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        ("<think>5</think>", "is empty"),
        ("<think>I would take 5", "before its thoughts did"),
        ("1 or 5", r"several cells \(1, 5\)"),
        ("1, 5", "several cells"),
        ("5 6", "several cells"),
        ("MOVE: 1 or 5", "several cells"),
        ("MOVE: 1, 5", "several cells"),
        ("MOVE: 5.5", "MOVE: names no cell"),
        ("MOVE: 5-6", "several cells"),
        ("MOVE: five", "names no cell"),
        ("MOVE:", "names no cell"),
        ("MOVE: 5 because it blocks", "names no cell"),
        ("MOVE: 1\nMOVE: 5", "more than one line"),
        ("MOVE: 5\nMOVE: 5", "more than one line"),
        ("MOVE: 5\nThis blocks O.", "not the last one"),
        ("I would take cell 5 since it blocks the row 3 4 5.", "several cells"),
        ("The best cell is the middle one on the right.", "none of the forms"),
        ("I think 5 is best", "none of the forms"),
        ("five", "none of the forms"),
        ("5th", "none of the forms"),
        ("0x5", "several cells|none of the forms"),
        ("5e0", "several cells|none of the forms"),
        ("٥", "none of the forms"),
        ("²", "none of the forms"),
        ("9" * 100_000, "none of the forms"),
        ("X", "none of the forms"),
        ('{"move": "5"}', "JSON answer is not of the form"),
        ('{"move": true}', "JSON answer is not of the form"),
        ('{"move": 5.0}', "JSON answer is not of the form"),
        ('{"move": [5]}', "JSON answer is not of the form"),
        ('{"move": 5, "cell": 1}', "JSON answer is not of the form"),
        ('{"mv": 5}', "JSON answer is not of the form"),
        ('{"move": 5', "looks like JSON"),
        ('{"a":' * 100_000, "looks like JSON"),
    ],
)
def test_everything_else_is_no_answer_and_says_why(text, message):
    reading = read_answer(text, LEGAL)
    assert reading.cell is None and reading.fault == "unparsable"
    assert re.search(message, reading.explain), reading.explain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MOVE: 0", "0 is taken"),
        ("4", "4 is taken"),
        ("MOVE: 9", "9 is no cell of the board"),
        ("MOVE: -1", "-1 is no cell of the board"),
        ("123456", "no cell"),
        ('{"move": 3}', "3 is taken"),
        (f'{{"move": {"9" * 50}}}', "no cell"),
    ],
)
def test_cells_that_are_taken_or_do_not_exist_are_illegal(text, message):
    reading = read_answer(text, LEGAL)
    assert reading.cell is None and reading.fault == "illegal" and message in reading.explain


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_exception_and_never_as_an_illegal_cell(text):
    reading = read_answer(text, LEGAL)
    assert reading.cell in LEGAL if reading.cell is not None else reading.fault in ("unparsable", "illegal")
    assert (reading.explain == "") == (reading.cell is not None)


@given(st.sampled_from(LEGAL), st.text(alphabet=st.characters(codec="ascii"), max_size=80))
def test_a_last_line_with_the_move_counts_whatever_stands_above(cell, prose):
    if "move" not in prose.lower() and "<think>" not in prose and "\x00" not in prose and not prose.startswith("```"):
        assert read_answer(f"Well: {prose}\nMOVE: {cell}", LEGAL).cell == cell
