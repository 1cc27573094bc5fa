"""What can only be checked when data is at hand."""

from __future__ import annotations

from torch import Tensor, nn

from strategic_envs.games.networks.refusals import refuse
from strategic_envs.games.networks.staged import StagedNet
from strategic_envs.games.networks.units import Unit

__all__ = ["check_batch", "check_samples"]


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
        check_samples(unit, len(inputs))


def check_samples(unit: Unit, samples: int) -> None:
    """Refuses one sample for a batch norm that normalises by the batch's statistics.

    Args:
        unit: The unit.
        samples: The number of samples that it is run on.

    Raises:
        InvalidGameError: Naming the layer.

    Example:
        >>> check_samples(Unit("norm", nn.BatchNorm1d(3).eval(), "norm"), 1)
    """
    module = unit.module
    if samples > 1 or not isinstance(module, nn.modules.batchnorm._BatchNorm):
        return
    if module.training or module.running_mean is None:
        raise refuse(
            f"layer {unit.name} ({type(module).__name__})",
            "got a batch of one sample, which it cannot be normalised by, expected at least two in training mode: make "
            "the batch larger, leave out a last, smaller one (drop_last=True), or call module.eval()",
        )
