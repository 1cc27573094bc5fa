"""What it is to answer a mixture, for each kind of game."""

from __future__ import annotations

from typing import Any

from strategic_envs.agents.rllib.psro.tasks.base import FORMS, Response
from strategic_envs.agents.rllib.tasks import Options
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["FORMS", "Response", "response_task"]


def response_task(game: Any, options: Options, *, form: str = "parameters", tremble: float = 0.0) -> Response:
    """The task of answering a mixture in a game.

    Args:
        game: A game of one of the kinds below.
        options: As for ordinary play.
        form: What policies are, one of `FORMS`.
        tremble: With which probability everybody plays uniformly at each move while replies are trained.

    Raises:
        InvalidGameError: If PSRO does not play games of this kind.
        InvalidSettingError: If an option does not fit the kind.

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> task = response_task(pennies, Options(field="exact"), form="strategies")
        >>> bool(task.payoffs(task.cell((0, 0))).sum().abs() < 1e-12)
        True
    """
    from strategic_envs.agents.rllib.psro.tasks.markov import MarkovResponse
    from strategic_envs.agents.rllib.psro.tasks.one_shot import CoordinatesResponse, LogitsResponse
    from strategic_envs.agents.rllib.psro.tasks.turn_based import TurnBasedResponse

    if isinstance(game, DynamicGame):
        raise InvalidGameError(
            f"{game.name}: populations of networks' layers have no meta-game that fits in a table: PSRO plays "
            "turn-based, Markov, normal-form and continuous games"
        )
    if isinstance(game, CongestionGame):
        raise InvalidGameError(
            f"{game.name}: got populations that split their flow, whose members each answer alone: a mixture of such "
            "splits is a split itself and pays differently. PSRO plays the atomic form (players='atomic')"
        )
    if isinstance(game, Game) and options.strategy == "network":
        raise InvalidSettingError(
            f"{game.name}: got strategy='network', expected 'logits' or 'coordinates': populations hold points of the "
            "game's own sets"
        )
    if isinstance(game, NormalFormGame) and options.strategy != "coordinates":
        return LogitsResponse(game, options, form=form, tremble=tremble)
    if isinstance(game, Game):
        return CoordinatesResponse(game, options, form=form, tremble=tremble)
    if isinstance(game, MarkovGame):
        return MarkovResponse(game, options, form=form, tremble=tremble)
    if isinstance(game, TurnBasedGame):
        return TurnBasedResponse(game, options, form=form, tremble=tremble)
    raise InvalidGameError(
        f"got a game of type {type(game).__name__}, expected a Game, NormalFormGame, MarkovGame or TurnBasedGame: "
        "PSRO plays these"
    )
