"""One seed, named child streams: no global random generator anywhere.

A run has one integer seed. Every part that draws asks for a stream by name, so adding a part never moves the draws of
another, and the same seed gives the same bytes.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

__all__ = ["child_seed", "numpy_stream", "torch_stream"]


def child_seed(seed: int | np.integer, *names: str | int) -> int:
    """A 63-bit seed for the stream called `names` under `seed`.

    Args:
        seed: The seed of the run, a non-negative integer.
        *names: The path of the stream, such as `"sampler", 3`.

    Returns:
        An integer in `[0, 2**63)`, the same on every machine.

    Raises:
        ValueError: If the seed is negative or not an integer.

    Example:
        >>> child_seed(0, "sampler") == child_seed(0, "sampler") != child_seed(1, "sampler")
        True
    """
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"a seed is a non-negative integer, got {seed!r}: pass seed=0, for example")
    plain = (f"{type(n).__name__}:{n}".replace("\\", "\\\\").replace("/", "\\/") for n in names)  # a slash parts names
    text = "/".join([str(int(seed)), *plain])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def numpy_stream(seed: int | np.integer, *names: str | int) -> np.random.Generator:
    """A NumPy generator for the stream called `names`.

    Example:
        >>> int(numpy_stream(0, "a").integers(10)) == int(numpy_stream(0, "a").integers(10))
        True
    """
    return np.random.default_rng(child_seed(seed, *names))


def torch_stream(seed: int | np.integer, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for the stream called `names`, on `device`.

    Example:
        >>> g, h = torch_stream(0, "a"), torch_stream(0, "a")
        >>> bool(torch.rand(3, generator=g).equal(torch.rand(3, generator=h)))
        True
    """
    return torch.Generator(device=device).manual_seed(child_seed(seed, *names))
