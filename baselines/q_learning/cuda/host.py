"""Sessions on a CUDA device: what the kernels are given, in which slices they run, and what comes back."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from strategic_envs.baselines.q_learning.batched.rules import first_states, forgotten, refusal, remembered
from strategic_envs.baselines.q_learning.draws import session_keys
from strategic_envs.baselines.q_learning.schedules import NoExploration
from strategic_envs.baselines.q_learning.session import Outcome, Plan
from strategic_envs.baselines.q_learning.settings import QLearning
from strategic_envs.errors import InvalidSettingError

__all__ = ["cuda_msteps", "fits", "missing", "play"]

_SHORT: Any = np.int16
_THREADS = 64  # a block: sessions of a block end together on a core, so blocks are small
_SECONDS = 0.5  # a launch: short enough for displays that stop long kernels, and to be asked to stop
_FIRST_SLICE, _LAST_SLICE = 1 << 10, 1 << 20  # periods a launch


def missing() -> str | None:
    """Why no CUDA device can be used, or None if one can.

    Example:
        >>> missing() is None or "numba" in missing()
        True
    """
    from numba import cuda

    if cuda.is_available():
        return None
    return (
        "numba finds no CUDA device: this needs a GPU of Nvidia with its driver and the CUDA toolkit "
        "(`pip install numba-cuda[cu12]` brings the toolkit, cu13 for the newest drivers); or take device='cpu'"
    )


def fits(plan: Plan, free: int | None = None) -> int:
    """How many sessions of a plan fit on the device at once.

    Args:
        plan: What the sessions depend on.
        free: Bytes of memory; what is free on the device if left out.
    """
    from strategic_envs.baselines.q_learning.cuda.kernels import SIMULATED, padded

    tables, size = plan.tables, np.dtype(plan.dtype).itemsize
    rows = tables.n * tables.n_states
    one = rows * (padded(tables.m, size) * size + 2) + 8 * (6 + 2 * tables.n)
    if plan.start_q is not None and plan.start_q.ndim == 4:
        one += rows * tables.m * 8
    if plan.keep_q:
        one += rows * tables.m * size  # the copy that is sent back
    if free is None:
        free = 1 << 30
        if not SIMULATED:
            from numba import cuda

            free = int(cuda.current_context().get_memory_info()[0])
    return int(0.9 * free) // one


def play(plan: Plan, todo: Sequence[tuple[int, int]], stopped: Callable[[], bool] = lambda: False) -> Iterator[Outcome]:
    """Plays sessions to their ends on the device, and yields each when the slice in which it ended is over.

    Args:
        plan: What the sessions depend on.
        todo: The sessions: their places in the run and their numbers.
        stopped: Whether to leave off, asked after each slice; sessions that go on are then dropped.

    Raises:
        InvalidSettingError: If there is no device, if the plan is one for the plain loop only, or if not even one
            session fits.
    """
    if reason := refusal(plan):
        raise InvalidSettingError(f"q_learning on CUDA: {reason}")
    if reason := missing():
        raise InvalidSettingError(f"q_learning: got device='cuda', but {reason}")
    room = fits(plan)
    if room == 0:
        raise InvalidSettingError(
            f"q_learning on CUDA: a session of {plan.tables.n_states:,} states, {plan.tables.n} firms and "
            f"{plan.tables.m} prices does not fit on the device: take fewer prices, a shorter memory or device='cpu'"
        )
    for k in range(0, len(todo), room):
        yield from Flock(plan, todo[k : k + room]).ends(stopped)


class Flock:
    """Sessions that are on the device together.

    Args:
        plan: What they depend on.
        todo: Their places in the run and their numbers.
    """

    def __init__(self, plan: Plan, todo: Sequence[tuple[int, int]]) -> None:
        from numba import cuda

        from strategic_envs.baselines.q_learning.cuda import kernels

        self.plan, self.todo, self._kernels, self._send = plan, todo, kernels, cuda.to_device
        tables, b = plan.tables, len(todo)
        kind: Any = np.dtype(plan.dtype)
        n, s, m = tables.n, tables.n_states, tables.m
        numbers = np.array([number for _, number in todo], dtype=np.int64)
        self._keys = self._send(session_keys(plan.seed, numbers))
        self._q = cuda.device_array((b, n, s, kernels.padded(m, kind.itemsize)), kind)
        self._greedy = cuda.device_array((b, n, s), _SHORT)
        self._fill()
        clock = np.zeros((5, b), dtype=np.int64)
        clock[kernels.MARKET], clock[kernels.STATE] = first_states(
            plan, numbers, np.array([place for place, _ in todo])
        )
        first, fade = plan.levels()
        self._clock = self._send(clock)
        self._level = self._send(np.repeat(first[:, None], b, axis=1))
        self._game = self._constants(fade)
        table, gaps = self._gaps(first, fade, numbers)
        self._table = (table.start, *map(self._send, (table.eps_at, table.decay, table.level, table.digit)))
        self._following = self._send(gaps)
        self._advance = kernels.advance(n, tables.memory, self._thinned, len(tables.profit) > 1, kind.itemsize == 4)

    def ends(self, stopped: Callable[[], bool]) -> Iterator[Outcome]:
        """Plays slice after slice until all sessions have ended."""
        learner, kernels = self.plan.learner, self._kernels
        lanes, until, span = np.arange(len(self.todo)), 0, _FIRST_SLICE
        while len(lanes) and not stopped():
            until = min(until + span, int(learner.cap))
            begin = time.perf_counter()
            self._launch(len(lanes), self._advance, self._send(lanes), until, *self._game, *self._table, self._keys,
                         self._clock, self._level, self._following, self._q, self._greedy)  # fmt: skip
            clock = self._clock.copy_to_host()
            seconds = time.perf_counter() - begin
            if until > _FIRST_SLICE:  # the first launch compiles
                span = int(np.clip(span * _SECONDS / seconds, max(span // 2, 1), min(2 * span, _LAST_SLICE)))
            stable = clock[kernels.CALM, lanes] >= learner.window
            over = stable | (clock[kernels.T, lanes] >= learner.cap)
            if over.any():
                yield from self._outcomes(lanes[over], stable[over], clock)
            lanes = lanes[~over]

    def _outcomes(self, lanes: np.ndarray, stable: np.ndarray, clock: np.ndarray) -> Iterator[Outcome]:
        """The ends of sessions, whose tables are brought back together."""
        from numba import cuda

        plan, kernels, (n, s) = self.plan, self._kernels, self._greedy.shape[1:]
        strategy = cuda.device_array((len(lanes), n, s), _SHORT)
        shape = (len(lanes), n, s, plan.tables.m) if plan.keep_q else (1, 1, 1, 1)
        kind: Any = self._q.dtype
        values = cuda.device_array(shape, kind)
        rows = len(lanes) * n * s
        self._launch(rows, kernels.collect(plan.keep_q), self._send(lanes), self._q, self._greedy, values, strategy)
        greedy, q = strategy.copy_to_host(), values.copy_to_host() if plan.keep_q else None
        for e, lane in enumerate(lanes):
            yield Outcome(
                number=self.todo[lane][1],
                strategy=greedy[e].copy(),
                state=int(clock[kernels.STATE, lane]),
                periods=int(clock[kernels.T, lane]),
                converged=bool(stable[e]),
                visited=int(clock[kernels.VISITED, lane]),
                q=None if q is None else q[e].copy(),
                gain=np.zeros(0),
            )

    def _fill(self) -> None:
        """First values, and the greedy prices of firms that do not learn."""
        plan, tables, places = self.plan, self.plan.tables, [place for place, _ in self.todo]
        table = plan.first_table if plan.start_q is None else plan.start_q
        first = np.ascontiguousarray(table[places] if table.ndim == 4 else table[None], dtype=np.float64)
        each = len(places) if any(strategy.ndim == 2 for strategy in plan.frozen.values()) else 1
        given = np.full((each, tables.n, tables.n_states), -1, dtype=np.int16)
        for firm, strategy in plan.frozen.items():
            given[:, firm] = strategy if strategy.ndim == 1 else strategy[places]
        spread = float(plan.learner.initial.spread) if plan.start_q is None else 0.0
        kernel = self._kernels.ready(plan.dtype == "float32")
        self._launch(
            int(np.prod(self._greedy.shape)), kernel, self._send(first), self._send(given), spread, self._keys,
            self._q, self._greedy,
        )  # fmt: skip

    def _constants(self, fade: np.ndarray) -> tuple[Any, ...]:
        """The game and the rule, in the order in which the kernel takes them."""
        plan, tables, learner, kind, send = (
            self.plan,
            self.plan.tables,
            self.plan.learner,
            np.dtype(self.plan.dtype),
            self._send,
        )
        learns = np.array([firm not in plan.frozen for firm in range(tables.n)])
        arrays = (
            tables.profit.astype(kind), np.ascontiguousarray(tables.present), np.cumsum(tables.chain, axis=1),
            forgotten(tables), remembered(tables), learner.alphas(tables.n).astype(kind), fade, learns,
        )  # fmt: skip
        delta = kind.type(tables.delta)
        return int(learner.window), tables.m, tables.base, delta, *(send(np.ascontiguousarray(a)) for a in arrays)

    def _gaps(self, first: np.ndarray, fade: np.ndarray, numbers: np.ndarray) -> tuple[Any, np.ndarray]:
        """The table of hazards, and the first exploration that is drawn as a gap by firm and session."""
        from strategic_envs.baselines.q_learning.batched import gaps
        from strategic_envs.baselines.q_learning.draws_compiled import hazards

        plan = self.plan
        self._thinned = plan.draws == "thinned" and not isinstance(plan.learner.schedule, NoExploration)
        if not self._thinned:
            return hazards(np.ones(1), np.ones(1), 1), np.zeros((len(first), len(numbers)), dtype=np.int64)
        table = hazards(first, fade, int(plan.learner.cap))
        return table, gaps.first(session_keys(plan.seed, numbers), table, len(first))

    @staticmethod
    def _launch(threads: int, kernel: Any, *arguments: Any) -> None:
        """Runs a kernel with so many threads at least; few of them are no reason for a warning."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*under-utilization.*")
            kernel[-(-threads // _THREADS), _THREADS](*arguments)


def cuda_msteps(
    sessions: int = 65_536, *, draws: str = "per_period", dtype: str = "float64", cap: int = 10**9
) -> float:
    """Million session-steps a second of the baseline on the device: whole sessions, after a first launch that compiles.

    Args:
        sessions: How many sessions.
        draws: "per_period" or "thinned".
        dtype: The precision of the tables.
        cap: Periods after which sessions are cut off.

    Raises:
        InvalidSettingError: If there is no device.
    """
    from strategic_envs.games.pricing import pricing

    tables, todo = pricing().frozen(), [(r, r) for r in range(sessions)]
    for end in play(Plan(tables, QLearning(cap=1), 0, draws, dtype), todo[:1]):
        assert end.periods == 1
    begin = time.perf_counter()
    steps = sum(end.periods for end in play(Plan(tables, QLearning(cap=cap), 0, draws, dtype), todo))
    return steps / (time.perf_counter() - begin) / 1e6
