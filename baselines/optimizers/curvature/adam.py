"""The denominators of Adam."""

from __future__ import annotations

from torch import Tensor

from strategic_envs.baselines.optimizers.curvature.diagonal import SquaredGradients

__all__ = ["Adam"]


class Adam(SquaredGradients):
    """`diag(sqrt(v / (1 - beta^k)) + eps)`, `v <- beta v + (1 - beta) g^2` from 0, after k steps: those of Adam.

    There is no momentum: with it the step is `torch.optim.Adam` with betas `(0, beta)`.

    Args:
        beta: How much of the old mean stays at each step.
        eps: Added after the root; also the damping.

    Example:
        >>> import torch
        >>> from strategic_envs.games.networks.units import Unit
        >>> unit, g = Unit("fc", torch.nn.Linear(1, 1), "linear", 0), torch.tensor([[1.0, -2.0]])
        >>> adam = Adam()
        >>> adam.observe(unit, None, None, g)
        >>> adam.refresh(0)
        >>> adam.solve(unit, g).round(decimals=3)
        tensor([[ 1., -1.]])
    """

    def __init__(self, beta: float = 0.999, eps: float = 1e-8) -> None:
        super().__init__(beta, eps)

    def _scale(self, square: Tensor, count: Tensor) -> Tensor:
        return (square / (1 - self.decay**count)).sqrt()
