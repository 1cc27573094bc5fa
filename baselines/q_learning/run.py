"""Many sessions of learning on all cores; every session depends on its number alone."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from strategic_envs.baselines.q_learning import cuda
from strategic_envs.baselines.q_learning.checks import checked_plan, session_numbers
from strategic_envs.baselines.q_learning.fast.play import pieces, play_piece
from strategic_envs.baselines.q_learning.progress import Progress
from strategic_envs.baselines.q_learning.session import Outcome, Plan
from strategic_envs.baselines.q_learning.sessions import Sessions
from strategic_envs.baselines.q_learning.settings import QLearning
from strategic_envs.baselines.q_learning.storage import Store
from strategic_envs.errors import InvalidSettingError, UnknownNameError
from strategic_envs.games.pricing import PricingGame, PricingTables

__all__ = ["run_sessions"]


def run_sessions(
    tables: PricingTables | PricingGame,
    learner: QLearning | None = None,
    sessions: int | Sequence[int] = 1000,
    *,
    seed: int = 0,
    draws: str = "per_period",
    dtype: str = "float64",
    threads: int | None = None,
    device: str = "cpu",
    keep_q: bool = False,
    start_q: np.ndarray | None = None,
    start_state: int | Sequence[int] | np.ndarray | None = None,
    frozen: Mapping[int, np.ndarray] | None = None,
    gain_every: int = 0,
    on_done: Callable[[Progress], None] | None = None,
    folder: str | Path | None = None,
) -> Sessions:
    """Plays sessions of learning to their ends.

    A session is a function of its number, the seed and the settings: neither threads nor the other sessions matter.

    Args:
        tables: The game.
        learner: The rule of learning; `QLearning()` if left out.
        sessions: How many (numbers 0, 1, ...; with replayed draws 1, 2, ...), or their numbers.
        seed: The seed of all draws; replayed draws have none.
        draws: "per_period" draws every exploration test; "thinned" draws the periods of late explorations directly
            (faster, the same distribution); "replay" uses the random numbers of the authors' program.
        dtype: "float64", or "float32" for tables of half the size with the same statistics.
        threads: How many threads; all cores if left out.
        device: "cpu", or "cuda" for a thread of a GPU each (the same sessions; many thousand of them pay).
        keep_q: Whether to keep the tables of values.
        start_q: First values `(n, S, m)`, or `(B, n, S, m)` for each session, instead of the learner's.
        start_state: The first state, or one a session `(B,)`, instead of a drawn one.
        frozen: Strategies `(S,)` or `(B, S)`, price indices by state, of firms that neither learn nor explore.
        gain_every: Record the mean profit gain of each block of so many periods; 0 records nothing.
        on_done: Called in this thread with a `Progress` whenever a session has finished.
        folder: Where sessions are saved as they finish. A later call with the same arguments goes on from what is
            there; it may ask for other sessions.

    Returns:
        The ends of the sessions, in the order of their numbers as given.

    Raises:
        InvalidSettingError: If an argument is out of its range or has a wrong shape, if two do not go together, or if
            the tables would not fit in memory; the message says how large they are.
        UnknownNameError: If `draws`, `dtype` or `device` is unknown.
        CheckpointError: If the folder holds sessions of other settings, or a damaged file.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> ends = run_sessions(pricing(m=3), QLearning(beta=1e-3, window=1000), sessions=4)
        >>> ends.strategy.shape, bool(ends.converged.all())
        ((4, 2, 9), True)
    """
    numbers = session_numbers(sessions, replayed=draws == "replay")
    if isinstance(tables, PricingGame):
        tables = tables.frozen()
    if device not in ("cpu", "cuda"):
        raise UnknownNameError("device", device, ["cpu", "cuda"])
    threads = 1 if device == "cuda" else _threads(threads, len(numbers))
    learner = learner or QLearning()
    asked = Plan(
        tables=tables,
        learner=learner,
        seed=seed,
        draws=draws,
        dtype=dtype,
        keep_q=keep_q,
        gain_every=gain_every,
        start_q=None if start_q is None else np.asarray(start_q),
        start_state=None if start_state is None else np.asarray(start_state),
        frozen={firm: np.asarray(strategy) for firm, strategy in (frozen or {}).items()},
    )
    plan = checked_plan(asked, len(numbers), threads)
    store = Store(folder, plan) if folder is not None else None
    found = store.read(set(numbers)) if store else {}
    todo = [(index, number) for index, number in enumerate(numbers) if number not in found]
    _play_all(plan, todo, found, threads, device, len(numbers), on_done, store)
    return _gathered(plan, [found[number] for number in numbers])


def _play_all(
    plan: Plan,
    todo: list[tuple[int, int]],
    found: dict[int, Outcome],
    threads: int,
    device: str,
    total: int,
    on_done: Callable[[Progress], None] | None,
    store: Store | None,
) -> None:
    """Plays what is to do in threads and adds the ends to those found."""
    if not todo:
        return
    on_cuda = device == "cuda"
    if not on_cuda:
        plan.parts  # noqa: B018 - built before the threads ask for it
    read, steps, started = len(found), 0, time.perf_counter()
    work: queue.SimpleQueue[list[tuple[int, int]]] = queue.SimpleQueue()
    ends: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
    stop = threading.Event()
    for piece in [todo] if on_cuda else pieces(plan, todo, threads):
        work.put(piece)

    def worker() -> None:
        try:
            while not stop.is_set():
                try:
                    piece = work.get_nowait()
                except queue.Empty:
                    return
                for end in (cuda.play if on_cuda else play_piece)(plan, piece, stop.is_set):
                    ends.put(end)
        except BaseException as error:  # handed to the thread that waits
            ends.put(error)

    crew = [threading.Thread(target=worker, daemon=True) for _ in range(min(threads, len(todo)))]
    try:
        for thread in crew:
            thread.start()
        for _ in todo:
            end = ends.get()
            if isinstance(end, BaseException):
                raise end
            found[end.number] = end
            steps += end.periods
            if store:
                store.add(end)
            if on_done:
                seconds = time.perf_counter() - started
                on_done(Progress(end.number, len(found), total, read, steps, seconds))
    finally:
        stop.set()
        for thread in crew:
            thread.join()
        if store:  # an interrupted run keeps what has finished meanwhile
            while not ends.empty():
                end = ends.get()
                if isinstance(end, Outcome):
                    store.add(end)
            store.flush()


def _gathered(plan: Plan, ends: list[Outcome]) -> Sessions:
    """The ends as arrays."""
    gain = None
    if plan.gain_every:
        gain = np.full((len(ends), max(len(end.gain) for end in ends)), np.nan)
        for row, end in zip(gain, ends, strict=True):
            row[: len(end.gain)] = end.gain
    return Sessions(
        number=np.array([end.number for end in ends], np.int64),
        strategy=np.stack([end.strategy for end in ends]),
        state=np.array([end.state for end in ends], np.int64),
        periods=np.array([end.periods for end in ends], np.int64),
        converged=np.array([end.converged for end in ends], np.bool_),
        window=int(plan.learner.window),
        q=np.stack([end.q for end in ends if end.q is not None]) if plan.keep_q else None,
        visited=np.array([end.visited for end in ends], np.int64),
        gain=gain,
        gain_every=plan.gain_every,
    )


def _threads(threads: int | None, sessions: int) -> int:
    if threads is None:
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(allowed, sessions)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InvalidSettingError(f"q_learning: got threads={threads!r}, expected a positive integer, or None for all")
    return min(threads, sessions)
