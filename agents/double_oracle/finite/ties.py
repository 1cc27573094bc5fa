"""Which of several best responses a double oracle takes. It decides how long it runs, so it has a name and is logged.

On the larger number up to N the smallest of the tied responses needs N iterations, the largest 2, and a random one
about 1 + H_(N-1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from strategic_envs.errors import UnknownNameError

__all__ = ["TIE_BREAKS", "tie_break"]

TieBreak = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def _lowest(tied: np.ndarray, held: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    return tied


def _highest(tied: np.ndarray, held: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    return tied[::-1]


def _random(tied: np.ndarray, held: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    return stream.permutation(tied)


def _held_first(tied: np.ndarray, held: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    return tied[np.argsort(~held[tied], kind="stable")]


def _new_first(tied: np.ndarray, held: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    return tied[np.argsort(held[tied], kind="stable")]


TIE_BREAKS: Mapping[str, TieBreak] = {
    "lowest": _lowest,
    "highest": _highest,
    "random": _random,
    "held_first": _held_first,  # nothing is added where a strategy that is held responds as well; else the lowest
    "new_first": _new_first,  # a strategy that is not held yet, as long as there is one; else the lowest
}
"""By name, a function of the tied strategies (ascending), the mask of those held, and a stream: them in order."""


def tie_break(name: str) -> TieBreak:
    """The rule of that name.

    Raises:
        UnknownNameError: If there is none.

    Example:
        >>> tied, held = np.array([1, 3, 4]), np.array([False, True, False, False, True])
        >>> tie_break("held_first")(tied, held, np.random.default_rng(0)).tolist()
        [1, 4, 3]
    """
    if name not in TIE_BREAKS:
        raise UnknownNameError("tie-break", name, TIE_BREAKS)
    return TIE_BREAKS[name]
