"""Small torch networks, their batches, and the same networks in the dense reference."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from strategic_envs.games.networks import initialise, mlp, residual_mlp
from strategic_envs.seeding import torch_stream
from tests.agents.dgnopt import dense_networks
from tests.agents.dgnopt.dense import Stage


def batch(samples: int, *shape: int, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Inputs and classes, float64."""
    g = torch_stream(0, "batch")
    inputs = torch.randn(samples, *shape, generator=g, dtype=torch.float64)
    return inputs, torch.randint(classes, (samples,), generator=g)


def residual() -> nn.Module:
    """Two blocks, tanh; `dense_residual` is the same."""
    net = residual_mlp(4, (4, 3), 5, 3, activation="tanh").double()
    initialise(net, 3, gain=1.0)
    return net


def dense_residual(alignment: str) -> list[Stage]:
    """The network of `residual`."""
    return dense_networks.residual((4, 3), torch.tanh, alignment)


def perceptron() -> nn.Module:
    """Three layers, tanh; `dense_perceptron` is the same."""
    net = mlp((4, 5, 4, 3), activation="tanh").double()
    initialise(net, 3, gain=1.0)
    return net


def dense_perceptron(net: nn.Module) -> list[Stage]:
    """The network of `perceptron`."""
    names = [name for name, layer in net.named_modules() if isinstance(layer, nn.Linear)]
    return dense_networks.chain(names, torch.tanh)


def convolutional() -> nn.Module:
    """Two convolutions and a linear head on 7 x 7 pixels, tanh; `dense_convolutional` is the same."""
    net = nn.Sequential(
        *(nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.Tanh(), nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.Tanh()),
        *(nn.Flatten(), nn.Linear(12, 3)),
    ).double()
    initialise(net, 3, gain=1.0)
    return net


def dense_convolutional() -> list[Stage]:
    """The network of `convolutional`; it reads flat inputs."""
    return dense_networks.convolutions((1, 7, 7), (2, 3), torch.tanh)
