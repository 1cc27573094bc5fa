"""PSRO without sampling and without learning: exact payoffs and best replies, one file a kind of game."""

from __future__ import annotations

from typing import Any

from strategic_envs.agents.double_oracle.policy_space.exact.base import Arena
from strategic_envs.agents.double_oracle.policy_space.exact.continuous import ContinuousArena
from strategic_envs.agents.double_oracle.policy_space.exact.markov import MarkovArena
from strategic_envs.agents.double_oracle.policy_space.exact.normal_form import NormalFormArena
from strategic_envs.agents.double_oracle.policy_space.exact.turn_based import TurnBasedArena
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["Arena", "ContinuousArena", "MarkovArena", "NormalFormArena", "TurnBasedArena", "arena"]

_KINDS: tuple[tuple[type, type[Arena]], ...] = (
    (NormalFormGame, NormalFormArena),
    (TurnBasedGame, TurnBasedArena),
    (MarkovGame, MarkovArena),
    (Game, ContinuousArena),
)


def arena(game: object, **settings: Any) -> Arena:
    """The arena of a game, by its kind.

    Args:
        game: A `NormalFormGame`, `TurnBasedGame`, `MarkovGame` or `Game`.
        **settings: Those of the kind: `unreached` (turn-based), `certify` and `merge` (continuous).

    Raises:
        InvalidGameError: If this kind of game has no utilities.
        InvalidSettingError: If a setting is none of the kind.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> type(arena(TicTacToe(), unreached="nothing")).__name__
        'TurnBasedArena'
    """
    if isinstance(game, CongestionGame):
        raise InvalidGameError(
            f"{game.name}: got populations that split their flow, whose members each answer alone: a mixture of such "
            "splits is a split itself and pays differently. PSRO plays the atomic form (players='atomic')"
        )
    for kind, build in _KINDS:
        if isinstance(game, kind):
            try:
                return build(game, **settings)
            except TypeError as error:
                raise InvalidSettingError(f"{build.__name__}: got settings {sorted(settings)}: {error}") from error
    raise InvalidGameError(
        f"PSRO: got a {type(game).__name__}, expected a NormalFormGame, TurnBasedGame, MarkovGame or Game"
    )
