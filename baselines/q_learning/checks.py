"""Checks of what `run_sessions` is given."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from strategic_envs.baselines.q_learning.schedules import Exponential
from strategic_envs.baselines.q_learning.session import Plan
from strategic_envs.errors import InvalidSettingError, UnknownNameError

__all__ = ["DRAWS", "DTYPES", "checked_plan", "session_numbers"]

DRAWS = ("per_period", "thinned", "replay")
DTYPES = ("float64", "float32")
_LARGEST = 2**59  # session numbers
_REPLAYED = 2**20  # sessions whose first prices come from one stream, one after the other


def session_numbers(sessions: int | Sequence[int], *, replayed: bool = False) -> list[int]:
    """The numbers of sessions, from how many or from themselves; those of the authors begin with 1.

    Raises:
        InvalidSettingError: If there are none, one is not possible, or one comes twice.

    Example:
        >>> session_numbers(3, replayed=True), session_numbers([5, 2])
        ([1, 2, 3], [5, 2])
    """
    first, beyond = (1, _REPLAYED) if replayed else (0, _LARGEST)
    if isinstance(sessions, int | np.integer) and not isinstance(sessions, bool) and 0 < sessions < beyond:
        return list(range(first, first + int(sessions)))
    given: list[Any] = []
    if isinstance(sessions, Sequence | np.ndarray) and not isinstance(sessions, str):
        given = list(sessions)
    whole = all(isinstance(v, int | np.integer) and not isinstance(v, bool) and first <= v < beyond for v in given)
    if not given or not whole or len(set(given)) < len(given):
        raise InvalidSettingError(
            f"q_learning: got sessions={sessions!r}, expected a positive number of sessions, or different session "
            f"numbers >= {first} and < {beyond}"
        )
    return [int(v) for v in given]


def checked_plan(plan: Plan, sessions: int, threads: int) -> Plan:
    """The plan with arrays of plain types, if all of it makes sense for so many sessions and threads.

    Raises:
        InvalidSettingError: Naming the argument, what was got and what is expected.
        UnknownNameError: If the draws or the dtype are unknown.
    """
    if plan.draws not in DRAWS:
        raise UnknownNameError("kind of draws", plan.draws, DRAWS)
    if plan.dtype not in DTYPES:
        raise UnknownNameError("dtype", plan.dtype, DTYPES)
    if isinstance(plan.seed, bool) or not isinstance(plan.seed, int | np.integer) or plan.seed < 0:
        raise InvalidSettingError(f"q_learning: got seed={plan.seed!r}, expected a non-negative integer")
    if isinstance(plan.gain_every, bool) or not isinstance(plan.gain_every, int) or plan.gain_every < 0:
        raise InvalidSettingError(f"q_learning: got gain_every={plan.gain_every!r}, expected a number of periods, or 0")
    plan.learner.alphas(plan.tables.n)
    plan.learner.schedule.levels(plan.tables.n)
    _check_draws(plan)
    _check_memory(plan, sessions, threads)
    if plan.start_q is None:
        plan.learner.initial.table(plan.tables)
    return dataclasses.replace(
        plan,
        seed=int(plan.seed),
        start_q=_start_q(plan, sessions),
        start_state=_start_state(plan, sessions),
        frozen=_frozen(plan, sessions),
    )


def _check_draws(plan: Plan) -> None:
    exponential = isinstance(plan.learner.schedule, Exponential)
    if plan.draws == "thinned" and not exponential:
        raise InvalidSettingError(
            f"q_learning: draws='thinned' needs exponential exploration, got {plan.learner.schedule!r}: "
            "take draws='per_period'"
        )
    if plan.draws != "replay":
        return
    reasons = {
        f"exploration is {plan.learner.schedule!r}": not exponential,
        "first values are drawn": plan.learner.initial.spread > 0,
        "ties are broken at random": plan.learner.ties == "random",
        "the market changes": len(plan.tables.profit) > 1,
        "dtype is float32": plan.dtype != "float64",
    }
    if any(reasons.values()):
        why = next(text for text, holds in reasons.items() if holds)
        raise InvalidSettingError(
            f"q_learning: the authors' random numbers do not say what happens where {why}: take draws='per_period', or "
            "exponential exploration, fixed first values, ties='lowest', one market state and float64"
        )


def _check_memory(plan: Plan, sessions: int, threads: int) -> None:
    tables = plan.tables
    rows = tables.n * tables.n_states
    table = rows * tables.m * np.dtype(plan.dtype).itemsize
    need = table * (threads + sessions * plan.keep_q) + rows * 2 * sessions
    if need > _memory():
        raise InvalidSettingError(
            f"q_learning: {tables.n_states:,} states (m={tables.m}, n={tables.n}, memory={tables.memory}) make a table "
            f"of values of {table / 2**30:,.1f} GiB a session, {need / 2**30:,.1f} GiB in all for {sessions} sessions "
            f"in {threads} threads, more than the {_memory() / 2**30:,.1f} GiB of this machine: take a smaller grid m "
            "or memory, fewer sessions or threads, dtype='float32', or keep_q=False"
        )


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return 2**36


def _start_q(plan: Plan, sessions: int) -> np.ndarray | None:
    if plan.start_q is None:
        return None
    values = plan.start_q.astype(np.float64)
    shape = (plan.tables.n, plan.tables.n_states, plan.tables.m)
    if values.shape not in (shape, (sessions, *shape)) or not np.isfinite(values).all():
        raise InvalidSettingError(
            f"q_learning: got start_q of shape {values.shape}, finite: {np.isfinite(values).all()}; "
            f"expected finite numbers of shape {shape}, or {(sessions, *shape)} for each session"
        )
    return values


def _start_state(plan: Plan, sessions: int) -> np.ndarray | None:
    if plan.start_state is None:
        return None
    states = plan.start_state
    whole = states.dtype.kind in "iu" and states.shape in ((), (sessions,))
    if not whole or states.min() < 0 or states.max() >= plan.tables.n_states:
        raise InvalidSettingError(
            f"q_learning: got start_state={states.tolist()}, expected a state 0..{plan.tables.n_states - 1}, "
            f"or {sessions}, one a session"
        )
    return np.broadcast_to(states.astype(np.int64), (sessions,))


def _frozen(plan: Plan, sessions: int) -> Mapping[int, np.ndarray]:
    n, states, m = plan.tables.n, plan.tables.n_states, plan.tables.m
    if not set(plan.frozen) < set(range(n)):
        raise InvalidSettingError(
            f"q_learning: got frozen firms {sorted(plan.frozen)}, expected some of 0..{n - 1}, but not all: one of "
            "them must learn"
        )
    kept = {}
    for firm, strategy in plan.frozen.items():
        whole = strategy.dtype.kind in "iu" and strategy.shape in ((states,), (sessions, states))
        if not whole or strategy.min() < 0 or strategy.max() >= m:
            raise InvalidSettingError(
                f"q_learning: got a frozen strategy of firm {firm} of shape {strategy.shape}, {strategy.dtype}; "
                f"expected price indices 0..{m - 1} of shape {(states,)}, or {(sessions, states)} for each session"
            )
        kept[firm] = strategy.astype(np.int16)
    return kept
