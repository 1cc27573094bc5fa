"""What may be given to a step: one batch, or a list of batches that count as one."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.games.networks import StagedNet, check_batch

__all__ = ["pieces"]


def pieces(net: StagedNet, batch: Any, *, one: bool = False) -> list[tuple[Tensor, Any]]:
    """The batches of a step.

    Args:
        net: The network that will read them.
        batch: `(inputs, targets)`, also as a list of two tensors (as data loaders give it), or a list of such pairs:
            gradient accumulation.
        one: Whether there may be one batch only, as with a value recursion, which needs the gains of the whole batch
            before it goes on to the stage before.

    Raises:
        InvalidStrategyError: If it is none of these, or several where one is expected.
        InvalidGameError: If there is no sample, or only one and the network has a BatchNorm layer in training mode.

    Example:
        >>> import torch
        >>> from strategic_envs.games.networks import from_module
        >>> net, x, y = from_module(torch.nn.Linear(2, 2)), torch.zeros(3, 2), torch.zeros(3)
        >>> len(pieces(net, (x, y))), len(pieces(net, [(x, y), (x, y)]))
        (1, 2)
    """
    whole = isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[0], Tensor)
    found = [batch] if whole else batch
    if not isinstance(found, list) or not found:
        raise InvalidStrategyError(
            f"got a batch of type {type(batch).__name__}, expected (inputs, targets) or a list of such pairs"
        )
    if one and len(found) > 1:
        raise InvalidStrategyError(
            f"got {len(found)} batches to accumulate with a value recursion, expected one: a recursion needs the whole "
            "batch at every stage. Use value='none', or one larger batch"
        )
    for piece in found:
        if not isinstance(piece, tuple | list) or len(piece) != 2 or not isinstance(piece[0], Tensor):
            raise InvalidStrategyError(f"got {type(piece).__name__}, expected (inputs, targets) with inputs a tensor")
        if piece[0].ndim == 0:
            raise InvalidStrategyError("got inputs that are one number, expected samples (B, ...)")
        check_batch(net, piece[0])
    return [(inputs, targets) for inputs, targets in found]
