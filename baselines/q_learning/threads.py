"""Sessions in threads: compiled loops that release the interpreter's lock, a piece of the sessions each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int

from strategic_envs.errors import InvalidSettingError

__all__ = ["in_pieces", "session_numbers"]

_PIECE = 8  # sessions at a time: short ones do not wait for long ones


def in_pieces(work: Callable[[int, int], None], count: int, threads: int | None) -> None:
    """Calls `work(first, last)` for pieces of `range(count)`, in threads. Each piece must write to places of its own.

    Args:
        work: What to do; `last` is not included.
        count: How many sessions there are.
        threads: How many threads; None for as many as this process may use cores.

    Raises:
        InvalidSettingError: If the number of threads is no whole number from 1.

    Example:
        >>> done = [0] * 20
        >>> in_pieces(lambda a, b: done.__setitem__(slice(a, b), [1] * (b - a)), 20, threads=2)
        >>> sum(done)
        20
    """
    if threads is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InvalidSettingError(f"q_learning: got threads={threads!r}, expected a whole number >= 1")
    pieces = [(a, min(a + _PIECE, count)) for a in range(0, count, _PIECE)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, a, b) for a, b in pieces]:
            done.result()


def session_numbers(sessions: int | Sequence[int]) -> Int[np.ndarray, " B"]:
    """The numbers of sessions: a count stands for 0, 1, ...

    Raises:
        InvalidSettingError: If it is no count >= 1 and no sequence of whole numbers >= 0.

    Example:
        >>> session_numbers(3), session_numbers([7, 2])
        (array([0, 1, 2]), array([7, 2]))
    """
    if isinstance(sessions, int | np.integer) and not isinstance(sessions, bool) and sessions >= 1:
        return np.arange(int(sessions))
    numbers = np.asarray([] if isinstance(sessions, bool | int | np.integer | str) else sessions)
    if numbers.ndim != 1 or not len(numbers) or numbers.dtype.kind not in "iu" or numbers.min() < 0:
        raise InvalidSettingError(
            f"q_learning: got sessions={sessions!r}, expected how many (at least 1) or a sequence of session numbers"
        )
    return numbers.astype(np.int64)
