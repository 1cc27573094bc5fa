"""`strategic-envs play`: a person plays against an agent in the terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from strategic_envs.errors import UnknownNameError
from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.players import Asking, named_play

if TYPE_CHECKING:
    import numpy as np

    from strategic_envs.agents.text import GameRecord, Turn
    from strategic_envs.agents.text.match import Player


class _LeftError(Exception):
    """The person has gone."""


@dataclass(frozen=True)
class Command:
    """Plays a game against an agent in the terminal.

    A move is the number of an empty cell; q leaves. The opponent is a fixed player (optimal, fastest, two_moves_ahead,
    uniform_random, lowest), a checkpoint, the folder that train wrote, or a model at an HTTP endpoint.
    """

    environment: Annotated[Positional[str], arg(metavar="ENV")]
    """The id of a turn-based environment: tic_tac_toe_v0."""
    against: str | None = None
    """Who to play against: a fixed player, or a path; optimal if neither this nor --endpoint is given."""
    side: Annotated[Literal["X", "O", "x", "o"], arg(name="as")] = "X"
    """Your marks; X begins."""
    seed: int = 0
    """The seed of what the opponent draws."""
    address: str | None = None
    """The address of a running Ray cluster that restores a checkpoint; a local session if not given."""
    asking: OmitArgPrefixes[Asking] = field(default_factory=Asking)

    def run(self) -> int:
        """Plays one game."""
        _check_environment(self.environment)
        if self.seed < 0:
            raise InputError(f"got --seed {self.seed}, expected a whole number from 0")
        from strategic_envs.agents.text import numbered_board, play_game
        from strategic_envs.games.tic_tac_toe import TicTacToe
        from strategic_envs.seeding import numpy_stream

        game, opponent = TicTacToe(), self._opponent()
        mine = "XO".index(self.side.upper())
        players = (_Person(), opponent) if mine == 0 else (opponent, _Person())
        print(f"You are {'XO'[mine]}, {opponent.name} is {'XO'[1 - mine]}. A move is the number of a cell; q leaves.")

        def on_turn(mover: int, turn: Turn) -> None:
            if mover != mine and turn.action is not None:
                print(f"\n{opponent.name} plays {turn.action}.")

        try:
            record = play_game(game, players, numpy_stream(self.seed, "play"), on_turn)
        except (_LeftError, KeyboardInterrupt):
            print("\nYou left the game.")
            return 0
        state = sum(1 << (cell + 9 * (number % 2)) for number, cell in enumerate(record.actions))
        print(f"\n{numbered_board(state)}\n\n{_outcome(record, mine)}")
        return 0

    def _opponent(self) -> Player:
        from strategic_envs.agents.text import TablePlayer
        from strategic_envs.games.tic_tac_toe import TicTacToe

        model = self.asking.player()
        if model is not None:
            if self.against is not None:
                raise InputError("give either --against or --endpoint, not both")
            return model
        game, name = TicTacToe(), self.against or "optimal"
        return TablePlayer(game, game.merge(named_play(name, game, self.address).policies), name)


def _check_environment(name: str) -> None:
    """Refuses an environment that nobody can play move by move on a board.

    Raises:
        UnknownNameError: If there is no such environment.
        InputError: If its players do not take turns, or there is no drawing of it.
    """
    from strategic_envs.registry import describe, list_environments

    if name not in list_environments():
        raise UnknownNameError("environment", name, list_environments())
    if "parallel" in describe(name).modes:
        raise InputError(f"nobody plays {name} move by move: its players act all at once; play tic_tac_toe_v0")
    if name != "tic_tac_toe_v0":
        raise InputError(f"there is no drawing of {name} for the terminal: play tic_tac_toe_v0")


class _Person:
    """Asks whoever sits at the terminal."""

    name = "you"

    def turn(self, state: int, generator: np.random.Generator) -> Turn:
        """Draws the board and reads a move, however often it takes."""
        from strategic_envs.agents.text import Turn, numbered_board, read_answer
        from strategic_envs.agents.text.board import legal_cells, side

        cells = legal_cells(state)
        print(f"\n{numbered_board(state)}\n")
        while True:
            try:
                said = input(f"{side(state)}, your move: ")
            except EOFError:
                raise _LeftError from None
            except UnicodeDecodeError:
                said = "?"
            if said.strip().lower() in ("q", "quit", "exit"):
                raise _LeftError
            reading = read_answer(said, cells)
            if reading.cell is not None:
                return Turn(state, reading.cell)
            print(f"That is no move: {reading.explain}. Type one of {', '.join(map(str, cells))}, or q to leave.")


def _outcome(record: GameRecord, mine: int) -> str:
    if record.forfeited is not None:
        return f"You win: {record.players[record.forfeited]} gave no legal move ({record.reason})."
    return {"win": "You win.", "draw": "A draw.", "loss": f"{record.players[1 - mine]} wins."}[record.result(mine)]
