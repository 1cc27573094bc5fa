"""Flow networks: linear networks whose weights are routing shares, where the classical Wardrop condition is literal.

If the inputs are non-negative and every matrix is non-negative with columns that sum to one, so is `P = W_H ... W_1`:
source i sends its whole mass to the outputs, the share `P_ji` to output j at the cost `G_ji = dL/dP_ji`. There are no
signs and no empty strategy, and the equilibrium (all used outputs of a source cost the least) is the smallest loss over
all such P.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.wardrop.paths import network_and_data
from strategic_envs.games.kinds.dynamic import DynamicGame

__all__ = ["FlowWardrop", "flow_wardrop"]

_SUMS = 1e-5


@dataclass(frozen=True)
class FlowWardrop:
    """How far a flow network is from its Wardrop equilibrium.

    What zero means: `excess` 0: no matrix P that routes the sources' masses has a smaller loss on these samples. It
    says nothing about linear maps that are no routing, and no price of anarchy of a network follows from it.

    Args:
        excess: `sum_i (sum_j P_ji G_ji - min_j G_ji)`; the loss is above the smallest by at most this.
        used_gap: The largest difference of a used output's cost from its source's cheapest.
        per_source: Each source's part of the excess.
        loss: The loss.
    """

    excess: float
    used_gap: float
    per_source: tuple[float, ...]
    loss: float

    def row(self) -> dict[str, float]:
        """The numbers as a flat dictionary."""
        return {"flow_excess": self.excess, "flow_used_gap": self.used_gap, "loss": self.loss}

    def __str__(self) -> str:
        values = {"loss": self.loss, "excess": self.excess, "used_gap": self.used_gap}
        return "\n".join(f"{name:16} {value:.6g}" for name, value in values.items())


def flow_wardrop(
    net: nn.Module | DynamicGame,
    inputs: object,
    targets: Tensor | None = None,
    loss: str | None = None,
    *,
    tau: float = 1e-8,
) -> FlowWardrop:
    """The Wardrop excess of a flow network; see `FlowWardrop`.

    Args:
        net: Linear layers without bias, non-negative, each column summing to one; or a `DynamicGame` of them.
        inputs: The samples, non-negative; for a game the profile.
        targets: As of `path_wardrop`; not for a game.
        loss: As of `path_wardrop`; not for a game.
        tau: An output is used if its share is above this.

    Raises:
        InvalidGameError: If the network or the inputs are not of this kind.
        InvalidSettingError: If `tau` is no share.

    Example:
        >>> net = nn.Linear(1, 2, bias=False)
        >>> net.weight.data = torch.tensor([[1.0], [0.0]])
        >>> print(flow_wardrop(net, torch.ones(1, 1), torch.tensor([[0.0, 1.0]]), "half_squared"))
        loss             1
        excess           2
        used_gap         2
    """
    if not 0 <= tau < 1:
        raise InvalidSettingError(f"got tau={tau}, expected a share in [0, 1), such as 1e-8")
    network, data = network_and_data(net, inputs, targets, loss)
    if not network.linear or any(b is not None for b in network.biases):
        raise InvalidGameError(f"{data.name}: got ReLU or biases, expected linear layers without bias: they only route")
    if bool((data.inputs < 0).any()):
        raise InvalidGameError(
            f"{data.name}: got inputs down to {float(data.inputs.min()):.3g}, expected numbers >= 0: they are masses"
        )
    for name, weight in zip(network.names, network.weights, strict=True):
        off = float((weight.sum(0) - 1).abs().max())
        if bool((weight < 0).any()) or off > _SUMS:
            raise InvalidGameError(
                f"{data.name}, layer {name}: got weights down to {float(weight.min()):.3g} and columns that sum to one "
                f"up to {off:.3g}, expected shares: weights >= 0, each column summing to one"
            )
    outputs = network.forward(data.inputs)[1][-1]
    share = torch.eye(network.widths[0]).to(data.inputs)
    for weight in network.weights:
        share = weight @ share
    cost = data.delta(outputs).mT @ data.inputs
    above = cost - cost.amin(0)
    parts = (share * above).sum(0)
    used = above[share > tau]
    return FlowWardrop(float(parts.sum()), float(used.max()), tuple(parts.tolist()), float(data.value(outputs)))
