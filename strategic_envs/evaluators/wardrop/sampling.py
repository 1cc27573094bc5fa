"""Drawn paths, where there are too many to list: lower bounds of the gaps.

Half of the paths are drawn with probability proportional to their flow `|w_p|`, unit by unit (`beta_l` is the mass of
all ways from a layer to the outputs), half of them uniformly: the first see the used paths, the others the empty ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from strategic_envs.evaluators.wardrop.chain import LayeredNet
from strategic_envs.evaluators.wardrop.linear import PathFigures
from strategic_envs.evaluators.wardrop.losses import Data
from strategic_envs.seeding import torch_stream

__all__ = ["DrawnPaths", "draw_paths", "largest_flow", "path_costs", "sampled_figures"]

_MOST_NUMBERS = 2**23


@dataclass(frozen=True, eq=False)
class DrawnPaths:
    """Paths, one a row.

    Args:
        units: Each path's unit in each layer, `(draws, H + 1)`, inputs first; -1 before the bias that it starts from.
        flows: `|w_p|`, `(draws,)`.
    """

    units: Tensor
    flows: Tensor


def draw_paths(net: LayeredNet, draws: int, generator: torch.Generator, *, uniform: bool = False) -> DrawnPaths:
    """Draws paths with replacement.

    Args:
        net: The network.
        draws: How many.
        generator: Where randomness comes from, on the CPU.
        uniform: Draws all paths alike instead of by their flow.

    Returns:
        The paths; none if the probabilities are wanted by flow and no path has any.

    Example:
        >>> weights = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0], [3.0]])
        >>> net = LayeredNet(weights, (None, None), (True,), ("", ""))
        >>> drawn = draw_paths(net, 20, torch.Generator().manual_seed(0))
        >>> drawn.units.unique(dim=0).tolist(), drawn.flows.unique().tolist()  # none from input 0, whose weight is 0
        ([[1, 0, 0], [1, 0, 1]], [2.0, 6.0])
    """
    weights = [w.cpu().abs() for w in net.weights]
    biases = [None if b is None else b.cpu().abs() for b in net.biases]
    rates = [torch.ones_like(w) for w in weights] if uniform else weights
    shifts = [None if b is None else torch.ones_like(b) for b in biases] if uniform else biases
    ahead = _ahead(rates)
    starts = torch.cat([ahead[0], *(b * a for b, a in zip(shifts, ahead[1:], strict=True) if b is not None)])
    where = [0, *(i + 1 for i, b in enumerate(biases) if b is not None)]
    units = torch.full((draws, len(net.widths)), -1)
    flows = torch.ones(draws, dtype=starts.dtype)
    if not float(starts.sum()) > 0:
        return DrawnPaths(units[:0], flows[:0])
    chosen, offset = torch.multinomial(starts, draws, replacement=True, generator=generator), 0
    for layer in where:
        inside = (chosen >= offset) & (chosen < offset + net.widths[layer])
        units[inside, layer] = chosen[inside] - offset
        offset += net.widths[layer]
    for i, weight in enumerate(weights):
        going = units[:, i] >= 0
        bias = biases[i]
        if bias is not None:
            fresh = ~going & (units[:, i + 1] >= 0)
            flows[fresh] *= bias[units[fresh, i + 1]]
        if bool(going.any()):
            chances = (rates[i] * ahead[i + 1][:, None]).mT[units[going, i]]
            units[going, i + 1] = torch.multinomial(chances, 1, generator=generator)[:, 0]
            flows[going] *= weight[units[going, i + 1], units[going, i]]
    device = net.weights[0].device
    return DrawnPaths(units.to(device), flows.to(device))


def _ahead(rates: Sequence[Tensor]) -> list[Tensor]:
    """The mass of all ways from each unit of each layer to the outputs, the inputs' layer first."""
    found = [rates[-1].new_ones(len(rates[-1]))]
    for rate in reversed(rates):
        found.append(rate.mT @ found[-1])
    return found[::-1]


