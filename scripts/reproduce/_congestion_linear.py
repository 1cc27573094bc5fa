"""Linear networks as lists of matrices: random data, exact minima, saddles' curvature, and flows within budgets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from strategic_envs.seeding import torch_stream

__all__ = [
    "Weights",
    "drawn",
    "half_squared",
    "least_curvature",
    "least_in_budget",
    "least_squares",
    "minimised",
    "network_of",
    "outputs",
    "random_data",
    "weights_of",
]

Weights = tuple[Tensor, ...]
Loss = Callable[[Weights], Tensor]


def random_data(seed: int) -> tuple[Tensor, Tensor]:
    """60 samples of a linear map from 4 to 3 numbers, with noise: inputs `(60, 4)` and targets `(60, 3)`."""
    draw = torch_stream(seed, "congestion", "data")
    x = torch.randn(60, 4, generator=draw, dtype=torch.float64)
    teacher = 2 * torch.randn(3, 4, generator=draw, dtype=torch.float64)
    return x, x @ teacher.mT + 0.5 * torch.randn(60, 3, generator=draw, dtype=torch.float64)


def drawn(widths: Sequence[int], seed: int, *names: str | int) -> Weights:
    """Gaussian matrices `(d_l, d_{l-1})`, divided by the root of their number of inputs."""
    draw = torch_stream(seed, "congestion", *names)
    return tuple(torch.randn(b, a, generator=draw, dtype=torch.float64) / a**0.5 for a, b in itertools.pairwise(widths))


def outputs(weights: Weights, x: Tensor) -> Tensor:
    """What the network gives for samples `(N, d_0)`."""
    for w in weights:
        x = x @ w.mT
    return x


def half_squared(weights: Weights, x: Tensor, y: Tensor) -> Tensor:
    """`1/(2N)` times the sum of squared errors."""
    return (outputs(weights, x) - y).square().sum() / (2 * len(x))


def network_of(weights: Weights) -> nn.Sequential:
    """The network as a torch module without biases."""
    layers = []
    for w in weights:
        layer = nn.utils.skip_init(nn.Linear, w.shape[1], w.shape[0], bias=False, dtype=w.dtype)
        nn.utils.vector_to_parameters(w.flatten(), layer.parameters())
        layers.append(layer)
    return nn.Sequential(*layers)


def weights_of(network: nn.Module) -> Weights:
    """The matrices of such a module."""
    return tuple(p.detach().clone() for p in network.parameters())


def _parts(flat: Tensor, like: Weights) -> Weights:
    pieces = flat.split([w.numel() for w in like])
    return tuple(piece.view(w.shape) for piece, w in zip(pieces, like, strict=True))


def _flat(weights: Weights) -> Tensor:
    return torch.cat([w.flatten() for w in weights])


def least_curvature(weights: Weights, loss: Loss) -> float:
    """The smallest eigenvalue of the Hessian of a loss in all weights."""
    hessian = torch.func.jacrev(torch.func.grad(lambda flat: loss(_parts(flat, weights))))(_flat(weights))
    return float(torch.linalg.eigvalsh(hessian)[0])


def minimised(weights: Weights, loss: Loss, *, newton: int = 8) -> Weights:
    """A local minimum: L-BFGS, then Newton steps in the directions in which the Hessian is not zero.

    Args:
        weights: Where to begin.
        loss: From weights to a number.
        newton: How many Newton steps at most.
    """
    flat = _flat(weights).requires_grad_()
    search = torch.optim.LBFGS(
        [flat], max_iter=3000, history_size=50, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        search.zero_grad()
        value = loss(_parts(flat, weights))
        value.backward()
        return float(value.detach())

    search.step(closure)

    def of(point: Tensor) -> Tensor:
        return loss(_parts(point, weights))

    point = flat.detach()
    for _ in range(newton):
        slope = torch.func.grad(of)(point)
        values, vectors = torch.linalg.eigh(torch.func.jacrev(torch.func.grad(of))(point))
        seen = values.abs() > 1e-7 * values.abs().max()
        step = vectors[:, seen] @ ((vectors[:, seen].mT @ slope) / values[seen].abs())
        if not float(torch.func.grad(of)(point - step).norm()) < float(slope.norm()):
            break
        point = point - step
    return _parts(point, weights)


def least_squares(x: Tensor, y: Tensor, rank: int = 3) -> float:
    """The smallest loss of a linear map of at most this rank (Baldi and Hornik 1989)."""
    fitted = x @ torch.linalg.lstsq(x, y).solution
    kept = torch.linalg.svd(fitted)[2][:rank]
    return float((fitted @ kept.mT @ kept - y).square().sum() / (2 * len(x)))


def _into_budget(matrix: Tensor, budget: Tensor) -> Tensor:
    """The nearest matrix whose columns' absolute sums are at most the budget each."""
    size = matrix.abs()
    falling = size.sort(0, descending=True).values
    levels = (falling.cumsum(0) - budget) / torch.arange(1, len(matrix) + 1).to(matrix)[:, None]
    last = (falling > levels).sum(0, keepdim=True).clamp(min=1) - 1
    level = levels.gather(0, last).clamp(min=0)
    return matrix.sign() * torch.where(size.sum(0) <= budget, size, (size - level).clamp(min=0))


def least_in_budget(after: Tensor, reads: Tensor, y: Tensor, start: Tensor, steps: int) -> float:
    """The least loss of `reads M' after'` that is found over matrices M whose columns are no larger than the start's.

    Accelerated projected gradient; the size of a column is the sum of its absolute entries.

    Args:
        after: The product of the matrices after this layer, `(d_H, d)`.
        reads: What the layer reads, `(N, s)`.
        y: The targets, `(N, d_H)`.
        start: The layer's matrix `(d, s)`.
        steps: How many steps.
    """
    budget, n = start.abs().sum(0), len(reads)
    rate = n / float(torch.linalg.matrix_norm(after, 2) * torch.linalg.matrix_norm(reads, 2)) ** 2
    here = before = ahead = start
    best, t = float("inf"), 1.0
    for _ in range(steps):
        error = reads @ ahead.mT @ after.mT - y
        here = _into_budget(ahead - rate / n * after.mT @ error.mT @ reads, budget)
        following = (1 + (1 + 4 * t * t) ** 0.5) / 2
        ahead, before, t = here + (t - 1) / following * (here - before), here, following
    for candidate in (here, start):
        best = min(best, float((reads @ candidate.mT @ after.mT - y).square().sum() / (2 * n)))
    return best
