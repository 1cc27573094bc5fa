"""Tic-tac-toe on bitboards, for a whole batch of boards at once.

A board is one integer: bit c says that X holds cell c, bit 9 + c that O does. Cells are numbered row by row:

    0 1 2
    3 4 5
    6 7 8

X (player 0) moves first and play stops at a win. Payoffs are +1, -1, or 0 for a draw, so they sum to zero. With
perfect play the game is drawn; nine first moves keep the draw.

`TicTacToe` is the game as the rest of the library sees it. `Boards` steps thousands of boards in one compiled call and
`random_play` plays them at random.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.boards import Boards, RandomPlay, random_play
from strategic_envs.games.boards.lines import FULL, LINES, cells_of, has_line
from strategic_envs.games.kinds.known import Known
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["LINES", "Boards", "RandomPlay", "TicTacToe", "board_text", "parse_board", "random_play"]

_MARKS = ".XO"


class TicTacToe(TurnBasedGame):
    """The rules, on boards coded as integers.

    Example:
        >>> game = TicTacToe()
        >>> len(game.state_graph().states), game.optimal_values()[0].tolist()
        (5478, [0.0, 0.0])
    """

    name = "tic_tac_toe"
    n_players = 2
    n_actions = 9
    max_moves = 9

    def initial(self) -> int:
        return 0

    def mover(self, state: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        odd = state ^ state >> 9  # nobody holds a cell of the other, so the sum of the bits is odd at O's turn
        for shift in (8, 4, 2, 1):
            odd = odd ^ (odd & FULL) >> shift
        return odd & 1

    def legal(self, state: Int[Tensor, "*batch"]) -> Bool[Tensor, "*batch A"]:
        free = (FULL & ~(state | state >> 9)).masked_fill(self.terminal(state), 0)
        return cells_of(state.device)[free]

    def step(self, state: Int[Tensor, "*batch"], action: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        return state | (torch.ones_like(state) << (action + 9 * self.mover(state)))

    def terminal(self, state: Int[Tensor, "*batch"]) -> Bool[Tensor, "*batch"]:
        x, o = state & FULL, state >> 9
        wins = has_line(state.device)
        return wins[x] | wins[o] | ((x | o) == FULL)

    def returns(self, state: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch n"]:
        wins = has_line(state.device).double()
        x, o = wins[state & FULL], wins[state >> 9]
        return torch.stack([x - o, o - x], dim=-1)

    def observe(self, state: Int[Tensor, "*batch"], player: Int[Tensor, "*batch"] | int) -> Float[Tensor, "*batch obs"]:
        """27 numbers, 0 and 1: the cells the player holds, the cells the other holds, the empty cells."""
        x, o = state & FULL, state >> 9
        is_o = torch.as_tensor(player, device=state.device) == 1
        cells = cells_of(state.device)
        planes = [cells[torch.where(is_o, o, x)], cells[torch.where(is_o, x, o)], cells[FULL & ~(x | o)]]
        return torch.cat(planes, dim=-1).to(torch.float32)

    def known(self) -> Known:
        """Exact facts, by counting and by backward induction."""
        return Known(
            values={
                "value": 0.0,
                "nash_conv_uniform": 116101 / 60480,
                "exploitability_uniform": 116101 / 120960,
                "best_response_to_uniform_0": 191 / 192,
                "best_response_to_uniform_1": 874 / 945,
                "value_uniform": 187 / 630,
            },
            constants={
                "states": 5478.0,
                "states_up_to_symmetry": 765.0,
                "terminal_states": 958.0,
                "games": 255168.0,
                "optimal_first_moves": 9.0,
            },
            source="exact enumeration; NashConv agrees with OpenSpiel 2.0.2",
            note="Perfect play draws. Drawing replies: to a corner only the centre; to the centre only the corners.",
        )


def parse_board(text: str) -> int:
    """The code of a board written as nine marks `X`, `O` and `.`, row by row; blanks and slashes are skipped.

    Raises:
        InvalidGameError: If the text is not a board.

    Example:
        >>> parse_board("X.X / OO. / ...")
        12293
    """
    marks = [c for c in text.upper() if not c.isspace() and c != "/"]
    if len(marks) != 9 or not set(marks) <= set(_MARKS):
        raise InvalidGameError(f"tic_tac_toe: got the board {text!r}, expected nine of X, O and '.', row by row")
    return sum(1 << (c + 9 * (mark == "O")) for c, mark in enumerate(marks) if mark != ".")


def board_text(state: int) -> str:
    """A board as three lines of `X`, `O` and `.`.

    Example:
        >>> print(board_text(parse_board("X.X / OO. / ...")))
        X.X
        OO.
        ...
    """
    marks = [_MARKS[(state >> c & 1) + 2 * (state >> (c + 9) & 1)] for c in range(9)]
    return "\n".join("".join(marks[row : row + 3]) for row in (0, 3, 6))
