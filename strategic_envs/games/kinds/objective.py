"""The samples a network is judged on, and the terminal cost phi: the mean loss of its outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from strategic_envs.errors import InvalidGameError

__all__ = ["LOSSES", "Objective"]

LOSSES = ("cross_entropy", "mse")


class Objective:
    """Inputs, targets and a loss.

    Args:
        inputs: The samples, `(N, ...)`, finite floating-point numbers.
        targets: Classes `(N,)` for `cross_entropy`; for `mse` tensors of the output's shape, or classes (then one-hot).
        loss: `cross_entropy` or `mse`, the mean over the samples (and over the outputs).
        name: What errors call the game.

    Raises:
        InvalidGameError: If there are no samples, their numbers differ, or the loss is unknown.

    Example:
        >>> Objective(torch.ones(2, 3), torch.tensor([0, 1])).phi(torch.zeros(2, 4), torch.tensor([0, 1])).exp()
        tensor(4.)
    """

    def __init__(self, inputs: Tensor, targets: Tensor, loss: str = "cross_entropy", name: str = "game") -> None:
        if loss not in LOSSES:
            raise InvalidGameError(f"{name}: got loss={loss!r}, expected one of {', '.join(LOSSES)}")
        if len(inputs) == 0 or len(inputs) != len(targets):
            raise InvalidGameError(
                f"{name}: got {len(inputs)} inputs and {len(targets)} targets, expected as many targets as inputs, and "
                "at least one"
            )
        if not inputs.is_floating_point() or not bool(inputs.isfinite().all()):
            raise InvalidGameError(f"{name}: got inputs of {inputs.dtype}, expected finite floating-point numbers")
        if targets.is_floating_point() and not bool(targets.isfinite().all()):
            raise InvalidGameError(f"{name}: got targets that are NaN or infinite, expected finite numbers or classes")
        self.inputs, self.targets, self.loss, self.name = inputs, targets, loss, name
        self._casts: dict[tuple[torch.dtype, torch.device], tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return len(self.targets)

    def data(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets on a tensor's device, the floating-point ones in its dtype."""
        key = (like.dtype, like.device)
        if key not in self._casts:
            targets = self.targets.to(like) if self.targets.is_floating_point() else self.targets.to(like.device)
            self._casts[key] = (self.inputs.to(like), targets)
        return self._casts[key]

    def phi(self, output: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of outputs `(N, ...)`, a scalar."""
        if self.loss == "cross_entropy":
            return functional.cross_entropy(output, targets)
        if not targets.is_floating_point():
            targets = functional.one_hot(targets, output.shape[-1]).to(output)
        return functional.mse_loss(output, targets)

    def select(self, rows: Tensor) -> Objective:
        """The same objective on some of the samples."""
        inputs, targets = self.inputs[rows.to(self.inputs.device)], self.targets[rows.to(self.targets.device)]
        return Objective(inputs, targets, self.loss, self.name)

    def check(self, output_shape: Sequence[int]) -> None:
        """Refuses targets that do not fit outputs of shape `(N, *output_shape)`.

        Raises:
            InvalidGameError: Saying what was got and what was expected.
        """
        targets, shape = self.targets, tuple(output_shape)
        classes = not targets.is_floating_point() and targets.ndim == 1 and len(shape) == 1
        if classes and int(targets.min()) >= 0 and int(targets.max()) < shape[0]:
            return
        if self.loss == "mse" and targets.is_floating_point() and targets.shape[1:] == shape:
            return
        got = f"targets of {targets.dtype} and shape {tuple(targets.shape)}"
        if classes:
            got += f" from {int(targets.min())} to {int(targets.max())}"
        also = f", or numbers of shape (N, {', '.join(map(str, shape))})" if self.loss == "mse" else ""
        raise InvalidGameError(
            f"{self.name}: got {got} for outputs of shape {shape}, expected integer classes of shape (N,) below the "
            f"number of outputs{also}"
        )
