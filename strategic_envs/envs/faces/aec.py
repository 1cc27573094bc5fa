"""What the faces share: actions checked when they are given, and players of a simultaneous game acting in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from pettingzoo.utils.conversions import parallel_to_aec_wrapper

from strategic_envs.errors import IllegalActionError, InvalidGameError, OutOfBoundsActionError

__all__ = ["SimultaneousAEC", "check_option", "check_players", "whole_number"]


class CheckingEnv(Protocol):
    """A parallel environment that can check one player's action, and knows its game."""

    game: Any

    def check_action(self, agent: str, action: Any) -> Any:
        """The action if the agent may play it; raises otherwise."""
        ...


class SimultaneousAEC(parallel_to_aec_wrapper[str, Any, Any]):
    """A parallel environment with its players acting in turn, unseen by each other.

    PettingZoo's own wrapper hands the actions on when the last player has acted; this one checks each action when it is
    given, so that the error names the player who gave it and nothing has changed.

    Example:
        >>> from strategic_envs.envs import duopoly_pricing_v0
        >>> env = duopoly_pricing_v0.raw_env()
        >>> env.reset(seed=0)
        >>> env.step(99)
        Traceback (most recent call last):
            ...
        strategic_envs.errors.OutOfBoundsActionError: pricing, player_0: got action 99, expected a whole number in 0..14
    """

    @property
    def game(self) -> Any:
        """The game that is played."""
        return self.env.game  # pyright: ignore[reportAttributeAccessIssue]  # a CheckingEnv

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        if not (self.terminations[agent] or self.truncations[agent]):
            self.env.check_action(agent, action)  # pyright: ignore[reportAttributeAccessIssue]  # a CheckingEnv
        super().step(action)


def whole_number(action: object, limit: int, who: str) -> int:
    """The action as a Python integer, if it is a whole number in `0..limit-1`.

    Raises:
        OutOfBoundsActionError: If it is out of range, has a fraction, a shape or another dtype, or is missing or NaN.

    Example:
        >>> whole_number(np.int64(3), 9, "tic_tac_toe, player_0")
        3
    """
    if isinstance(action, int) and not isinstance(action, bool):
        number = action
    else:
        array = np.asarray(action)
        if array.dtype.kind not in "iu" or array.shape != ():
            raise OutOfBoundsActionError(
                f"{who}: got {action!r} of dtype {array.dtype} and shape {array.shape}, "
                f"expected one whole number in 0..{limit - 1}, a Python int or a NumPy integer"
            )
        number = int(array)
    if not 0 <= number < limit:
        raise OutOfBoundsActionError(f"{who}: got action {number}, expected a whole number in 0..{limit - 1}")
    return number


def check_players(name: str, agents: Sequence[str], actions: object) -> None:
    """Refuses actions that are not one each of the players.

    Raises:
        IllegalActionError: If a player is missing or unknown, or the episode has ended or has not begun.
    """
    if not agents:
        raise IllegalActionError(f"{name}: the episode is over or was not begun: call reset() first")
    if not isinstance(actions, Mapping):
        raise IllegalActionError(
            f"{name}: got actions of type {type(actions).__name__}, expected a dictionary from agent to action"
        )
    missing, unknown = [a for a in agents if a not in actions], [a for a in actions if a not in agents]
    if missing or unknown:
        raise IllegalActionError(
            f"{name}: got actions of {sorted(map(str, actions))}, expected one each of {list(agents)}"
            + (f"; missing {missing}" if missing else "")
            + (f"; unknown {unknown}" if unknown else "")
        )


def check_option(name: str, render_mode: object, modes: Sequence[str], max_cycles: object = 1) -> None:
    """Refuses a render mode or a number of cycles that an environment has not.

    Raises:
        InvalidGameError: Naming the option, what was got and what is expected.
    """
    if render_mode is not None and render_mode not in modes:
        raise InvalidGameError(f"{name}: got render_mode={render_mode!r}, expected None or one of {list(modes)}")
    if isinstance(max_cycles, bool) or not isinstance(max_cycles, int) or max_cycles < 1:
        raise InvalidGameError(f"{name}: got max_cycles={max_cycles!r}, expected a whole number >= 1")
