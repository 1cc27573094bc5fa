"""Networks, data and an optimiser that the tests of Wardrop gaps share."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.func import functional_call


def chain(sizes: list[int], seed: int = 0, *, relu: bool = False, bias: bool = False, scale: float = 1.0) -> Any:
    """A network of these widths with Gaussian weights, in float64."""
    parts: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        parts += [nn.Linear(before, after, bias=bias).double(), nn.ReLU() if relu else nn.Identity()]
    net, generator = nn.Sequential(*parts[:-1]), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=generator, dtype=p.dtype) / p.shape[-1] ** 0.5)
    return net


def gaussian(samples: int, inputs: int, outputs: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs, and targets that a noisy linear map of some modes makes of them."""
    generator = torch.Generator().manual_seed(1000 + seed)
    x = torch.randn(samples, inputs, generator=generator, dtype=torch.float64)
    teacher = 3 * torch.randn(inputs, outputs, generator=generator, dtype=torch.float64)
    return x, x @ teacher + torch.randn(samples, outputs, generator=generator, dtype=torch.float64)


def half_squared(outputs: Tensor, targets: Tensor) -> Tensor:
    """`1/(2N)` times the sum of squares."""
    return (outputs - targets).square().sum() / (2 * len(targets))


def objective(net: nn.Module, x: Tensor, y: Tensor, loss: Callable[..., Tensor], decay: float) -> Any:
    """The loss with decay as a function of the flat weights; also how to cut these."""
    names, shapes = zip(*((n, p.shape) for n, p in net.named_parameters()), strict=True)
    sizes = [s.numel() for s in shapes]

    def value(flat: Tensor) -> Tensor:
        parts = [w.view(s) for w, s in zip(flat.split(sizes), shapes, strict=True)]
        outputs = functional_call(net, dict(zip(names, parts, strict=True)), (x,))
        return loss(outputs, y) + decay / 2 * flat.square().sum()

    return value


def flat_weights(net: nn.Module) -> Tensor:
    """All weights in one vector."""
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def load_flat(net: nn.Module, flat: Tensor) -> None:
    """Sets all weights from one vector."""
    sizes = [p.numel() for p in net.parameters()]
    with torch.no_grad():
        for p, w in zip(net.parameters(), flat.split(sizes), strict=True):
            p.copy_(w.view_as(p))


def train(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    loss: Callable[..., Tensor] = half_squared,
    decay: float = 0.0,
    newton: int = 20,
) -> nn.Module:
    """L-BFGS, then damped Newton steps as long as they shorten the gradient; the net is changed and given back."""
    value = objective(net, x, y, loss, decay)

    def numpy_value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = torch.as_tensor(flat).requires_grad_()
        result = value(w)
        return float(result.detach()), torch.autograd.grad(result, w)[0].numpy()

    options = {"maxiter": 3000, "maxfun": 5000, "gtol": 1e-13, "ftol": 0.0, "maxcor": 30}
    found = minimize(numpy_value, flat_weights(net).numpy(), jac=True, method="L-BFGS-B", options=options)
    w = torch.as_tensor(found.x)
    gradient = torch.func.grad(value)
    for _ in range(newton):
        g = gradient(w)
        if float(g.norm()) < 1e-13:
            break
        sizes, vectors = torch.linalg.eigh(torch.func.jacrev(torch.func.grad(value))(w))
        real = sizes.abs() > 1e-9 * float(sizes.abs().max())
        step = vectors[:, real] @ ((vectors[:, real].mT @ g) / sizes[real])
        if float(gradient(w - step).norm()) >= float(g.norm()):
            break
        w = w - step
    load_flat(net, w)
    return net


@pytest.fixture
def tools() -> Any:
    """The functions of this file."""
    import types

    names = (chain, gaussian, half_squared, objective, flat_weights, load_flat, train)
    return types.SimpleNamespace(**{f.__name__: f for f in names})
