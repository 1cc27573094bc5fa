"""The path kernel: `sum over paths of |w_p| C_p^2` exactly, without listing a path.

`T_l[n, m, k]` is the sum, over the paths that end in unit k of layer l, of their flow times what they consume on the
samples n and m; one matrix product a layer carries it on. Contracted with the costs of the resources it gives the
second moment of the path costs. The time is `N^2 sum d_l d_{l-1}`: give it some hundred samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from strategic_envs.evaluators.wardrop.chain import LayeredNet
from strategic_envs.evaluators.wardrop.losses import Data

__all__ = ["kernel_work", "second_moment", "total_flow"]

_MOST_NUMBERS = 2**23


def second_moment(net: LayeredNet, data: Data) -> float:
    """`sum_p |w_p| C_p^2` over all paths, the gates as they are.

    Args:
        net: The network.
        data: The samples.

    Example:
        >>> net = LayeredNet((-torch.eye(2).double(), torch.ones(1, 2).double()), (None, None), (True,), ("0", "1"))
        >>> data = Data(torch.tensor([[1.0, -1.0]]).double(), torch.zeros(1, 1).double(), "half_squared")
        >>> second_moment(net, data)
        1.0
    """
    gives = net.forward(data.inputs)[1]
    delta, gates = data.delta(gives[-1]), [*net.gates(gives), None]
    x, total = data.inputs, 0.0
    rows = max(1, _MOST_NUMBERS // (len(data) * max(net.widths)))
    for some in torch.arange(len(data), device=x.device).split(rows):
        kernel = x[some, None, :] * x  # (some, N, d_0)
        for weight, bias, gate in zip(net.weights, net.biases, gates, strict=True):
            kernel = kernel @ weight.abs().mT
            if bias is not None:
                kernel = kernel + bias.abs()
            if gate is not None:
                kernel = kernel * gate[some, None, :] * gate
        total += float(torch.einsum("nmj,nj,mj->", kernel, delta[some], delta))
    return max(0.0, total)


def total_flow(net: LayeredNet) -> float:
    """The mass of all flows, `sum_p |w_p|`.

    Example:
        >>> weights = torch.tensor([[2.0, -1.0]]), torch.tensor([[3.0]])
        >>> total_flow(LayeredNet(weights, (None, None), (False,), ("", "")))
        9.0
    """
    flow: Tensor = net.weights[0].new_ones(net.widths[0])
    for weight, bias in zip(net.weights, net.biases, strict=True):
        flow = weight.abs() @ flow + (0 if bias is None else bias.abs())
    return float(flow.sum())


def kernel_work(net: LayeredNet, data: Data) -> int:
    """The multiplications of `second_moment`."""
    return len(data) ** 2 * sum(w.numel() for w in net.weights)
