"""How loops are compiled, and where the result is kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numba

__all__ = ["compiled", "exact_loop"]

_SETTINGS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
_EXACT: dict[str, Any] = {"error_model": "numpy", "nogil": True}


def compiled(function: Callable[..., Any]) -> Any:
    """The function compiled by numba at its first call, and kept on disk for the next process where that is possible.

    Sums keep their order (`contract` only allows fused multiply-add), so equal input gives equal bytes.

    Args:
        function: A function of arrays and numbers.

    Example:
        >>> import numpy as np
        >>> @compiled
        ... def total(x):
        ...     return x.sum()
        >>> float(total(np.ones(3)))
        3.0
    """
    return _kept(function, _SETTINGS)


def exact_loop(function: Callable[..., Any]) -> Any:
    """The same with every operation rounded as it is written; other threads may run meanwhile.

    Args:
        function: A function of arrays and numbers.

    Example:
        >>> import numpy as np
        >>> @exact_loop
        ... def total(x):
        ...     return x.sum()
        >>> float(total(np.ones(3)))
        3.0
    """
    return _kept(function, _EXACT)


def _kept(function: Callable[..., Any], settings: dict[str, Any]) -> Any:
    plain = inspect.unwrap(function)  # without checks of annotations that may have been wrapped around it
    try:
        return numba.njit(cache=True, **settings)(plain)
    except RuntimeError:  # no folder to write to
        return numba.njit(**settings)(plain)
