"""One layer's own problem where it is convex: the others' weights are fixed, and its best response is computed.

With the other layers fixed, the outputs of a linear network (or of any network, in its last layer) are
`offset + Z M' A'` in the layer's matrix M, biases being its last column: Z is what the layer reads, A the product of
the matrices after it. A squared error is solved in the singular bases of A and Z; cross-entropy has no closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.evaluators.wardrop.chain import LayeredNet
from strategic_envs.evaluators.wardrop.losses import Data

__all__ = ["Best", "LayerProblem", "problem_of"]

_SMALL = 1e-8  # a slope below it counts as none
_NEWTON = 512  # parameters up to which a Hessian is made


@dataclass(frozen=True)
class Best:
    """The smallest value of a layer's problem that was reached, and whether no smaller one exists."""

    value: float
    exact: bool


@dataclass(frozen=True, eq=False)
class LayerProblem:
    """`min over M of loss(offset + reads M' after') + decay/2 |M|^2`.

    Args:
        reads: Z, `(N, s)`; the last column is ones if the layer has a bias.
        after: A, `(d_H, d)`.
        offset: `(N, d_H)`, from biases further on.
        data: The targets and the loss.
        decay: The layer's weight decay.

    Example:
        >>> one = torch.ones(1, 1).double()
        >>> data = Data(one, 3 * one, "half_squared")
        >>> LayerProblem(one, 2 * one, one, data).best(0 * one)  # 2 m + 1 = 3
        Best(value=0.0, exact=True)
    """

    reads: Tensor
    after: Tensor
    offset: Tensor
    data: Data
    decay: float = 0.0

    def value(self, matrix: Float[Tensor, "d s"]) -> Tensor:
        """The loss and the decay of a matrix."""
        outputs = self.offset + self.reads @ matrix.mT @ self.after.mT
        return self.data.value(outputs) + self.decay / 2 * matrix.square().sum()

    def best(self, start: Float[Tensor, "d s"]) -> Best:
        """The best response: exact under a squared error, and by a search from the layer's own weights otherwise."""
        if self.data.quadratic:
            return Best(float(self.value(self._solved())), True)
        return self._searched(start)

    def _solved(self) -> Tensor:
        """The solution of least norm; each coordinate in the singular bases is a problem of its own."""
        left, a, right = torch.linalg.svd(self.after, full_matrices=False)
        rows, z, columns = torch.linalg.svd(self.reads, full_matrices=False)
        wanted = left.mT @ (self.data.targets - self.offset).mT @ rows
        weight, size = 2 * self.data.weight(self.offset.shape[1]), a[:, None] * z
        real = size > torch.finfo(size.dtype).eps * max(self.reads.shape) * size.max()
        below = torch.where(real, weight * size.square() + self.decay, 1)
        return right.mT @ torch.where(real, weight * size * wanted / below, 0) @ columns

    def _searched(self, start: Tensor) -> Best:
        from scipy.optimize import minimize

        def value_and_slope(flat: np.ndarray) -> tuple[float, np.ndarray]:
            with torch.enable_grad():
                matrix = torch.as_tensor(flat).to(start).view_as(start).requires_grad_()
                value = self.value(matrix)
                (slope,) = torch.autograd.grad(value, [matrix])
            return float(value.detach()), slope.flatten().cpu().numpy()

        options = {"maxiter": 500, "maxfun": 2000, "gtol": _SMALL / 10, "ftol": 0.0, "maxls": 50}
        found = minimize(value_and_slope, start.flatten().cpu().numpy(), jac=True, method="L-BFGS-B", options=options)
        matrix, value = torch.as_tensor(found.x).to(start).view_as(start), float(found.fun)
        slope = float(np.abs(found.jac).max())
        if slope > _SMALL and start.numel() <= _NEWTON:
            matrix, value, slope = self._newton(matrix)
        return Best(min(value, float(self.value(start))), slope <= _SMALL)

    def _newton(self, matrix: Tensor) -> tuple[Tensor, float, float]:
        """Newton's method with halved steps, from a point nearby, under cross-entropy."""
        value, slope = float(self.value(matrix)), torch.inf
        for _ in range(50):
            outputs = self.offset + self.reads @ matrix.mT @ self.after.mT
            gradient = (self.data.delta(outputs) @ self.after).mT @ self.reads + self.decay * matrix
            slope = float(gradient.abs().max())
            if slope <= _SMALL / 10:
                break
            hessian = self._curvature(outputs)
            ridge = 1e-12 * float(hessian.diagonal().mean()) + 1e-300
            hessian.diagonal().add_(ridge)
            step = torch.linalg.lstsq(hessian, gradient.flatten()[:, None]).solution.view_as(matrix)
            for length in (1.0, 0.5, 0.25, 0.1, 0.01):
                tried = matrix - length * step
                if float(self.value(tried)) < value:
                    matrix, value = tried, float(self.value(tried))
                    break
            else:
                break
        return matrix, value, slope

    def _curvature(self, outputs: Tensor) -> Tensor:
        """The Hessian of the cross-entropy in the flat matrix, and of the decay."""
        p, n = outputs.softmax(-1), len(outputs)
        mean = p @ self.after  # (N, d)
        blocks = torch.einsum("nj,ja,jb->nab", p, self.after, self.after) - mean[:, :, None] * mean[:, None, :]
        size = self.after.shape[1] * self.reads.shape[1]
        hessian = torch.einsum("nab,nk,nl->akbl", blocks / n, self.reads, self.reads).reshape(size, size)
        return hessian + self.decay * torch.eye(size).to(hessian)


def problem_of(net: LayeredNet, data: Data, layer: int, decay: float = 0.0) -> LayerProblem | None:
    """The problem of one layer, or None where it is not convex: a ReLU comes after the layer.

    Args:
        net: The network.
        data: The samples.
        layer: Which layer, counted from 0.
        decay: Its weight decay.

    Example:
        >>> net = LayeredNet((torch.eye(2), torch.ones(1, 2)), (None, None), (True,), ("0", "1"))
        >>> data = Data(torch.eye(2), torch.zeros(2, 1), "mse")
        >>> problem_of(net, data, 0) is None, problem_of(net, data, 1).reads.tolist()
        (True, [[1.0, 0.0], [0.0, 1.0]])
    """
    if any(net.relu[layer:]):
        return None
    reads, gives = net.forward(data.inputs)
    after = torch.eye(net.widths[-1]).to(data.inputs)
    for weight in reversed(net.weights[layer + 1 :]):
        after = after @ weight
    own = gives[layer]
    read = reads[layer] if net.biases[layer] is None else torch.cat([reads[layer], torch.ones_like(own[:, :1])], 1)
    return LayerProblem(read, after, gives[-1] - own @ after.mT, data, decay)
