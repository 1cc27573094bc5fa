"""Small networks of digits trained in six ways, whose weights are looked at before and after.

The step sizes are ours: those of the program that the numbers are compared with are not stated.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from strategic_envs.data import digits
from strategic_envs.seeding import torch_stream

__all__ = ["RUNS", "Recipe", "Trained", "train"]

WIDTHS = (64, 256, 256, 10)
_BATCH = 64
_SHARE = 0.7  # of the digits to train on


def _uniform(shape: tuple[int, int], random: torch.Generator) -> Tensor:
    """PyTorch's own: uniform between minus and plus 1 / sqrt(fan in)."""
    return (2 * torch.rand(shape, generator=random) - 1) / math.sqrt(shape[1])


def _he(shape: tuple[int, int], random: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=random) * math.sqrt(2 / shape[1])


def _lognormal(shape: tuple[int, int], random: torch.Generator) -> Tensor:
    """Sizes whose logarithm has standard deviation 1 and whose mean square is He's, with random signs."""
    size = (torch.randn(shape, generator=random) + 0.5 * math.log(2 / shape[1]) - 1).exp()
    return size * (2 * torch.randint(2, shape, generator=random) - 1)


class _ExponentiatedGradient(torch.optim.Optimizer):
    """`w <- w exp(-rate sign(w) g)` for matrices, whose signs stay; plain gradient descent for biases."""

    def __init__(self, params: object, rate: float) -> None:
        super().__init__(params, {"rate": rate})  # pyright: ignore[reportArgumentType]

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for w in group["params"]:
                if w.ndim > 1:
                    w.mul_(torch.exp(-group["rate"] * w.sign() * w.grad))
                else:
                    w.sub_(w.grad, alpha=0.1 * group["rate"])


@dataclass(frozen=True)
class Recipe:
    """One way to train, and what another program found with it.

    Args:
        name: What it is called.
        weights: Draws a matrix of weights.
        optimiser: Makes the optimiser of parameters.
        accuracy: On held-out digits, of that program.
        gaps: J of the three trained matrices, of that program.
        first: J of the three at initialisation.
        winners: Which families won there.
        draw: Which seeds differ from the run's own, by this.
        biases: Whether biases begin as torch's do and not at zero.
    """

    name: str
    weights: Callable[[tuple[int, int], torch.Generator], Tensor]
    optimiser: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]
    accuracy: float
    gaps: tuple[float, float, float]
    first: tuple[float, float, float]
    winners: str
    draw: int = 0
    biases: bool = False


def _adam(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=1e-3)


def _adamw(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.1)


def _momentum(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-3)


def _multiplicative(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    return _ExponentiatedGradient(parameters, rate=1.0)


_HE, _HE_FIRST = "He normal start", (0.17, 0.18, 0.19)
RUNS = (
    Recipe(
        "torch default start, Adam",
        _uniform,
        _adam,
        0.972,
        (0.199, 0.139, 0.194),
        (0.43, 0.43, 0.44),
        "generalised half-normal, half-t, half-normal",
        biases=True,
    ),
    Recipe(f"{_HE}, Adam", _he, _adam, 0.987, (0.174, 0.149, 0.181), _HE_FIRST, "half-normal, half-t"),
    Recipe(
        f"{_HE}, Adam, second draw", _he, _adam, 0.982, (0.173, 0.144, 0.144), _HE_FIRST, "half-normal, half-t", draw=1
    ),
    Recipe(f"{_HE}, AdamW with decay .1", _he, _adamw, 0.983, (0.170, 0.125, 0.176), _HE_FIRST, "half-t"),
    Recipe(
        f"{_HE}, SGD with momentum, decay .001",
        _he,
        _momentum,
        0.978,
        (0.118, 0.105, 0.103),
        _HE_FIRST,
        "Weibull, half-t, Weibull",
    ),
    Recipe(
        "lognormal start, Adam",
        _lognormal,
        _adam,
        0.983,
        (0.070, 0.079, 0.074),
        (0.008, 0.006, 0.014),
        "half-t",
    ),
    Recipe(f"{_HE}, exponentiated gradient", _he, _multiplicative, 0.982, (0.148, 0.157, 0.079), _HE_FIRST, "half-t"),
)


@dataclass(frozen=True, eq=False)
class Trained:
    """A network before and after, its accuracy on held-out digits, and these."""

    before: nn.Sequential
    after: nn.Sequential
    accuracy: float
    held_out: Tensor


def train(recipe: Recipe, *, epochs: int, seed: int) -> Trained:
    """Trains the network 64-256-256-10 with ReLU by cross-entropy.

    Args:
        recipe: How.
        epochs: Passes over the 70% of the digits that are trained on, in batches of 64.
        seed: Seeds split, initial weights and order.

    Returns:
        The network before and after.

    Example:
        >>> run = train(RUNS[1], epochs=1, seed=0)
        >>> len(run.held_out), run.accuracy > 0.5
        (540, True)
    """
    inputs, targets, held_out, held_targets = _split(seed)
    random = torch_stream(seed, "digit network", recipe.draw)
    before, after = _network(), _network()
    with torch.no_grad():
        for layer in before:
            if isinstance(layer, nn.Linear):
                layer.weight.copy_(recipe.weights((layer.out_features, layer.in_features), random))
                layer.bias.zero_()
                if recipe.biases:
                    layer.bias.copy_(_uniform((layer.out_features, layer.in_features), random)[:, 0])
    after.load_state_dict(before.state_dict())
    optimiser = recipe.optimiser(list(after.parameters()))
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs), generator=random).split(_BATCH):
            optimiser.zero_grad()
            nn.functional.cross_entropy(after(inputs[rows]), targets[rows]).backward()
            optimiser.step()
    with torch.no_grad():
        accuracy = float((after(held_out).argmax(-1) == held_targets).double().mean())
    return Trained(before, after, accuracy, held_out)


def _network() -> nn.Sequential:
    layers: list[nn.Module] = []
    for narrow, wide in itertools.pairwise(WIDTHS):
        layers += [nn.utils.skip_init(nn.Linear, narrow, wide), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _split(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs and targets to train on and held out; 70% of all digits, drawn."""
    parts = [digits(split).flatten() for split in ("train", "test")]
    inputs, targets = (torch.cat([getattr(part, name) for part in parts]) for name in ("inputs", "targets"))
    order = torch.randperm(len(inputs), generator=torch_stream(seed, "digit network", "split"))
    count = int(_SHARE * len(order))
    first, rest = order[:count], order[count:]
    return inputs[first], targets[first], inputs[rest], targets[rest]
