"""Linear networks: the path game in closed form.

With `P = W_H ... W_1` and `G = dL/dP = delta' X`, every path from source i to output j costs `C_p = G_ji`. Biases are
edges from units that are constantly 1: each adds a source whose paths cost `sum_n delta_nj`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.evaluators.wardrop.chain import LayeredNet
from strategic_envs.evaluators.wardrop.losses import Data

__all__ = ["PathFigures", "linear_figures", "source_matrices", "widest_product"]


@dataclass(frozen=True)
class PathFigures:
    """What a way of looking at the paths gives; None where it cannot say. See `PathWardrop` for each."""

    path_gap: float
    used_gap: float | None
    norm_gap: float | None
    cert: float | None
    second_moment: float | None
    edge_costs: tuple[tuple[Tensor, Tensor | None], ...] | None


def widest_product(later: Float[Tensor, "a b"], earlier: Float[Tensor, "b c"]) -> Float[Tensor, "a c"]:
    """The product of non-negative matrices with the maximum in place of the sum: the largest flow of a path.

    Example:
        >>> widest_product(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0], [4.0]])).tolist()
        [[8.0]]
    """
    rows = max(1, 2**22 // max(1, earlier.numel()))
    return torch.cat([(block[:, :, None] * earlier).amax(1) for block in later.split(rows)])


def source_matrices(net: LayeredNet) -> list[tuple[Tensor, tuple[Tensor, ...]]]:
    """The sources in groups, by the layer that they start at, with the matrices that lead from them to the outputs.

    Returns:
        Pairs of `(d_l, sources)`, the first matrix (inputs and the first bias, or a later bias alone), and those after.

    Example:
        >>> from torch import nn
        >>> from strategic_envs.evaluators.wardrop.chain import layered
        >>> groups = source_matrices(layered(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))))
        >>> [(tuple(first.shape), len(rest)) for first, rest in groups]
        [((3, 5), 1), ((2, 1), 0)]
    """
    groups = []
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        columns = [weight] * (i == 0) + ([] if bias is None else [bias[:, None]])
        if columns:
            groups.append((torch.cat(columns, 1), net.weights[i + 1 :]))
    return groups


def linear_figures(net: LayeredNet, data: Data, tau: float) -> PathFigures:
    """The figures of a linear network, exact, by a few matrix products.

    Args:
        net: A network without ReLU.
        data: The samples.
        tau: A path is used if its flow is above this share of the largest.

    Example:
        >>> import torch
        >>> from strategic_envs.evaluators.wardrop.chain import LayeredNet
        >>> net = LayeredNet((torch.zeros(1, 1).double(),), (None,), (), ("0",))
        >>> data = Data(torch.ones(1, 1).double(), torch.ones(1, 1).double(), "half_squared")
        >>> linear_figures(net, data, 1e-8).path_gap
        1.0
    """
    outputs = net.forward(data.inputs)[1][-1]
    delta = data.delta(outputs)
    ones = data.inputs.new_ones(len(data), 1)
    features = torch.cat([data.inputs, *([] if net.biases[0] is None else [ones])], 1)
    sources, costs, flows, widest = [], [], [], []
    for i, (first, rest) in enumerate(source_matrices(net)):
        sources.append(features if i == 0 else ones)
        costs.append(delta.mT @ sources[-1])
        flow = top = first.abs()
        for weight in rest:
            flow, top = weight.abs() @ flow, widest_product(weight.abs(), top)
        flows.append(flow)
        widest.append(top)
    x, cost, flow, top = (torch.cat(parts, 1) for parts in (sources, costs, flows, widest))
    used = top > tau * top.max()
    lengths = delta.norm(dim=0)
    lengths = torch.where(lengths > data.rounding(outputs), lengths, torch.inf)
    size = lengths[:, None] * x.norm(dim=0)
    cert = (flow.sum(0) * cost.abs().amax(0)).sum() + (delta * outputs).sum()
    return PathFigures(
        path_gap=float(cost.abs().max()),
        used_gap=float((cost.abs() * used).max()),
        norm_gap=float(torch.where(size > 0, cost.abs() / size, 0).nan_to_num().max().clamp(max=1)),
        cert=max(0.0, float(cert)),
        second_moment=float((flow * cost.square()).sum()),
        edge_costs=_edge_costs(net, data, delta),
    )


def _edge_costs(net: LayeredNet, data: Data, delta: Tensor) -> tuple[tuple[Tensor, Tensor | None], ...]:
    """`sum of w_p C_p` over the paths through each weight and each bias."""
    slope, shift = delta.mT @ data.inputs, delta.sum(0)  # the costs by output of paths from inputs, and from biases
    before: list[Tensor] = []  # what flows into a layer, times the cost of where it comes from: (outputs, d_{l-1})
    into = slope
    for weight, bias in zip(net.weights, net.biases, strict=True):
        before.append(into)
        into = into @ weight.mT
        if bias is not None:
            into = into + shift[:, None] * bias
    after, found = torch.eye(len(shift)).to(delta), []
    for weight, bias, into in zip(reversed(net.weights), reversed(net.biases), reversed(before), strict=True):
        found.append((weight * (after.mT @ into), None if bias is None else bias * (after.mT @ shift)))
        after = after @ weight
    return tuple(reversed(found))