def largest_flow(net: LayeredNet) -> float:
    """The largest flow of a path, by dynamic programming over all of them.

    Example:
        >>> weights = torch.tensor([[2.0, -1.0]]), torch.tensor([[-3.0]])
        >>> largest_flow(LayeredNet(weights, (None, None), (True,), ("", "")))
        6.0
    """
    ahead, best = net.weights[-1].new_ones(net.widths[-1]), 0.0
    for weight, bias in zip(reversed(net.weights), reversed(net.biases), strict=True):
        if bias is not None:
            best = max(best, float((bias.abs() * ahead).max()))
        ahead = (weight.abs() * ahead[:, None]).amax(0)
    return max(best, float(ahead.max()))


def path_costs(net: LayeredNet, data: Data, paths: DrawnPaths) -> tuple[Tensor, Tensor]:
    """The costs `C_p` of some paths, and `|C_p| / (|a_p| |delta_j|)`, both `(draws,)`.

    Example:
        >>> net = LayeredNet((torch.tensor([[2.0]]),), (None,), (), ("0",))
        >>> data = Data(torch.tensor([[3.0]]), torch.zeros(1, 1), "half_squared")
        >>> [t.tolist() for t in path_costs(net, data, DrawnPaths(torch.tensor([[0, 0]]), torch.tensor([2.0])))]
        [[18.0], [1.0]]
    """
    gives = net.forward(data.inputs)[1]
    delta, gates = data.delta(gives[-1]).mT, net.gates(gives)
    lengths = delta.norm(dim=1)
    lengths = torch.where(lengths > data.rounding(gives[-1]), lengths, torch.inf)
    costs, shares = [], []
    for some in paths.units.split(max(1, _MOST_NUMBERS // len(data))):
        from_input = (some[:, :1] >= 0).to(delta)
        consumed = from_input * data.inputs.mT[some[:, 0].clamp(min=0)] + (1 - from_input)
        for i, gate in enumerate(gates):
            if gate is not None:
                passed = (some[:, i + 1, None] < 0).to(delta)  # what starts later has not met this gate
                consumed = consumed * (gate.mT[some[:, i + 1].clamp(min=0)] * (1 - passed) + passed)
        cost = (consumed * delta[some[:, -1]]).sum(1)
        size = consumed.norm(dim=1) * lengths[some[:, -1]]
        costs.append(cost)
        shares.append(torch.where(size > 0, cost.abs() / size, 0))
    return torch.cat(costs), torch.cat(shares)


def sampled_figures(net: LayeredNet, data: Data, tau: float, draws: int, seed: int) -> PathFigures:
    """The figures from drawn paths: every gap is a lower bound.

    Args:
        net: The network.
        data: The samples.
        tau: A path is used if its flow is above this share of the largest.
        draws: How many paths are drawn by their flow, and as many uniformly.
        seed: Which.

    Example:
        >>> net = LayeredNet((torch.zeros(1, 1).double(),), (None,), (), ("0",))
        >>> data = Data(torch.ones(1, 1).double(), torch.ones(1, 1).double(), "half_squared")
        >>> sampled_figures(net, data, 1e-8, draws=2, seed=0).path_gap
        1.0
    """
    by_flow = draw_paths(net, draws, torch_stream(seed, "paths", "by flow"))
    alike = draw_paths(net, draws, torch_stream(seed, "paths", "alike"), uniform=True)
    both = DrawnPaths(torch.cat([by_flow.units, alike.units]), torch.cat([by_flow.flows, alike.flows]))
    costs, shares = path_costs(net, data, both)
    used = both.flows > tau * largest_flow(net)
    return PathFigures(
        path_gap=float(costs.abs().max()),
        used_gap=float((costs.abs() * used).max()),
        norm_gap=min(1.0, float(shares.max())),
        cert=None,
        second_moment=None,
        edge_costs=None,
    )
