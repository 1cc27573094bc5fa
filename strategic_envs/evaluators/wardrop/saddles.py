"""Critical points of a linear network with one hidden layer, saddles and minima, in closed form.

For a squared error let U be the eigenvectors of `S_yx S_xx^-1 S_xy`. Every set of modes, and every invertible M, give a
critical point `W_2 = [U_S M, 0]`, `W_1 = [M^-1 U_S' S_yx S_xx^-1; 0]`; its P is the least-squares map projected on the
modes. It is a global minimum exactly if the modes are the largest ones that fit, and otherwise a saddle.

Baldi and Hornik, "Neural networks and principal component analysis", Neural Networks 2(1), 1989.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from strategic_envs.errors import InvalidSettingError

__all__ = ["linear_critical_point"]


def linear_critical_point(
    inputs: Float[Tensor, "N features"],
    targets: Float[Tensor, "N outputs"],
    modes: Sequence[int],
    hidden: int,
    mixing: Float[Tensor, "modes modes"] | None = None,
) -> nn.Sequential:
    """A linear network at a critical point of its squared error: each layer's slope is zero.

    Args:
        inputs: The samples, of full column rank.
        targets: Their targets.
        modes: Which modes are used, the largest being 0; none is the saddle at zero.
        hidden: The width of the hidden layer, at least the number of modes.
        mixing: M, the identity by default.

    Returns:
        Two linear layers without bias, in float64.

    Raises:
        InvalidSettingError: If the modes do not fit, or the inputs are not of full column rank.

    Example:
        >>> net = linear_critical_point(torch.eye(3), torch.diag(torch.tensor([3.0, 2.0, 1.0])), [1], hidden=4)
        >>> (net[1].weight @ net[0].weight).detach().round(decimals=9).abs().tolist()
        [[0.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]
    """
    x, y = inputs.double(), targets.double()
    outputs = y.shape[1]
    if len(set(modes)) != len(modes) or not all(0 <= k < outputs for k in modes) or len(modes) > hidden:
        raise InvalidSettingError(
            f"got modes={list(modes)} for {outputs} outputs and hidden={hidden}, expected different numbers below "
            f"{outputs}, and no more than {hidden}"
        )
    if int(torch.linalg.matrix_rank(x)) < x.shape[1]:
        raise InvalidSettingError(
            f"got inputs of rank {int(torch.linalg.matrix_rank(x))}, expected full column rank {x.shape[1]}: leave out "
            "constant or repeated features"
        )
    best = torch.linalg.lstsq(x, y).solution.mT  # S_yx S_xx^-1
    explained = best @ (x.mT @ x) @ best.mT
    vectors = torch.linalg.eigh(explained).eigenvectors.flip(-1)[:, list(modes)]
    m = torch.eye(len(modes)).to(x) if mixing is None else mixing.to(x)
    second, first = vectors @ m, torch.linalg.solve(m, vectors.mT @ best)
    net = nn.Sequential(nn.Linear(x.shape[1], hidden, bias=False), nn.Linear(hidden, outputs, bias=False)).to(x)
    with torch.no_grad():
        for layer, own in ((net[0], first), (net[1], second)):
            assert isinstance(layer, nn.Linear)
            layer.weight.zero_()
            layer.weight[: own.shape[0], : own.shape[1]] = own
    return net
