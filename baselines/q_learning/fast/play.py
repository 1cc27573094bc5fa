"""Which sessions the fast executor can play, and how it is given them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from strategic_envs.baselines.q_learning.draws import session_keys
from strategic_envs.baselines.q_learning.schedules import Exponential

if TYPE_CHECKING:
    from strategic_envs.baselines.q_learning.session import Outcome, Plan

__all__ = ["fits", "pieces", "play_many", "play_piece"]

_PIECE = 16  # sessions at a time: their tables stay in the cache
_LANES, _WIDTH = 4, 16
_LONGEST = 1 << 28  # the tables of chances by period take 1/4 byte a period


def fits(plan: Plan) -> bool:
    """Whether the fast executor can play the sessions of a plan."""
    tables, learner = plan.tables, plan.learner
    common = (
        (tables.n, tables.memory, len(tables.profit)) == (2, 1, 1)
        and tables.base == tables.m <= _WIDTH
        and isinstance(learner.schedule, Exponential)
        and learner.ties == "lowest"
        and plan.draws in ("per_period", "thinned")
        and not plan.frozen
        and not plan.gain_every
    )
    return common and _occasions(plan)[0] < min(learner.cap, _LONGEST)


@functools.lru_cache(maxsize=8)
def _occasions(plan: Plan) -> tuple[int, Any]:
    """The period in which the second phase begins, and what tells when firms explore in it."""
    from strategic_envs.baselines.q_learning.draws_compiled import hazards
    from strategic_envs.baselines.q_learning.fast.occasions import levels_by_span

    first, fade = plan.levels()
    if (first * fade**_LONGEST > 1 / 64).any():
        return _LONGEST, None
    thinned = plan.draws == "thinned"
    table = hazards(first, fade, int(plan.learner.cap))
    levels = np.ones((1, 2)) if thinned else levels_by_span(first, fade, min(int(plan.learner.cap), _LONGEST))
    return table.start, (thinned, table, levels, fade)


def pieces(plan: Plan, sessions: list[tuple[int, int]], threads: int) -> list[list[tuple[int, int]]]:
    """The sessions in the pieces in which threads take them: smaller ones at the end, so that all finish together."""
    size_of = 1
    fast, found, one = fits(plan), [], 0
    while one < len(sessions):
        if fast:
            share = -(-(len(sessions) - one) // (2 * threads))
            size_of = min(-(-share // _LANES) * _LANES, _PIECE)
        found.append(sessions[one : one + size_of])
        one += size_of
    return found


def play_piece(plan: Plan, sessions: list[tuple[int, int]], stopped: Callable[[], bool]) -> Iterator[Outcome]:
    """The ends of sessions by the fast executor where it fits, else by the plain loop; none after a stop.

    Args:
        plan: What they depend on.
        sessions: Place in the run and number of each.
        stopped: Whether to leave off, asked now and then.
    """
    from strategic_envs.baselines.q_learning.session import play

    ends = play_many(plan, sessions) if fits(plan) else [None] * len(sessions)
    for (index, number), end in zip(sessions, ends, strict=True):
        end = play(plan, index, number, stopped) if end is None else end
        if end is None:
            return
        yield end


def play_many(plan: Plan, sessions: list[tuple[int, int]]) -> list[Outcome | None]:
    """Plays sessions to their ends.

    Args:
        plan: What they depend on; `fits(plan)` holds.
        sessions: Place in the run and number of each.

    Returns:
        Their ends in the same order; None for a session that the plain loop has to play, because it may have converged
        while firms still explored often, where only changes between two looks are seen.
    """
    from strategic_envs.baselines.q_learning.fast.compiled import play_sessions
    from strategic_envs.baselines.q_learning.session import Outcome, first_values

    tables, learner, m = plan.tables, plan.learner, plan.tables.m
    kind = np.dtype(plan.dtype).type
    count = -len(sessions) % _LANES + len(sessions)
    filled = sessions + [sessions[-1]] * (count - len(sessions))
    keys = session_keys(plan.seed, [number for _, number in filled])
    digits = np.arange(m)
    place = (_WIDTH * digits[:, None] + digits).ravel()  # states and joint prices, sixteen to a digit
    q = _aligned(count * 256 * 2 * _WIDTH, kind)
    cells = q.reshape(count, 256, 2, _WIDTH)
    cells[:] = -np.inf
    states = np.empty(count, np.uint64)
    for b, (index, number) in enumerate(filled):
        cells[b, place, :, :m] = first_values(plan, index, keys[b]).q.swapaxes(0, 1)
        states[b] = place[plan.first_state(index, number, 0)]
    profit = np.zeros((256, 2), kind)
    profit[place] = tables.profit[0]
    switch, occasions = _occasions(plan)
    first, _ = plan.levels()
    alpha = tuple(kind(a) for a in learner.alphas(2))
    rule = (m, alpha, kind(tables.delta), int(learner.window), int(learner.cap))
    clock, last, visited = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.uint64)
    certain, greedy = np.zeros(count, np.bool_), np.zeros(count * 256, np.uint8)
    play = play_sessions()
    play(q, profit.ravel(), keys, states, visited, clock, last, certain, greedy, first, switch, rule, occasions)

    joint = greedy.reshape(count, 256)[:, place]
    strategy = np.stack([joint // _WIDTH, joint % _WIDTH], axis=1).astype(np.int16)
    code = np.zeros(256, np.int64)
    code[place] = np.arange(m * m)
    return [
        Outcome(
            number=number,
            strategy=strategy[b],
            state=int(code[states[b]]),
            periods=int(clock[b]),
            converged=bool(clock[b] - last[b] >= learner.window),
            visited=int(code[visited[b]]),
            q=np.ascontiguousarray(cells[b, place, :, :m].swapaxes(0, 1)) if plan.keep_q else None,
            gain=np.zeros(0),
        )
        if certain[b]
        else None
        for b, (_, number) in enumerate(sessions)
    ]


def _aligned(size: int, kind: type) -> np.ndarray:
    """An empty array that begins at a multiple of 64 bytes."""
    room = np.empty(size + 64, kind)
    skip = -room.ctypes.data % 64 // room.itemsize
    return room[skip : skip + size]
