"""Chains of linear layers, and the activations that all networks here know by name."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from strategic_envs.errors import InvalidGameError, UnknownNameError

__all__ = ["ACTIVATIONS", "activation_named", "check_widths", "mlp"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": functional.gelu,
    "identity": torch.clone,  # a function that torch.fx can trace and pickle can keep
}
_MODULES = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "identity": nn.Identity}


def mlp(sizes: Sequence[int], activation: str = "relu") -> nn.Sequential:
    """A multilayer perceptron: linear layers with an activation between them.

    Args:
        sizes: The widths from the inputs to the outputs, at least two.
        activation: `relu`, `tanh`, `sigmoid`, `gelu` or `identity`.

    Returns:
        A network from `(B, sizes[0])` to `(B, sizes[-1])`, its layers named `layer_0`, `layer_1`, ...

    Raises:
        InvalidGameError: If a width is no whole number >= 1.
        UnknownNameError: If there is no such activation.

    Example:
        >>> [name for name, _ in mlp((64, 32, 10)).named_children()]
        ['layer_0', 'activation_0', 'layer_1']
    """
    check_widths("mlp", sizes=sizes)
    if len(sizes) < 2:
        raise InvalidGameError(f"mlp: got sizes={tuple(sizes)}, expected two widths at least, inputs and outputs")
    activation_named(activation)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (before, after) in enumerate(itertools.pairwise(sizes)):
        parts[f"layer_{i}"] = nn.Linear(before, after)
        parts[f"activation_{i}"] = _MODULES[activation]()
    parts.popitem()
    return nn.Sequential(parts)


def activation_named(name: str) -> Callable[[Tensor], Tensor]:
    """The function of this name, out of place.

    Raises:
        UnknownNameError: If there is none.

    Example:
        >>> activation_named("relu")(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    if name not in ACTIVATIONS:
        raise UnknownNameError("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def check_widths(what: str, **widths: int | Sequence[int]) -> None:
    """Refuses widths that are no whole numbers >= 1.

    Raises:
        InvalidGameError: It names the argument.
    """
    for name, given in widths.items():
        each = given if isinstance(given, Sequence) else (given,)
        if not each or not all(type(width) is int and width >= 1 for width in each):
            raise InvalidGameError(f"{what}: got {name}={given!r}, expected whole numbers >= 1, such as 16")
