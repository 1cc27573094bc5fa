"""Kinks: points where a ReLU's preactivation is zero on a sample, and the loss has no gradient there.

Small networks trained to convergence often stop at one. Automatic derivation takes such a gate as closed and may show
a gradient of 1e-3 or more at a point that is stationary for the sides taken together: with the gate open in part. For
one hidden layer the shortest gradient over all such gates is a bounded least-squares problem, one a hidden unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from strategic_envs.evaluators.wardrop.chain import LayeredNet
from strategic_envs.evaluators.wardrop.losses import Data

__all__ = ["KINK", "Kinks", "clarke_norm", "kinks_of"]

KINK = 1e-6
"""A preactivation this close to zero makes a gate ambiguous."""

_FEW = 64


class Kinks(NamedTuple):
    """The smallest `|preactivation|` of a ReLU, None without ReLU; and how many of them are at zero."""

    distance: float | None
    ambiguous: int


def kinks_of(net: LayeredNet, data: Data) -> Kinks:
    """The smallest `|preactivation|` of a ReLU over units and samples, and how many are below `KINK`.

    Example:
        >>> net = LayeredNet((torch.eye(2), torch.ones(1, 2)), (None, None), (True,), ("0", "1"))
        >>> kinks_of(net, Data(torch.tensor([[1.0, -0.5]]), torch.zeros(1, 1), "mse"))
        Kinks(distance=0.5, ambiguous=0)
    """
    bent = [z.abs() for z, relu in zip(net.forward(data.inputs)[1], net.relu, strict=False) if relu]
    distance = min((float(z.min()) for z in bent), default=None)
    return Kinks(distance, sum(int((z < KINK).sum()) for z in bent))


def clarke_norm(net: LayeredNet, data: Data) -> float | None:
    """The length of the shortest gradient with every ambiguous gate anywhere in [0, 1]; one hidden layer, else None.

    Zero is necessary for a Clarke-stationary point. It is sufficient where the samples with an ambiguous gate at a
    unit are linearly independent (with a bias, affinely): otherwise their gates move together, and fewer gradients are
    limits of gradients nearby than are counted here. It makes no minimum: at a concave kink all ways lead down.

    Args:
        net: The network.
        data: The samples.

    Example:
        >>> net = LayeredNet((torch.zeros(1, 1).double(), torch.ones(1, 1).double()), (None, None), (True,), ("0", "1"))
        >>> data = Data(torch.ones(1, 1).double(), torch.ones(1, 1).double(), "half_squared")
        >>> clarke_norm(net, data)  # at the kink, with the gate closed the gradient is 0
        0.0
    """
    if net.relu != (True,):
        return None
    slopes, shifts = net.gradients(data)
    reads, gives = net.forward(data.inputs)
    back = data.delta(gives[-1]) @ net.weights[1]
    rows = reads[0] if net.biases[0] is None else torch.cat([reads[0], torch.ones_like(reads[0][:, :1])], 1)
    kept = [slopes[1], *(s for s in shifts[1:] if s is not None)]
    total = sum(float(s.square().sum()) for s in kept)
    for unit in range(net.widths[1]):
        z = gives[0][:, unit]
        base = ((back[:, unit] * (z >= KINK))[:, None] * rows).sum(0)
        unclear = z.abs() < KINK
        if not bool(unclear.any()):
            total += float(base.square().sum())
            continue
        matrix = (back[unclear, unit, None] * rows[unclear]).mT.cpu().numpy()
        total += _shortest(matrix, base.cpu().numpy())
    return total**0.5


def _shortest(matrix: np.ndarray, base: np.ndarray) -> float:
    """The smallest `|matrix @ gates + base|^2` over gates in [0, 1]."""
    from scipy.optimize import lsq_linear

    scale = float(np.abs(matrix).max()) or 1.0
    method = "bvls" if matrix.shape[1] <= _FEW else "trf"
    found = lsq_linear(matrix / scale, -base / scale, (0, 1), method=method, tol=1e-14)
    return float(np.square(matrix @ np.clip(found.x, 0, 1) + base).sum())
