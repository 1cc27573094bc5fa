"""The denominators of RMSprop."""

from __future__ import annotations

from torch import Tensor

from strategic_envs.baselines.optimizers.curvature.diagonal import SquaredGradients

__all__ = ["RMS"]


class RMS(SquaredGradients):
    """`diag(sqrt(v) + eps)` with `v <- alpha v + (1 - alpha) g^2` from 0: those of `torch.optim.RMSprop`.

    Args:
        alpha: How much of the old mean stays at each step.
        eps: Added after the root; also the damping.

    Example:
        >>> import torch
        >>> from strategic_envs.games.networks.units import Unit
        >>> unit, g = Unit("fc", torch.nn.Linear(1, 1), "linear", 0), torch.tensor([[1.0, -2.0]])
        >>> rms = RMS(alpha=0.75)
        >>> rms.observe(unit, None, None, g)
        >>> rms.refresh(0)
        >>> rms.solve(unit, g)
        tensor([[ 2., -2.]])
    """

    def __init__(self, alpha: float = 0.99, eps: float = 1e-8) -> None:
        super().__init__(alpha, eps)

    def _scale(self, square: Tensor, count: Tensor) -> Tensor:
        return square.sqrt()
