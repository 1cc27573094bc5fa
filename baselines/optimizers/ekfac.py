"""EKFAC as an ordinary optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from torch import nn

from strategic_envs.baselines.optimizers import curvature
from strategic_envs.baselines.optimizers.preconditioned import Preconditioned

__all__ = ["EKFAC"]


class EKFAC(Preconditioned):
    """Gradient steps through scales measured along the eigenvectors of Kronecker factors, `lr (s + d)^-1` along each.

    Args:
        module: The network.
        lr: The step size.
        damping: `d`.
        weight_decay: Times the parameters, added to their gradient.
        scale: `intra`: the scales are of this batch, which costs a gradient a sample; `running`: an average over steps.
        alpha: How much of the old scales stays, with `running`.
        restart: Whether running scales start anew with new eigenvectors.
        decay: How much of the old factors stays at each sampling.
        every: Factors are sampled and their eigenvectors found at each `every`th step,
        first: and at the first so many.
        kl_clip: A limit of the steps' length, see `Preconditioned`; None: none.
        params: Parameters or groups; all of the module's if None.
        loss_reduction: `mean` or `sum` over the samples of a step.

    Source:
        George, Laurent, Bouthillier, Ballas and Vincent, "Fast Approximate Natural Gradient Descent in a
        Kronecker-factored Eigenbasis", NeurIPS 2018.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
        >>> optimizer = EKFAC(net, lr=0.1, damping=0.1, scale="running")
        >>> x = torch.randn(64, 2)
        >>> y = (x.prod(1) > 0).long()
        >>> losses = []
        >>> for _ in range(50):
        ...     optimizer.zero_grad()
        ...     loss = nn.functional.cross_entropy(net(x), y)
        ...     loss.backward()
        ...     optimizer.step()
        ...     losses.append(loss.item())
        >>> losses[-1] < 0.7 * losses[0], optimizer.last_outcome
        (True, 'ok')
    """

    def __init__(
        self,
        module: nn.Module,
        lr: float = 0.1,
        damping: float = 0.1,
        weight_decay: float = 0.0,
        *,
        scale: Literal["intra", "running"] = "intra",
        alpha: float = 0.75,
        restart: bool = True,
        decay: float = 0.95,
        every: int = 10,
        first: int = 5,
        kl_clip: float | None = None,
        params: Iterable[Any] | None = None,
        loss_reduction: str = "mean",
    ) -> None:
        super().__init__(
            module,
            curvature.EKFAC(damping, decay, every, first, scale, alpha, restart),
            lr=lr,
            damping=damping,
            weight_decay=weight_decay,
            kl_clip=kl_clip,
            params=params,
            loss_reduction=loss_reduction,
        )
