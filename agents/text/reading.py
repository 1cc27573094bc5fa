"""Reads the one cell that an answer names, strictly: what is not in a documented form is no answer.

The forms, upper or lower case alike:

- a last line `MOVE: 4`; what stands above it is free, but no other line may begin with `MOVE:`;
- nothing but the cell: `4`, `cell 4`, `move 4`, `my move is 4`, `answer: 4`, `I play 4`, `I choose cell 4`, `I take 4`;
- a JSON object with one of the keys `move` and `cell`: `{"move": 4}`, also in a code fence.

Emphasis, quotes, brackets and a full stop around them do not matter, and thoughts between `<think>` and `</think>` are
left out. An answer that names several cells is none, even if one of them is legal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Reading", "read_answer"]

_AROUND = " \t\r\n*_`'\"()[]."
_WORDS = r"(?:(?:my\s+)?(?:move|cell|answer)(?:\s+is|\s*[:=])?|i\s+(?:play|choose|take))"
_ALONE = re.compile(rf"(?:{_WORDS}[\s*_`]*)?(?:cell\s+)?([+-]?[0-9]{{1,6}})", re.IGNORECASE)
_LINE = re.compile(r"[\s*_`#>-]*move[\s*_`]*[:=](.*)", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?[0-9]+")
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL | re.IGNORECASE)
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)


@dataclass(frozen=True)
class Reading:
    """What an answer says.

    Args:
        cell: The legal cell that it names; None if it names none.
        fault: Empty, `"unparsable"` or `"illegal"`.
        explain: What is wrong with it, for whoever gave it.
    """

    cell: int | None
    fault: str = ""
    explain: str = ""


def read_answer(text: str, legal: Sequence[int]) -> Reading:
    """Reads an answer.

    Args:
        text: The answer.
        legal: The legal cells.

    Example:
        >>> read_answer("Cell 1 completes the row.\\nMOVE: 1", [1, 5, 6]).cell
        1
        >>> read_answer("MOVE: 1 or 5", [1, 5, 6]).explain
        'the answer names several cells (1, 5)'
        >>> read_answer("4", [1, 5, 6]).fault
        'illegal'
    """
    number = _number(text)
    if isinstance(number, str):
        return Reading(None, "unparsable", number)
    if number not in legal:
        where = "is taken" if 0 <= number <= 8 else "is no cell of the board"
        return Reading(None, "illegal", f"{number} {where}")
    return Reading(number)


def _number(text: str) -> int | str:
    """The one number that is named, or why there is none."""
    text = _THOUGHTS.sub("", text).strip()
    if "<think>" in text:
        return "the answer ended before its thoughts did"
    if not text:
        return "the answer is empty"
    fenced = _FENCE.match(text)
    inner = fenced.group(1).strip() if fenced else text
    if inner.startswith("{"):
        return _from_json(inner)
    lines = [line for line in text.splitlines() if line.strip(_AROUND)]
    named = [(i, match.group(1)) for i, line in enumerate(lines) if (match := _LINE.fullmatch(line.strip()))]
    if len(named) > 1:
        return "more than one line begins with MOVE:"
    if named and named[0][0] != len(lines) - 1:
        return "the line MOVE: is not the last one"
    wanted = named[0][1] if named else text
    found = _ALONE.fullmatch(wanted.strip(_AROUND))
    if found:
        return int(found.group(1))
    numbers = list(dict.fromkeys(_NUMBER.findall(wanted)))
    if len(numbers) > 1:
        return f"the answer names several cells ({', '.join(n[:6] for n in numbers[:9])})"
    return "the line MOVE: names no cell" if named else "the answer has none of the forms that are read"


def _from_json(text: str) -> int | str:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return "the answer looks like JSON, but it is none"
    keys = [key for key in ("move", "cell") if key in said]
    if len(keys) != 1 or isinstance(said[keys[0]], bool) or not isinstance(said[keys[0]], int):
        return 'the JSON answer is not of the form {"move": NUMBER}'
    return said[keys[0]]
