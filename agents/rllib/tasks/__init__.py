"""Tasks: one file a kind of game, chosen by the kind that the environment's `game(**options)` returns."""

from __future__ import annotations

from typing import Any

from strategic_envs.agents.rllib.tasks.base import Draw, Options, Sample, Task
from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["Draw", "Options", "Sample", "Task", "task_for"]


def task_for(game: Any, options: Options) -> Task:
    """The task of a game.

    Args:
        game: A game of one of the kinds below.
        options: Its settings.

    Raises:
        InvalidGameError: If there is no task for a game of this kind.
        InvalidSettingError: If an option does not fit the kind.

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> task_for(pennies, Options()).parameterisation, task_for(pennies, Options(strategy="coordinates")).field
        ('logits', 'exact')
    """
    from strategic_envs.agents.rllib.tasks.coordinates import CoordinatesTask
    from strategic_envs.agents.rllib.tasks.layers import LayersTask
    from strategic_envs.agents.rllib.tasks.logits import LogitsTask
    from strategic_envs.agents.rllib.tasks.markov import MarkovTask
    from strategic_envs.agents.rllib.tasks.one_shot_network import FiniteNetworkTask, PointNetworkTask
    from strategic_envs.agents.rllib.tasks.turn_based import TurnBasedTask
    from strategic_envs.games.kinds.dynamic import DynamicGame

    if isinstance(game, DynamicGame):
        return LayersTask(game, options)
    if isinstance(game, Game) and options.strategy == "network":
        return FiniteNetworkTask(game, options) if isinstance(game, NormalFormGame) else PointNetworkTask(game, options)
    if isinstance(game, NormalFormGame) and options.strategy != "coordinates":
        return LogitsTask(game, options)
    if isinstance(game, Game):
        return CoordinatesTask(game, options)
    if isinstance(game, MarkovGame):
        return MarkovTask(game, options)
    if isinstance(game, TurnBasedGame):
        return TurnBasedTask(game, options)
    raise InvalidGameError(
        f"got a game of type {type(game).__name__}, expected a Game, NormalFormGame, MarkovGame, TurnBasedGame or "
        "DynamicGame: RLlib trains these"
    )
