"""Games between players of any kind: policy tables, models that are asked, people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.text.turns import Tally, Turn
from strategic_envs.errors import InvalidSettingError, InvalidStrategyError
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.seeding import numpy_stream

__all__ = ["GameRecord", "Match", "Player", "TablePlayer", "play_game", "play_games"]


@runtime_checkable
class Player(Protocol):
    """Whoever can be asked for a move."""

    @property
    def name(self) -> str:
        """What records call the player."""
        ...

    def turn(self, state: int, generator: np.random.Generator) -> Turn:
        """The player's turn in a state that is not terminal; without an action it is a forfeit."""
        ...


@dataclass(frozen=True, eq=False)
class TablePlayer:
    """Draws its moves from a policy table.

    Args:
        game: The game.
        table: Action probabilities `(S, A)` over the game's state graph.
        name: What records call the player.

    Raises:
        InvalidStrategyError: If the table is not one of distributions over legal actions.
    """

    game: TurnBasedGame
    table: Float[Tensor, "S A"]
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", self.game.validate_policy(self.table, self.name))

    def turn(self, state: int, generator: np.random.Generator) -> Turn:
        """Draws a move."""
        row = self.table[self.game.state_graph().index(torch.tensor(state))].numpy()
        return Turn(state, int(generator.choice(len(row), p=row / row.sum())))


@dataclass(frozen=True)
class GameRecord:
    """One game.

    Args:
        players: Their names, in the order of the game.
        actions: What was played.
        returns: What it paid.
        forfeited: Who gave no legal move; None if nobody.
        reason: Why not.
        turns: Every turn of the game.
    """

    players: tuple[str, ...]
    actions: tuple[int, ...]
    returns: tuple[float, ...]
    forfeited: int | None
    reason: str
    turns: tuple[Turn, ...]

    def result(self, player: int) -> str:
        """`"win"`, `"draw"`, `"loss"` or `"forfeit"` for one player."""
        if self.forfeited == player:
            return "forfeit"
        return "draw" if self.returns[player] == 0 else "win" if self.returns[player] > 0 else "loss"

    def row(self) -> dict[str, Any]:
        """The game as a record of JSON's types."""
        own = {"players": list(self.players), "actions": list(self.actions), "returns": list(self.returns)}
        results = [self.result(i) for i in range(len(self.players))]
        return {**own, "results": results, "reason": self.reason}


@dataclass(frozen=True)
class Match:
    """Several games of two players, told from the first one's side.

    Args:
        games: The games in order.
        side: Which player of the game the first one was, game by game.
    """

    games: tuple[GameRecord, ...]
    side: tuple[int, ...]

    def count(self, result: str) -> int:
        """How many games ended with `"win"`, `"draw"`, `"loss"` or `"forfeit"` for the first player."""
        return sum(game.result(side) == result for game, side in zip(self.games, self.side, strict=True))

    def tally(self) -> Tally:
        """What happened when the first player was asked."""
        by_side = zip(self.games, self.side, strict=True)
        return Tally.of(turn for game, side in by_side for turn in game.turns[side :: len(game.players)])

    def row(self) -> dict[str, Any]:
        """The counts, and the reasons of forfeits."""
        counts = {name: self.count(name) for name in ("win", "draw", "loss", "forfeit")}
        by_side = zip(self.games, self.side, strict=True)
        reasons = [game.reason for game, side in by_side if game.forfeited == side]
        return {"games": len(self.games), **counts, "reasons": reasons}


def play_game(
    game: TurnBasedGame,
    players: Sequence[Player],
    generator: np.random.Generator,
    on_turn: Callable[[int, Turn], None] | None = None,
) -> GameRecord:
    """Plays one game. Who gives no legal move loses it; the game pays -1 to that player and 1 to the others.

    Args:
        game: The game.
        players: One a player of the game, in its order.
        generator: Whose draws players use who draw.
        on_turn: Called with the player's index after each turn.

    Raises:
        InvalidStrategyError: If there are too few players or too many.

    Example:
        >>> from strategic_envs.baselines.turn_based import fixed_player
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> game = TicTacToe()
        >>> best = TablePlayer(game, fixed_player(game, "fastest"), "fastest")
        >>> play_game(game, (best, best), numpy_stream(0, "game")).returns
        (0.0, 0.0)
    """
    if len(players) != game.n_players:
        raise InvalidStrategyError(f"{game.name}: got {len(players)} players, expected {game.n_players}")
    state, turns, names = torch.tensor(game.initial()), list[Turn](), tuple(p.name for p in players)
    while not bool(game.terminal(state)):
        mover = int(game.mover(state))
        turn = players[mover].turn(int(state), generator)
        turns.append(turn)
        if on_turn is not None:
            on_turn(mover, turn)
        if turn.action is None:
            paid = tuple(-1.0 if i == mover else 1.0 for i in range(game.n_players))
            return GameRecord(names, _actions(turns), paid, mover, turn.reason, tuple(turns))
        game.check_actions(state, torch.tensor(turn.action))
        state = game.step(state, torch.tensor(turn.action))
    return GameRecord(names, _actions(turns), tuple(game.returns(state).tolist()), None, "", tuple(turns))


def _actions(turns: Sequence[Turn]) -> tuple[int, ...]:
    return tuple(turn.action for turn in turns if turn.action is not None)


def play_games(game: TurnBasedGame, first: Player, second: Player, games: int, seed: int = 0) -> Match:
    """Plays games of two players who take sides in turn: the first one begins the first, third, ... game.

    Args:
        game: A game of two players.
        first: Whose results are told.
        second: The opponent.
        games: How many games.
        seed: The seed of what players draw; each game has a stream of its own.

    Raises:
        InvalidSettingError: If there would be no game.

    Example:
        >>> from strategic_envs.baselines.turn_based import fixed_player
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> game = TicTacToe()
        >>> pair = [TablePlayer(game, fixed_player(game, name), name) for name in ("fastest", "uniform_random")]
        >>> play_games(game, *pair, games=10).count("loss")
        0
    """
    if games < 1:
        raise InvalidSettingError(f"got games={games}, expected at least 1")
    side = tuple(number % 2 for number in range(games))
    records = tuple(
        play_game(game, (second, first) if swapped else (first, second), numpy_stream(seed, "game", number))
        for number, swapped in enumerate(side)
    )
    return Match(records, side)
