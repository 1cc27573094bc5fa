"""Guess the larger number: integers or reals, truncated at n or without a bound.

The larger number wins 1, the smaller loses 1, equal numbers draw. Integers up to n are discrete actions, action a
naming the number a + 1; unbounded integers are int64 arrays `(1,)`; reals are float32 arrays `(1,)`. Without a bound
there is no equilibrium of any kind, and NashConv is 2 whatever is played. See `strategic_envs.games.larger_number`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from strategic_envs.envs.faces.aec import SimultaneousAEC
from strategic_envs.envs.faces.one_shot import OneShotParallelEnv
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.larger_number import LargerNumber, larger_number

__all__ = ["MODES", "SUMMARY", "env", "game", "parallel_env", "raw_env"]

SUMMARY = "Guess the larger number: integers or reals, truncated at n or unbounded (then no equilibrium exists)."
MODES = ("aec", "parallel")


class LargerNumberEnv(OneShotParallelEnv):
    """The parallel environment; see `parallel_env`."""

    metadata: ClassVar[dict[str, Any]] = {**OneShotParallelEnv.metadata, "name": "larger_number_v0"}


def game(n: float | None = 10, kind: str = "integers", smooth: float | None = None) -> NormalFormGame | LargerNumber:
    """The game itself; see `strategic_envs.games.larger_number.larger_number`.

    Example:
        >>> game(n=3).n_actions
        (3, 3)
    """
    return larger_number(n, kind, smooth)


def parallel_env(
    *, actions: str = "pure", max_cycles: int = 1, render_mode: str | None = None, **options: Any
) -> LargerNumberEnv:
    """The environment in which both name their numbers at once.

    Args:
        actions: `"pure"` numbers, or `"mixed"` strategies over the integers up to n.
        max_cycles: How often the game is played in an episode.
        render_mode: None, `"ansi"` or `"human"`.
        **options: Options of `game`: `n`, `kind`, `smooth`.

    Raises:
        InvalidGameError: If `n < 1`, or an option has a value that the game refuses.

    Example:
        >>> env = parallel_env(n=5)
        >>> _ = env.reset(seed=0)
        >>> env.step({"player_0": 4, "player_1": 2})[1]
        {'player_0': 1.0, 'player_1': -1.0}
    """
    return LargerNumberEnv(game(**options), actions=actions, max_cycles=max_cycles, render_mode=render_mode)


def raw_env(**options: Any) -> SimultaneousAEC:
    """The same with players acting in turn, unseen, without PettingZoo's wrapper; options as of `parallel_env`."""
    return SimultaneousAEC(parallel_env(**options))


def env(**options: Any) -> OrderEnforcingWrapper[str, Any, Any]:
    """The turn-by-turn environment in PettingZoo's order-enforcing wrapper; options as of `parallel_env`."""
    return OrderEnforcingWrapper(raw_env(**options))
