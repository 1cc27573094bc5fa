"""What a layer may do in one cycle: move every weight, or choose how far it goes in a direction of its own.

`"updates"`: an action is the change of the layer's weights, float32 `(d,)`, each number at most `max_update` in size.
`"step_sizes"`: an action is one number in `[0, max_step]`, float32 `(1,)`; the layer moves by so much times its
direction: the `"gradient"` of its own utility as the layer sees it, or `"rms"`, that gradient with every number divided
by the root of its running mean square (Tieleman and Hinton 2012; mean over the layer's moves in this episode, decay
0.99, corrected for its beginning at zero).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError, UnknownNameError

__all__ = ["LayerActions", "StepSizes", "Updates", "layer_actions"]

_TOLERANCE = 1e-6  # of float32 rounding, relative to the bound
_DIRECTIONS = ("gradient", "rms")
_DECAY, _EPSILON = 0.99, 1e-8  # of the running mean squares, as RMSprop has them


class Updates:
    """An action is the update of all weights of the layer.

    Args:
        dims: The number of weights of each player.
        bound: How far a weight may move.
    """

    what, unit = "an update", "one number a weight"

    def __init__(self, dims: Sequence[int], bound: float) -> None:
        size = np.float32(bound)
        self.bound, self.spaces = float(bound), [spaces.Box(-size, size, (d,), np.float32) for d in dims]

    def begin(self) -> None:
        """A new episode begins."""

    def refuse(self, array: NDArray[np.floating]) -> str | None:
        """Why an action of finite numbers is not allowed."""
        size = float(np.abs(array).max())
        if size <= self.bound * (1 + _TOLERANCE):
            return None
        return (
            f"got an update of size {size:g}, expected at most max_update={self.bound:g} in every weight: clip it "
            "first, or make the environment with a larger max_update"
        )

    def update(self, player: int, action: NDArray[np.float32], field: Tensor) -> NDArray[np.float32]:
        """The change of the player's weights, `(d,)`."""
        return action

    def accept(self, player: int, field: Tensor) -> None:
        """The player's action has been taken."""


class StepSizes:
    """An action is the size of a step in a direction of the layer's own.

    Args:
        dims: The number of weights of each player.
        largest: The largest step size.
        direction: `gradient` or `rms`.
    """

    what, unit = "a step size", "one number"

    def __init__(self, dims: Sequence[int], largest: float, direction: str) -> None:
        self.largest, self.direction = float(largest), direction
        self.spaces = [spaces.Box(np.float32(0), np.float32(largest), (1,), np.float32) for _ in dims]
        self.begin()

    def begin(self) -> None:
        """A new episode begins: no gradient has been seen."""
        self._squares: dict[int, Tensor] = {}
        self._moves: dict[int, int] = {}

    def refuse(self, array: NDArray[np.floating]) -> str | None:
        """Why an action of finite numbers is not allowed."""
        size = float(array[0])
        if -self.largest * _TOLERANCE <= size <= self.largest * (1 + _TOLERANCE):
            return None
        return (
            f"got a step size of {size:g}, expected one in 0..{self.largest:g}: clip it first, or make the environment "
            "with a larger max_step"
        )

    def update(self, player: int, action: NDArray[np.float32], field: Tensor) -> NDArray[np.float32]:
        """The change of the player's weights, `(d,)`: the step size times the direction."""
        direction = field
        if self.direction == "rms":
            unbiased = self._square(player, field) / (1 - _DECAY ** (self._moves.get(player, 0) + 1))
            direction = field / (unbiased.sqrt() + _EPSILON)
        return (float(action[0]) * direction).cpu().numpy().astype(np.float32)

    def accept(self, player: int, field: Tensor) -> None:
        """The player's action has been taken: its gradient counts in the running mean squares."""
        if self.direction == "rms":
            self._squares[player] = self._square(player, field)
            self._moves[player] = self._moves.get(player, 0) + 1

    def _square(self, player: int, field: Tensor) -> Tensor:
        before = self._squares.get(player, torch.zeros_like(field))
        return _DECAY * before + (1 - _DECAY) * field.square()


LayerActions = Updates | StepSizes


def layer_actions(
    name: str, dims: Sequence[int], actions: str, max_update: float, max_step: float, direction: str
) -> LayerActions:
    """The kind of actions of that name.

    Args:
        name: What errors call the game.
        dims: The number of weights of each player.
        actions: `updates` or `step_sizes`.
        max_update: How far a weight may move; for `updates`.
        max_step: The largest step size; for `step_sizes`.
        direction: `gradient` or `rms`; for `step_sizes`.

    Raises:
        InvalidGameError: If a bound is not a finite number > 0.
        UnknownNameError: If there is no such kind, or no such direction.
    """
    for option, bound in (("max_update", max_update), ("max_step", max_step)):
        if not (np.isfinite(bound) and bound > 0):
            raise InvalidGameError(f"{name}: got {option}={bound}, expected a finite number > 0")
    if direction not in _DIRECTIONS:
        raise UnknownNameError("direction", direction, _DIRECTIONS)
    if actions == "updates":
        return Updates(dims, max_update)
    if actions == "step_sizes":
        return StepSizes(dims, max_step, direction)
    raise UnknownNameError("kind of actions", actions, ("updates", "step_sizes"))


def checked(name: str, agent: str, player: int, kind: LayerActions, action: object) -> NDArray[np.float32]:
    """The action as a float32 array, if the agent may play it.

    Raises:
        InvalidStrategyError: For a wrong dtype or shape, or a number that is not finite.
        IllegalActionError: For one beyond the bounds.
    """
    who, shape = f"{name}, {agent}", kind.spaces[player].shape
    try:
        array = np.asarray(action)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidStrategyError(f"{who}: got {action!r}, which is no array: {error}") from error
    if array.dtype.kind != "f" or array.shape != shape:
        raise InvalidStrategyError(
            f"{who}: got {kind.what} of dtype {array.dtype} and shape {array.shape}, expected float32 and {shape}: "
            f"{kind.unit}"
        )
    if not np.isfinite(array).all():
        raise InvalidStrategyError(
            f"{who}: got a value that is NaN or infinite, expected finite numbers: check the learner"
        )
    reason = kind.refuse(array)
    if reason is not None:
        raise IllegalActionError(f"{who}: {reason}")
    return array.astype(np.float32)
