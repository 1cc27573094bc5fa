"""What one step of the optimizer reports."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

__all__ = ["StepResult"]


@dataclass(frozen=True)
class StepResult:
    """The outcome of one step.

    Args:
        loss: The mean loss of the batch before the step.
        outcome: `ok`, or `diverged`: something was not finite, and the network and the optimizer are as they were.
        reason: For `diverged`, which quantity was not finite.
        feedback: The largest ratio of a player's feedback to its gradient, `|Q_thx dx| / |Q_th|`, after the cap.
        scale: What the trust region multiplied the learning rates with (1 without one).
        alignment: The number of the alignment that was played, where the optimizer chooses among several.

    Example:
        >>> import torch
        >>> StepResult(torch.tensor(0.5)).ok
        True
    """

    loss: Float[Tensor, ""]
    outcome: str = "ok"
    reason: str | None = None
    feedback: Float[Tensor, ""] | float = 0.0
    scale: Float[Tensor, ""] | float = 1.0
    alignment: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the step was taken."""
        return self.outcome == "ok"
