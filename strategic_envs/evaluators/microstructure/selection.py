"""Which tensors of a network are weights: matrices and kernels, not biases, scales of norms, or fixed buffers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from strategic_envs.errors import DataError, InvalidSettingError, UnknownNameError

__all__ = ["Skipped", "named_tensors", "weights_of"]

NORMS = (nn.LayerNorm, nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.RMSNorm)
_NORM = re.compile(r"norm(?!al)|(^|_)(ln|bn)(_|\d|$)", re.IGNORECASE)
_FIXED = re.compile(
    r"running_(mean|var)|num_batches|stft|basis|window|filter_?bank|fbank|inv_freq|rotary|sinusoid|mask|position_ids",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Skipped:
    """A tensor that was left out.

    Args:
        name: The tensor.
        shape: Its shape.
        reason: Why, as the end of a sentence.
    """

    name: str
    shape: tuple[int, ...]
    reason: str


def named_tensors(weights: nn.Module | Mapping[str, Any], what: str = "weights") -> dict[str, Tensor]:
    """The tensors of a module (parameters and buffers, each once) or of a state dict, by name.

    Raises:
        InvalidSettingError: If it is neither, such as a path.
        DataError: If there is no tensor in it, or one without values (a lazy layer, the meta device).

    Example:
        >>> list(named_tensors(nn.Linear(2, 3)))
        ['weight', 'bias']
    """
    if isinstance(weights, nn.Module):
        found: dict[str, Any] = dict([*weights.named_parameters(), *weights.named_buffers()])
    elif isinstance(weights, Mapping):
        found = {str(name): value for name, value in weights.items() if isinstance(value, Tensor | np.ndarray)}
    else:
        hint = ": read a file with strategic_envs.data.weights.read_weights" if isinstance(weights, str | Path) else ""
        raise InvalidSettingError(f"{what}: got {type(weights).__name__}, expected a module or a state dict{hint}")
    if not found:
        raise DataError(f"{what}: got no tensor in a {type(weights).__name__}, expected those of a network by name")
    for name, tensor in found.items():
        if isinstance(tensor, UninitializedParameter | UninitializedBuffer) or (
            isinstance(tensor, Tensor) and tensor.is_meta
        ):
            raise DataError(f"{name!r} has no values: expected a network whose lazy layers ran and that is on a device")
    return {name: torch.as_tensor(value).detach() for name, value in found.items()}


def weights_of(
    weights: nn.Module | Mapping[str, Any], *, minimum: int = 500, fixed: Sequence[str] | None = None
) -> tuple[dict[str, Tensor], tuple[Skipped, ...]]:
    """The weight matrices and convolution kernels of a network, and what was left out and why.

    Args:
        weights: A module or a state dict. A module knows its buffers and norms; in a state dict they are told by name
            and shape.
        minimum: The fewest entries of a tensor.
        fixed: Names of tensors that are not trained (a Fourier basis, a mask). By default they are guessed from the
            names in a state dict; `()` guesses none.

    Raises:
        UnknownNameError: If a name of `fixed` is not there.
        InvalidSettingError: If `minimum` is below 10.
        DataError: As in `named_tensors`.

    Example:
        >>> kept, skipped = weights_of(nn.Sequential(nn.Linear(30, 40), nn.LayerNorm(40), nn.Linear(40, 2)))
        >>> list(kept), [f"{s.name}: {s.reason}" for s in skipped][-2:]
        (['0.weight'], ['2.weight: under 500 entries', '2.bias: a vector (bias, or scale of a norm)'])
    """
    if minimum < 10:
        raise InvalidSettingError(f"minimum: got {minimum} entries, expected 10 or more, such as 500")
    tensors = named_tensors(weights)
    for name in fixed or ():
        if name not in tensors:
            raise UnknownNameError("tensor", name, tensors)
    kept: dict[str, Tensor] = {}
    skipped: list[Skipped] = []
    module = weights if isinstance(weights, nn.Module) else None
    buffers, norms = _known(module)
    seen: dict[tuple[object, ...], str] = {}
    for name, tensor in tensors.items():
        reason = _kind(tensor)
        if reason is None and (name in (fixed or ()) or name in buffers):
            reason = "fixed" if name in (fixed or ()) else "a buffer of the module"
        if reason is None:
            reason = _shape(tensor)
        if reason is None and (name in norms or (module is None and _norm_or_bias(name))):
            reason = "a bias or the scale of a norm, by its layer" if module is not None else "a bias or norm, by name"
        if reason is None and module is None and fixed is None and _FIXED.search(name):
            reason = "fixed, by its name (fixed=() keeps it)"
        if reason is None and tensor.numel() < minimum:
            reason = f"under {minimum} entries"
        if reason is None:
            same = seen.setdefault(_place(tensor, name), name)
            reason = None if same == name else f"the same memory as {same!r}"
        if reason is None:
            kept[name] = tensor.to_dense() if tensor.layout != torch.strided else tensor
        else:
            skipped.append(Skipped(name, tuple(tensor.shape), reason))
    return kept, tuple(skipped)


def _known(module: nn.Module | None) -> tuple[set[str], set[str]]:
    """What a module says of itself: the names of its buffers, and those of the parameters of its norms."""
    if module is None:
        return set(), set()
    owners = dict(module.named_modules())
    norms = {n for n, _ in module.named_parameters() if isinstance(owners[n.rpartition(".")[0]], NORMS)}
    biases = {n for n, _ in module.named_parameters() if "bias" in n.rpartition(".")[2]}
    return {name for name, _ in module.named_buffers()}, norms | biases


def _kind(tensor: Tensor) -> str | None:
    if tensor.is_quantized or not (tensor.is_floating_point() or tensor.is_complex()):
        return f"no real numbers but {str(tensor.dtype).removeprefix('torch.')}"
    return "complex numbers" if tensor.is_complex() else None


def _shape(tensor: Tensor) -> str | None:
    if tensor.ndim < 2:
        return "a vector (bias, or scale of a norm)" if tensor.ndim else "a single number"
    if tensor.ndim > 2 and sum(size > 1 for size in tensor.shape) < 2:
        return "a vector by its shape (scale of channels)"
    return None


def _norm_or_bias(name: str) -> bool:
    owner, _, last = name.rpartition(".")
    return "bias" in last or bool(_NORM.search(owner.rpartition(".")[2]))


def _place(tensor: Tensor, name: str) -> tuple[object, ...]:
    if tensor.layout != torch.strided:
        return (name,)
    return (tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
