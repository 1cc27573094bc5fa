"""A file of weights read as a chain of linear layers: what `evaluate --network FILE --data ...` needs of it.

A file says which tensors there are and not what is between them, so the activation is told by the user, or by the
checkpoint that `train` wrote.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strategic_envs.scripts.options import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "linear_chain", "options_of_run"]

ACTIVATIONS = ("relu", "identity")
_MEND = "judge its weights without --data, or its gaps in Python with strategic_envs.evaluators.wardrop"

Layer = tuple[str, "Tensor", "Tensor | None"]


def linear_chain(weights: Mapping[str, Tensor], activation: str, source: str) -> tuple[nn.Sequential, list[str]]:
    """The network of linear layers with these weights, in float64.

    Layers stand in the order in which their shapes fit: that of their names with numbers counted (`2` before `10`), or
    that of the file.

    Args:
        weights: Matrices `NAME.weight` with vectors `NAME.bias` or without, and nothing else.
        activation: What is between two layers, one of `ACTIVATIONS`.
        source: The file, for messages.

    Returns:
        The network, and its layers' names from first to last.

    Raises:
        InputError: If there is another activation, a tensor that belongs to no linear layer, or layers do not fit.

    Example:
        >>> import torch
        >>> linear_chain({"b.weight": torch.ones(1, 3), "a.weight": torch.ones(3, 2)}, "relu", "net.pt")[1]
        ['a', 'b']
    """
    if activation not in ACTIVATIONS:
        raise InputError(
            f"got --activation {activation}, expected relu or identity: with others a network's output is no sum over "
            f"paths; {_MEND}"
        )
    layers = _layers(weights, source)
    orders = [sorted(layers, key=lambda layer: _counted(layer[0])), layers]
    fitting = next((order for order in orders if _misfit(order) is None), None)
    if fitting is None:
        raise InputError(f"{source}: {_misfit(orders[0])}; {_MEND}")
    return _module(fitting, activation), [name for name, _, _ in fitting]


def options_of_run(path: Path) -> dict[str, Any]:
    """The options of the layers_v0 that a checkpoint, or the folder of its run, was trained on; empty elsewhere."""
    for folder in (path / "checkpoint", path):
        try:
            about = json.loads((folder / "strategic_envs.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(about, dict) and about.get("environment") == "layers_v0":
            return {"activation": "relu", "loss": "cross_entropy", **dict(about.get("env_options") or {})}
    return {}


def _layers(weights: Mapping[str, Tensor], source: str) -> list[Layer]:
    found: list[Layer] = []
    for name, tensor in weights.items():
        owner, _, what = name.rpartition(".")
        if what == "weight" and tensor.ndim == 2:
            found.append((owner or "layer", tensor, weights.get(f"{owner}.bias" if owner else "bias")))
        elif not (what == "bias" and tensor.ndim == 1 and f"{owner}.weight".lstrip(".") in weights):
            raise InputError(
                f"{source}, tensor {name!r} of shape {tuple(tensor.shape)}: expected a chain of linear layers, "
                f"matrices NAME.weight with vectors NAME.bias or without; {_MEND}"
            )
    if not found:
        raise InputError(f"{source}: got no matrix NAME.weight, expected a chain of linear layers; {_MEND}")
    return found


def _counted(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts names with the numbers in them counted."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]


def _misfit(layers: Sequence[Layer]) -> str | None:
    """Why these are no chain in this order; None if they are."""
    for name, weight, bias in layers:
        if bias is not None and bias.shape != weight.shape[:1]:
            return f"layer {name!r}: got a bias of shape {tuple(bias.shape)}, expected ({weight.shape[0]},)"
    for (one, first, _), (two, second, _) in itertools.pairwise(layers):
        if len(first) != second.shape[1]:
            return (
                f"layer {two!r}: got {second.shape[1]} inputs after the {len(first)} outputs of {one!r}, expected "
                "layers that follow one another"
            )
    return None


def _module(layers: Sequence[Layer], activation: str) -> nn.Sequential:
    import torch
    from torch import nn

    parts: list[nn.Module] = []
    for _, weight, bias in layers:
        outputs, inputs = weight.shape
        linear: Any = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias is not None, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(weight)
            if bias is not None:
                linear.bias.copy_(bias)
        parts += [linear] if not parts or activation == "identity" else [nn.ReLU(), linear]
    return nn.Sequential(*parts)
