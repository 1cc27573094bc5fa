"""Precision, layout and finiteness of a step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.games.networks import StagedNet

__all__ = ["at_least_single", "channels_last", "full_precision", "likes_channels_last", "nominal", "not_finite"]


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[Callable[[], Any]]:
    """Switches autocast off, and gives what makes a context for the parts that run in the caller's precision.

    Casts are not cached there: weights change between the passes, and a cached cast of them would be stale.
    """
    low, dtype = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)
    if not low:
        yield contextlib.nullcontext
        return
    with torch.autocast(device.type, enabled=False):
        yield lambda: torch.autocast(device.type, dtype=dtype, cache_enabled=False)


def at_least_single(x: Tensor) -> Tensor:
    """A tensor of half precision in single precision; any other as it is.

    Example:
        >>> at_least_single(torch.ones(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def likes_channels_last(net: StagedNet) -> bool:
    """Whether images may be laid out with their channels last: convolutions of few channels are then much faster.

    Not where the network calls `view`, which asks for a layout, or has layers that are not known here.
    """
    images = any(isinstance(unit.module, torch.nn.Conv2d) for unit in net.units)
    return (
        images and not any(unit.kind == "other" for unit in net.units) and all("view" not in s.code for s in net.stages)
    )


def channels_last(x: Tensor) -> Tensor:
    """The same images with channels last in memory, also where there is one channel and both layouts look alike.

    Example:
        >>> channels_last(torch.zeros(2, 1, 3, 3)).stride()
        (9, 1, 3, 1)
    """
    if x.ndim != 4 or not x.is_floating_point():
        return x
    x = x.contiguous(memory_format=torch.channels_last)
    _, channels, height, width = x.shape
    return x.as_strided(x.shape, (channels * height * width, 1, channels * width, channels))


def not_finite(quantities: Mapping[str, Iterable[Tensor]]) -> str | None:
    """The name of the first quantity with a number that is not finite; waits for the device once if all are.

    Args:
        quantities: Tensors, by the name of what they are; where norms are known anyway, they stand for their tensors.

    Example:
        >>> not_finite({"a": [torch.ones(())], "b": [torch.tensor(float("nan"))]})
        'b'
    """
    found = {name: list(tensors) for name, tensors in quantities.items()}
    flat = [x if x.ndim == 0 else torch.linalg.vector_norm(x) for tensors in found.values() for x in tensors]
    if not flat or bool(torch.stack(flat).isfinite().all()):
        return None
    return next(name for name, tensors in found.items() if not all(bool(x.isfinite().all()) for x in tensors))


def nominal(run: Callable[[Tensor], Any], inputs: Tensor, context: Callable[[], Any]) -> Any:
    """Runs the network on a batch in a context; an input it cannot read is the caller's mistake, and named so."""
    try:
        with context():
            return run(inputs)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise InvalidStrategyError(
            f"the network cannot read inputs of shape {tuple(inputs.shape)} and {inputs.dtype}: {error}"
        ) from error
