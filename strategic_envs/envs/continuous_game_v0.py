"""Any one-shot game as an environment: by its name in the catalogue, or the game itself.

Actions of a continuous game are points of the players' strategy sets, float32 arrays `(d,)`; those of a normal-form
game are discrete, or mixed strategies with `actions="mixed"`. Rewards are the utilities. Angles of a torus may be any
numbers; in a game with a joint set, actions that do not fit together are moved to the nearest ones that do.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from strategic_envs.envs.faces.aec import SimultaneousAEC
from strategic_envs.envs.faces.one_shot import OneShotParallelEnv
from strategic_envs.errors import InvalidGameError
from strategic_envs.games import catalogue
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.vi import VIGame

__all__ = ["MODES", "SUMMARY", "env", "game", "parallel_env", "raw_env"]

SUMMARY = "Any continuous or normal-form game, by name or object: squared difference, bilinear, f1, f2, forsaken, ..."
MODES = ("aec", "parallel")

_named = catalogue.game


class ContinuousGameEnv(OneShotParallelEnv):
    """The parallel environment; see `parallel_env`."""

    metadata: ClassVar[dict[str, Any]] = {**OneShotParallelEnv.metadata, "name": "continuous_game_v0"}


def game(game: str | VIGame = "squared_difference", **options: Any) -> Game:
    """The game: looked up by name with its options, or passed through.

    Args:
        game: A name of `strategic_envs.list_games()`, or a `Game`.
        **options: Options of the named game.

    Raises:
        UnknownNameError: If there is no such game or option.
        InvalidGameError: If the game is of a kind that is not played in one shot or has no utilities, or options come
            with an object.

    Example:
        >>> game("f1", box=5.0).sets[0]
        Box(-5.0, 5.0)
    """
    if isinstance(game, str):
        found = _named(game, **options)
    elif options:
        raise InvalidGameError(
            f"got a game object and the options {sorted(options)}: options belong to named games; build it with them"
        )
    else:
        found = game
    if not isinstance(found, Game):
        label = repr(game) if isinstance(game, str) else f"a {type(game).__name__}"
        if isinstance(found, VIGame):
            raise InvalidGameError(
                f"continuous_game_v0: {label} is an operator without utilities, so no action earns a reward: study it "
                "with strategic_envs.agents.dynamics.run and local_nash_gap, or pass a Game"
            )
        raise InvalidGameError(
            f"continuous_game_v0: {label} is no one-shot game with utilities: pass a Game, a NormalFormGame or a name"
        )
    return found


_game = game


def parallel_env(
    game: str | VIGame = "squared_difference",
    *,
    actions: str = "pure",
    max_cycles: int = 1,
    render_mode: str | None = None,
    **options: Any,
) -> ContinuousGameEnv:
    """The environment in which all players act at once.

    Args:
        game: A name of `strategic_envs.list_games()`, or a `Game`.
        actions: `"pure"`, or `"mixed"` strategies of a normal-form game.
        max_cycles: How often the game is played in an episode.
        render_mode: None, `"ansi"` or `"human"`.
        **options: Options of the named game.

    Raises:
        UnknownNameError: If there is no such game or option.
        InvalidGameError: If an option has a value that the game refuses.

    Example:
        >>> import numpy as np
        >>> env = parallel_env("matching_pennies_box")
        >>> _ = env.reset(seed=0)
        >>> one = np.array([1.0], dtype=np.float32)
        >>> env.step({"player_0": one, "player_1": one})[1]
        {'player_0': 1.0, 'player_1': -1.0}
    """
    return ContinuousGameEnv(_game(game, **options), actions=actions, max_cycles=max_cycles, render_mode=render_mode)


def raw_env(game: str | VIGame = "squared_difference", **options: Any) -> SimultaneousAEC:
    """The same with players acting in turn, unseen, without PettingZoo's wrapper; options as of `parallel_env`."""
    return SimultaneousAEC(parallel_env(game, **options))


def env(game: str | VIGame = "squared_difference", **options: Any) -> OrderEnforcingWrapper[str, Any, Any]:
    """The turn-by-turn environment in PettingZoo's order-enforcing wrapper; options as of `parallel_env`."""
    return OrderEnforcingWrapper(raw_env(game, **options))
