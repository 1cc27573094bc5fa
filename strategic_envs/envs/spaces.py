"""Gymnasium spaces of strategy sets.

A `SetSpace` is a `gymnasium.spaces.Box` (so every learner that knows boxes takes it) whose `sample` and `contains`
follow the strategy set inside that box: a simplex samples probability vectors, and nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from strategic_envs.sets import StrategySet

__all__ = ["SetSpace", "WholeNumbers", "bounds", "set_space"]

_TOLERANCE = 1e-6  # of float32 rounding, relative to the size of the point when that exceeds one


def bounds(strategy_set: StrategySet) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The smallest box around a set, as float32 vectors `(dim,)` that may be infinite.

    Example:
        >>> from strategic_envs.sets import Ball
        >>> bounds(Ball([1.0, 0.0], radius=2.0))[0].tolist()
        [-1.0, -2.0]
    """
    low, high = strategy_set.bounds()
    return low.numpy().astype(np.float32), high.numpy().astype(np.float32)


class SetSpace(spaces.Box):
    """The space of the float32 points `(dim,)` of a strategy set.

    Args:
        strategy_set: The set.
        seed: The seed of `sample`.

    Example:
        >>> from strategic_envs.sets import Simplex
        >>> space = SetSpace(Simplex(2), seed=0)
        >>> space.contains(space.sample()), space.contains(np.array([1.0, 1.0], dtype=np.float32))
        (True, False)
    """

    def __init__(self, strategy_set: StrategySet, seed: int | np.random.Generator | None = None) -> None:
        self.strategy_set = strategy_set
        low, high = bounds(strategy_set)
        super().__init__(low, high, dtype=np.float32, seed=seed)

    def sample(self, mask: None = None, probability: None = None) -> NDArray[Any]:
        """A point drawn as by the set's own `sample`, float32 `(dim,)`; masks are not supported."""
        if mask is not None or probability is not None:
            raise ValueError("a strategy set has no action mask: sample it without one")
        generator = torch.Generator().manual_seed(int(self.np_random.integers(2**63 - 1)))
        point = self.strategy_set.sample(generator=generator).numpy()
        return np.clip(point.astype(np.float32), self.low, self.high)

    def contains(self, x: Any) -> bool:
        """Whether x is a float32 array `(dim,)` inside the set, up to a tolerance of 1e-6."""
        if not isinstance(x, np.ndarray) or x.shape != self.shape or not np.can_cast(x.dtype, np.float32):
            return False
        return self.near(x)

    def near(self, x: NDArray[Any]) -> bool:
        """Whether a finite point `(dim,)` of any float type lies in the set, up to float32 rounding."""
        if not np.isfinite(x).all():
            return False
        point = torch.from_numpy(np.array(x, dtype=np.float64))
        return bool(self.strategy_set.contains(point, _TOLERANCE * max(1.0, float(point.norm()))))

    def __repr__(self) -> str:
        return f"SetSpace({self.strategy_set!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SetSpace) and repr(self) == repr(other)


class WholeNumbers(spaces.Box):
    """The whole numbers from 1 on, as int64 arrays `(1,)`, up to the largest that float64 holds exactly.

    `sample` draws from a geometric distribution of mean ten.

    Example:
        >>> WholeNumbers(seed=0).contains(np.array([7]))
        True
    """

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(1, 2**53, shape=(1,), dtype=np.int64, seed=seed)

    def sample(self, mask: None = None, probability: None = None) -> NDArray[Any]:
        """A number drawn with `P(k) = 0.1 * 0.9**(k - 1)`; masks are not supported."""
        if mask is not None or probability is not None:
            raise ValueError("the whole numbers have no action mask: sample without one")
        return self.np_random.geometric(0.1, size=1).astype(np.int64)


def set_space(strategy_set: StrategySet, seed: int | np.random.Generator | None = None) -> SetSpace:
    """The Gymnasium space of a strategy set: a `Box` of shape `(dim,)`, float32.

    Args:
        strategy_set: The set.
        seed: The seed of `sample`.

    Example:
        >>> from strategic_envs.sets import Box
        >>> set_space(Box(-1, 1, dim=2)).high.tolist()
        [1.0, 1.0]
    """
    return SetSpace(strategy_set, seed)
