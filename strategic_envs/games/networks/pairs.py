"""The network of figure 3 of DGNOpt: pairs of parallel layers that share their input and their output.

Liu, Chen and Theodorou, "Dynamic Game Theoretic Neural Optimizer", ICML 2021, section 3.3: `F_t = f_{t,1} + f_{t,2}`, a
game of two players at every stage. Both read the same input and have the same gradient at their outputs, so they are as
correlated as players can be. The sum of their weights is one layer's: the network says no more than a perceptron.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import no_type_check

from torch import nn

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.networks.plain import activation_named, check_widths

__all__ = ["PairedMLP", "paired_mlp"]


class _Pair(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs)

    @no_type_check  # torch.fx passes proxies for tensors
    def forward(self, x):
        return self.first(x) + self.second(x)


class PairedMLP(nn.Module):
    """A perceptron of pairs; see `paired_mlp`."""

    def __init__(self, sizes: Sequence[int], activation: str) -> None:
        super().__init__()
        self.pairs = nn.ModuleList(_Pair(a, b) for a, b in itertools.pairwise(sizes))
        self.activation = activation_named(activation)

    @no_type_check  # torch.fx passes proxies for tensors
    def forward(self, x):
        """From `(B, sizes[0])` to `(B, sizes[-1])`."""
        *hidden, last = self.pairs
        for pair in hidden:
            x = self.activation(pair(x))
        return last(x)


def paired_mlp(sizes: Sequence[int], activation: str = "relu") -> PairedMLP:
    """A perceptron in which every layer is the sum of two: two players a stage.

    Args:
        sizes: The widths from the inputs to the outputs, at least two.
        activation: `relu`, `tanh`, `sigmoid`, `gelu` or `identity`.

    Returns:
        A network with layers named `pairs.0.first`, `pairs.0.second`, ...

    Raises:
        InvalidGameError: If a width is no whole number >= 1, or there are fewer than two.
        UnknownNameError: If there is no such activation.

    Example:
        >>> from strategic_envs.games.networks import from_module
        >>> [len(stage.players) for stage in from_module(paired_mlp((64, 32, 10))).stages]
        [2, 2]
    """
    check_widths("paired_mlp", sizes=sizes)
    if len(sizes) < 2:
        raise InvalidGameError(f"paired_mlp: got sizes={tuple(sizes)}, expected two widths at least")
    return PairedMLP(sizes, activation)
