"""The global generators of Python, NumPy and torch, from which RLlib draws: kept apart for each run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from strategic_envs.seeding import child_seed

__all__ = ["States", "put", "seeded", "states"]

States = tuple[Any, Any, torch.Tensor]


def states() -> States:
    """Where the global generators are."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def put(where: States) -> None:
    """Puts the global generators where they were."""
    random.setstate(where[0])
    np.random.set_state(where[1])
    torch.set_rng_state(where[2])


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """The global generators as a stream of its own of a run's seed; afterwards they are where they were.

    Example:
        >>> with seeded(0, "a"):
        ...     first = torch.rand(1)
        >>> with seeded(0, "a"):
        ...     bool(torch.rand(1) == first)
        True
    """
    others = states()
    stream = child_seed(seed, *names) % 2**32
    random.seed(stream)
    np.random.seed(stream)
    torch.manual_seed(stream)
    try:
        yield
    finally:
        put(others)
