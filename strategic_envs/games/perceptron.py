"""Perceptrons as functions of their flat weights: many networks at once, one a row, and their slopes in the input.

The weights of L layers lie in one vector: W_1 (row by row), b_1, W_2, b_2, ... With weights `(*batch, d)` all matrix
products are batched, so five seeds train as one. Slopes are written out, not differentiated by a backward pass: a
penalty on them costs one derivative and works under every transform of torch.func.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError

__all__ = ["ACTIVATIONS", "Perceptron"]


def _relu_slope(a: Tensor) -> Tensor:
    return (a > 0).to(a.dtype)


def _leaky(a: Tensor) -> Tensor:
    return torch.nn.functional.leaky_relu(a, 0.2)


def _leaky_slope(a: Tensor) -> Tensor:
    return torch.where(a > 0, 1.0, 0.2).to(a.dtype)


def _tanh_slope(a: Tensor) -> Tensor:
    return 1 - a.tanh() ** 2


ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "leaky_relu": (_leaky, _leaky_slope),
    "relu": (torch.relu, _relu_slope),
    "softplus": (torch.nn.functional.softplus, torch.sigmoid),
    "tanh": (torch.tanh, _tanh_slope),
}
"""Each activation and its derivative; leaky_relu has the slope 0.2 below zero."""


@dataclass(frozen=True)
class Perceptron:
    """A multilayer perceptron, linear at its end, as a function of flat weights.

    Args:
        widths: The widths of input, hidden layers and output.
        activation: One of `ACTIVATIONS`.

    Raises:
        InvalidGameError: If there are fewer than two widths, one is below 1, or the activation is unknown.

    Example:
        >>> network = Perceptron((2, 16, 1))
        >>> weights = network.initial(torch.Generator().manual_seed(0))
        >>> network.dim, network(weights, torch.zeros(5, 2)).shape
        (65, torch.Size([5, 1]))
    """

    widths: tuple[int, ...]
    activation: str = "relu"

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or not all(type(width) is int and width >= 1 for width in self.widths):
            raise InvalidGameError(f"got widths {self.widths}, expected at least two whole numbers >= 1")
        if self.activation not in ACTIVATIONS:
            raise InvalidGameError(f"got activation={self.activation!r}, expected one of {', '.join(ACTIVATIONS)}")

    @property
    def dim(self) -> int:
        """The number of weights."""
        return sum((m + 1) * n for m, n in itertools.pairwise(self.widths))

    def initial(self, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Float[Tensor, " dim"]:
        """Weights to start from: uniform in `+-1/sqrt(inputs)` a layer, as torch's own layers.

        Args:
            generator: What they are drawn with.
            dtype: Their type.
        """
        parts = []
        for m, n in itertools.pairwise(self.widths):
            uniform = torch.rand((m + 1) * n, generator=generator, dtype=dtype, device=generator.device)
            parts.append((2 * uniform - 1) / math.sqrt(m))
        return torch.cat(parts)

    def layers(self, weights: Float[Tensor, "*batch dim"]) -> list[tuple[Tensor, Tensor]]:
        """For each layer its matrix `(*batch, m, n)` and its offsets `(*batch, 1, n)`."""
        sizes = [size for m, n in itertools.pairwise(self.widths) for size in (m * n, n)]
        parts = weights.split(sizes, dim=-1)
        shapes = itertools.pairwise(self.widths)
        return [
            (W.unflatten(-1, shape), b.unsqueeze(-2))
            for W, b, shape in zip(parts[::2], parts[1::2], shapes, strict=True)
        ]

    def __call__(self, weights: Float[Tensor, "*batch dim"], inputs: Tensor) -> Tensor:
        """The outputs `(*batch, N, n)` at inputs `(*batch, N, m)`, or `(N, m)` for all networks."""
        return self._forward(self.layers(weights), inputs)[0]

    def with_slopes(self, weights: Float[Tensor, "*batch dim"], inputs: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """The outputs at all inputs, and the slopes of the first output at some of them.

        Args:
            weights: The weights, `(*batch, dim)`.
            inputs: `(*batch, N, m)`.
            rows: Of which inputs the slopes are wanted.

        Returns:
            Outputs `(*batch, N, n)` and slopes `(*batch, rows, m)`.
        """
        layers = self.layers(weights)
        outputs, hidden = self._forward(layers, inputs)
        slopes = layers[-1][0][..., :1].mT  # (*batch, 1, width)
        for (W, _), a in zip(reversed(layers[:-1]), reversed(hidden), strict=True):
            slopes = (slopes * ACTIVATIONS[self.activation][1](a[..., rows, :])) @ W.mT
        return outputs, slopes

    def _forward(self, layers: Sequence[tuple[Tensor, Tensor]], inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, hidden = inputs, []
        for k, (W, b) in enumerate(layers):
            a = x @ W + b
            if k == len(layers) - 1:
                return a, hidden
            hidden.append(a)
            x = ACTIVATIONS[self.activation][0](a)
        return x, hidden
