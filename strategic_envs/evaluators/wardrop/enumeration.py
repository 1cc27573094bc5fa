"""All paths of a network with gates, one by one: costs, flows and what passes each edge. Slow, and exact.

The paths of a group of sources make one tensor `(sources, d_l, ..., d_H)`; the product of the gates of a path's hidden
units, on every sample, is a matrix `(N, hidden paths)`, which is made for some samples at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from strategic_envs.evaluators.wardrop.chain import LayeredNet
from strategic_envs.evaluators.wardrop.linear import PathFigures, source_matrices
from strategic_envs.evaluators.wardrop.losses import Data

__all__ = ["MOST_PATHS", "PathGroup", "all_paths", "enumerated_figures"]

MOST_PATHS = 2_000_000
_MOST_NUMBERS = 2**24  # in a matrix of gates


@dataclass(frozen=True, eq=False)
class PathGroup:
    """All paths from the inputs (and the first layer's bias), or from a later layer's bias.

    Args:
        layer: The layer that they start at, counted from 0.
        flows: The signed flows `w_p`, `(sources, d_l, ..., d_H)`.
        costs: The costs `C_p`, of the same shape.
        lengths: The lengths `|a_p|` of what they consume, of the same shape but 1 in place of `d_H`.
    """

    layer: int
    flows: Tensor
    costs: Tensor
    lengths: Tensor


def all_paths(net: LayeredNet, data: Data) -> list[PathGroup]:
    """Every path of the network, with the gates as they are.

    Args:
        net: A network of at most `MOST_PATHS` paths.
        data: The samples.

    Example:
        >>> net = LayeredNet((-torch.eye(2).double(), torch.ones(1, 2).double()), (None, None), (True,), ("0", "1"))
        >>> data = Data(torch.tensor([[1.0, -1.0]]).double(), torch.zeros(1, 1).double(), "half_squared")
        >>> (group,) = all_paths(net, data)
        >>> group.flows[..., 0].tolist(), group.costs[..., 0].tolist()  # unit 0 is closed, unit 1 open, the output 1
        ([[-1.0, -0.0], [-0.0, -1.0]], [[0.0, 1.0], [0.0, -1.0]])
    """
    gives = net.forward(data.inputs)[1]
    delta, gates = data.delta(gives[-1]), net.gates(gives)
    groups = []
    for layer, bias in enumerate(net.biases):
        if layer == 0 or bias is not None:
            ones = data.inputs.new_ones(len(data), int(bias is not None))
            features = torch.cat([data.inputs, ones], 1) if layer == 0 else ones
            first, rest = source_matrices(net)[len(groups)]
            groups.append(_group(layer, features, [first, *rest], gates[layer:], delta))
    return groups


def _group(
    layer: int, features: Tensor, matrices: list[Tensor], gates: list[Tensor | None], delta: Tensor
) -> PathGroup:
    flows = matrices[0].mT
    for weight in matrices[1:]:
        flows = flows[..., None] * weight.mT
    (sources, outputs), hidden = (features.shape[1], delta.shape[1]), [len(m) for m in matrices[:-1]]
    ways = max(1, flows.numel() // (sources * outputs))
    costs, squares = flows.new_zeros(ways, sources * outputs), flows.new_zeros(ways, sources)
    for rows in torch.arange(len(features), device=features.device).split(
        max(1, _MOST_NUMBERS // max(ways, sources * outputs))
    ):
        x, open_ = features[rows], features.new_ones(len(rows), 1)
        for width, gate in zip(hidden, gates, strict=True):
            own = x.new_ones(len(rows), width) if gate is None else gate[rows]
            open_ = (open_[:, :, None] * own[:, None, :]).flatten(1)
        costs += open_.mT @ (x[:, :, None] * delta[rows, None, :]).flatten(1)
        squares += open_.mT @ x.square()
    cost = costs.view(ways, sources, outputs).transpose(0, 1).reshape(flows.shape)
    return PathGroup(layer, flows, cost, squares.sqrt().mT.reshape(sources, *hidden, 1))


def enumerated_figures(net: LayeredNet, data: Data, tau: float) -> PathFigures:
    """The figures from the list of all paths; arguments as of `linear_figures`, to which it is equal where both apply.

    Example:
        >>> net = LayeredNet((torch.zeros(1, 1).double(),), (None,), (), ("0",))
        >>> data = Data(torch.ones(1, 1).double(), torch.ones(1, 1).double(), "half_squared")
        >>> enumerated_figures(net, data, 1e-8).path_gap
        1.0
    """
    outputs = net.forward(data.inputs)[1][-1]
    groups, lengths = all_paths(net, data), data.delta(outputs).norm(dim=0)
    lengths = torch.where(lengths > data.rounding(outputs), lengths, torch.inf)
    largest = max(float(g.flows.abs().max()) for g in groups)
    used, norm, cert, second = 0.0, 0.0, 0.0, 0.0
    for group in groups:
        cost, flow, size = group.costs.abs(), group.flows.abs(), group.lengths * lengths
        used = max(used, float((cost * (flow > tau * largest)).max()))
        norm = max(norm, float(torch.where(size > 0, cost / size, 0).max()))
        cert += float((flow.flatten(1).sum(1) * cost.flatten(1).amax(1)).sum() + (group.flows * group.costs).sum())
        second += float((flow * cost.square()).sum())
    return PathFigures(
        path_gap=max(float(g.costs.abs().max()) for g in groups),
        used_gap=used,
        norm_gap=min(1.0, norm),
        cert=max(0.0, cert),
        second_moment=second,
        edge_costs=_edge_costs(net, groups),
    )


def _edge_costs(net: LayeredNet, groups: list[PathGroup]) -> tuple[tuple[Tensor, Tensor | None], ...]:
    """`sum of w_p C_p` over the paths through each weight and each bias."""
    edges = [torch.zeros_like(w) for w in net.weights]
    biases = [None if b is None else torch.zeros_like(b) for b in net.biases]
    for group in groups:
        passing = group.flows * group.costs
        axes = range(passing.ndim)
        for axis in axes[:-1]:
            through = passing.sum([a for a in axes if a not in (axis, axis + 1)]).mT if passing.ndim > 2 else passing.mT
            number, own = group.layer + axis, biases[group.layer + axis]
            if axis == 0 and own is not None:
                own += through[:, -1]
                through = through[:, :-1]
            if axis > 0 or group.layer == 0:
                edges[number] += through
    return tuple(zip(edges, biases, strict=True))
