"""What the evaluators know of a loss: its value, and its derivative in the outputs, the cost of the resources.

The loss is convex in the outputs. Its derivatives `delta_nj = dL / df_j(x_n)` contain the mean over the samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.objective import Objective

__all__ = ["LOSSES", "Data", "data_of", "data_of_game"]

LOSSES = ("mse", "cross_entropy", "half_squared")


@dataclass(frozen=True, eq=False)
class Data:
    """Samples and a loss.

    Args:
        inputs: `(N, d_0)`, float64.
        targets: `(N, d_H)` in float64, or classes `(N,)` for cross-entropy.
        loss: One of `LOSSES`.
        name: What errors call it.
    """

    inputs: Tensor
    targets: Tensor
    loss: str
    name: str = "data"

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def quadratic(self) -> bool:
        """Whether the loss is a squared error."""
        return self.loss != "cross_entropy"

    def weight(self, outputs: int) -> float:
        """What a squared error is multiplied with, of outputs of this number."""
        return 1 / (len(self) * outputs) if self.loss == "mse" else 1 / (2 * len(self))

    def value(self, outputs: Float[Tensor, "N outputs"]) -> Tensor:
        """The loss, a scalar."""
        if not self.quadratic:
            return functional.cross_entropy(outputs, self.targets)
        return self.weight(outputs.shape[1]) * (outputs - self.targets).square().sum()

    def delta(self, outputs: Float[Tensor, "N outputs"]) -> Float[Tensor, "N outputs"]:
        """The derivatives of the loss in the outputs."""
        if not self.quadratic:
            return (outputs.softmax(-1) - functional.one_hot(self.targets, outputs.shape[1])) / len(self)
        return 2 * self.weight(outputs.shape[1]) * (outputs - self.targets)

    def rounding(self, outputs: Float[Tensor, "N outputs"]) -> Float[Tensor, " outputs"]:
        """What rounding alone makes of the size `|delta_.j|` of each output: below it a residual says nothing."""
        eps = 16 * torch.finfo(outputs.dtype).eps
        if not self.quadratic:
            return outputs.new_full((outputs.shape[1],), eps / len(self) ** 0.5)
        size = (outputs.square() + self.targets.square()).sum(0).sqrt()
        return eps * 2 * self.weight(outputs.shape[1]) * size


def data_of(inputs: Tensor, targets: Tensor, loss: str, outputs: int, features: int, like: Tensor, name: str) -> Data:
    """Checked samples, on the weights' device.

    Args:
        inputs: `(N, ...)`, flattened to `(N, features)`.
        targets: Classes `(N,)`, or for the squared errors numbers `(N, outputs)`.
        loss: One of `LOSSES`.
        outputs: The network's number of outputs.
        features: The network's number of inputs.
        like: A tensor on the device of the weights.
        name: What errors call the network.

    Raises:
        InvalidGameError: If they do not fit the network, are empty, or are not finite.
    """
    if loss not in LOSSES:
        raise InvalidGameError(f"{name}: got loss={loss!r}, expected one of {', '.join(LOSSES)}")
    if not isinstance(inputs, Tensor) or not isinstance(targets, Tensor):
        raise InvalidGameError(
            f"{name}: got inputs and targets of type {type(inputs).__name__} and {type(targets).__name__}, expected "
            "two tensors, samples first"
        )
    checked = Objective(inputs, targets, "cross_entropy" if loss == "cross_entropy" else "mse", name)
    checked.check((outputs,))
    flat = inputs.detach().flatten(1).to(like) if inputs.ndim > 1 else inputs[:, None]
    if inputs.ndim < 2 or flat.shape[1] != features:
        raise InvalidGameError(
            f"{name}: got inputs of shape {tuple(inputs.shape)}, expected (N, {features}): the first layer reads "
            f"{features} numbers a sample"
        )
    wanted = targets.detach().to(like.device)
    if loss != "cross_entropy":
        wanted = wanted.to(like) if wanted.is_floating_point() else functional.one_hot(wanted, outputs).to(like)
    return Data(flat, wanted, loss, name)


def data_of_game(game: DynamicGame, outputs: int, features: int, like: Tensor) -> Data:
    """The samples and the loss of a game of layers; its weight decay is not part of it."""
    return data_of(game.inputs, game.targets, game.objective.loss, outputs, features, like, game.name)
