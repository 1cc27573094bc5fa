"""What can only be checked when data is at hand."""

from __future__ import annotations

from torch import Tensor, nn

from strategic_envs.games.networks.refusals import refuse
from strategic_envs.games.networks.staged import StagedNet

__all__ = ["check_batch"]


def check_batch(staged: StagedNet, inputs: Tensor) -> None:
    """Refuses a batch of one sample for a network that normalises by the batch's statistics.

    Args:
        staged: The network.
        inputs: The samples, `(B, ...)`.

    Raises:
        InvalidGameError: Naming the layer; also if there is no sample.

    Example:
        >>> import torch
        >>> from strategic_envs.games.networks.staged import from_module
        >>> check_batch(from_module(nn.Sequential(nn.Linear(2, 1))), torch.zeros(1, 2))
    """
    if len(inputs) > 1:
        return
    if len(inputs) == 0:
        raise refuse("the batch", "got no samples, expected at least one")
    for unit in staged.units:
        module = unit.module
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (module.training or module.running_mean is None):
            raise refuse(
                f"layer {unit.name} ({type(module).__name__})",
                "got a batch of one sample, whose variance is zero, expected at least two in training mode: make the "
                "batch larger, leave out the last, smaller one (drop_last=True), or call module.eval()",
            )
