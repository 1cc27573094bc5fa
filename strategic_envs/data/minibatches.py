"""Minibatches that can be resumed from the number of batches seen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from strategic_envs.errors import DataError
from strategic_envs.seeding import numpy_stream

__all__ = ["MinibatchSampler"]


class MinibatchSampler:
    """Deterministic minibatches: every epoch is a permutation of the samples, the last incomplete batch is dropped.

    Batch `t` depends on the seed and on `t` alone, so a run is resumed from the number of batches it has seen.

    Args:
        n_samples: How many samples there are.
        size: How many a batch has.
        seed: The seed of the permutations.

    Raises:
        DataError: If the size is not in 1..n_samples.

    Example:
        >>> sampler = MinibatchSampler(10, size=4, seed=0)
        >>> first, second = sampler.next(), sampler.next()
        >>> resumed = MinibatchSampler(10, size=4, seed=0)
        >>> resumed.load_state_dict({"step": 1})
        >>> bool((resumed.next() == second).all())
        True
    """

    def __init__(self, n_samples: int, size: int, seed: int = 0) -> None:
        if not 1 <= size <= n_samples:
            raise DataError(f"got a minibatch size of {size}, expected one in 1..{n_samples}, the number of samples")
        self.n_samples, self.size, self.seed, self.step = n_samples, size, seed, 0

    @property
    def batches_per_epoch(self) -> int:
        """The number of whole batches in one pass over the samples."""
        return self.n_samples // self.size

    def indices(self, step: int) -> Int[Tensor, " size"]:
        """The samples of batch number `step`."""
        if step < 0:
            raise DataError(f"got the batch number {step}, expected 0 or more")
        epoch, batch = divmod(step, self.batches_per_epoch)
        order = _permutation(self.n_samples, self.seed, epoch)
        return order[batch * self.size : (batch + 1) * self.size].clone()

    def next(self) -> Int[Tensor, " size"]:
        """The samples of the next batch."""
        self.step += 1
        return self.indices(self.step - 1)

    def state_dict(self) -> dict[str, int]:
        """All that a resumed run needs."""
        return {"step": self.step}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continues after `state["step"]` batches."""
        self.step = int(state["step"])


@lru_cache(maxsize=4)
def _permutation(n_samples: int, seed: int, epoch: int) -> Tensor:
    return torch.as_tensor(numpy_stream(seed, "minibatch", epoch).permutation(n_samples))
