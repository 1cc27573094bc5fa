"""A board of tic-tac-toe in words: how it is drawn, and what a player is asked."""

from __future__ import annotations

from strategic_envs.agents.text.turns import Message

__all__ = ["ask", "legal_cells", "numbered_board", "side", "try_again"]

_RULES = """You play tic-tac-toe. The cells of the board are numbered row by row:

 0 | 1 | 2
---+---+---
 3 | 4 | 5
---+---+---
 6 | 7 | 8

X moves first, then O and X take turns. Who gets three of their own marks in a row, a column or a diagonal wins at once.
On the board you are shown, a number is an empty cell.
Win as soon as you can; if you cannot win, draw; if you cannot draw, lose as late as you can.
You may think first. The last line of your answer must be MOVE: followed by the number of one empty cell."""


def side(state: int) -> str:
    """Whose turn it is: `X` or `O`.

    Example:
        >>> side(0), side(1)
        ('X', 'O')
    """
    return "XO"[(state & 511 | state >> 9).bit_count() % 2]


def legal_cells(state: int) -> list[int]:
    """The empty cells of a board that is not decided.

    Example:
        >>> legal_cells(0b11)
        [2, 3, 4, 5, 6, 7, 8]
    """
    return [cell for cell in range(9) if not (state | state >> 9) >> cell & 1]


def numbered_board(state: int) -> str:
    """A board with its empty cells numbered.

    Args:
        state: The board as an integer; see `strategic_envs.games.tic_tac_toe`.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import parse_board
        >>> print(numbered_board(parse_board("X.X / OO. / ...")))
         X | 1 | X
        ---+---+---
         O | O | 5
        ---+---+---
         6 | 7 | 8
    """
    marks = ["X" if state >> c & 1 else "O" if state >> (c + 9) & 1 else str(c) for c in range(9)]
    return "\n---+---+---\n".join(" " + " | ".join(marks[row : row + 3]) for row in (0, 3, 6))


def ask(state: int) -> list[Message]:
    """The messages that ask for a move.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import parse_board
        >>> print(ask(parse_board("X.X / OO. / ..."))[1]["content"])
        You are X and it is your turn.
        <BLANKLINE>
         X | 1 | X
        ---+---+---
         O | O | 5
        ---+---+---
         6 | 7 | 8
        <BLANKLINE>
        Empty cells: 1, 5, 6, 7, 8. Your last line must be MOVE: and one of them.
    """
    question = f"You are {side(state)} and it is your turn.\n\n{numbered_board(state)}\n\n{_choice(state)}"
    return [{"role": "system", "content": _RULES}, {"role": "user", "content": question}]


def try_again(state: int, explain: str) -> str:
    """What a player is told whose answer was no move.

    Example:
        >>> try_again(0b11, "0 is taken")
        'That was no move: 0 is taken. Empty cells: 2, 3, 4, 5, 6, 7, 8. Your last line must be MOVE: and one of them.'
    """
    return f"That was no move: {explain}. {_choice(state)}"


def _choice(state: int) -> str:
    return f"Empty cells: {', '.join(map(str, legal_cells(state)))}. Your last line must be MOVE: and one of them."
