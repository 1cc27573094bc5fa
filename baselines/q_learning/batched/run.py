"""Whole sessions by array operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from strategic_envs.baselines.q_learning.batched.draws import PeriodDraws, ThinnedDraws
from strategic_envs.baselines.q_learning.batched.rules import Batch, start
from strategic_envs.baselines.q_learning.batched.step import finish, step
from strategic_envs.baselines.q_learning.draws import session_keys
from strategic_envs.baselines.q_learning.schedules import Exponential, NoExploration
from strategic_envs.baselines.q_learning.session import Plan, play
from strategic_envs.baselines.q_learning.sessions import Sessions
from strategic_envs.baselines.q_learning.settings import QLearning

__all__ = ["batched_msteps", "play_batched"]

_BLOCK = 64  # periods whose draws are made at once: enough to hide the cost of a call, few enough for the cache


def play_batched(
    plan: Plan,
    number: Sequence[int] | Int[np.ndarray, " B"],
    *,
    places: Int[np.ndarray, " B"] | None = None,
    xp: Literal["numpy", "torch"] = "numpy",
    device: str = "cpu",
    size: int = 512,
    stopped: Callable[[], bool] = lambda: False,
) -> Sessions:
    """Sessions to their ends, the same as those of the plain loop.

    Args:
        plan: What the sessions depend on.
        number: Their numbers.
        places: Their places in the run, where the plan has first values for each.
        xp: The library that does the work.
        device: Where torch does it.
        size: How many sessions go side by side. What about 512 use fits the cache of a core; a GPU takes more.
        stopped: Whether to leave off, asked now and then; sessions that have ended by then are returned.

    Raises:
        InvalidSettingError: If the plan is none for arrays, or numpy is asked to work on a device.
        UnknownNameError: If the library is unknown.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> plan = Plan(pricing(m=3).frozen(), QLearning(beta=1e-2, window=100), 0, "per_period", "float64")
        >>> play_batched(plan, range(4)).converged
        array([ True,  True,  True,  True])
    """
    number = np.asarray(number, dtype=np.int64)
    places = np.arange(len(number)) if places is None else places
    parts = []
    for k in range(0, max(len(number), 1), size):
        if k and stopped():
            break
        batch = start(plan, number[k : k + size], places=places[k : k + size], xp=xp, device=device)
        parts.append(finish(_advance(batch, _source(plan, batch), stopped=stopped), keep_q=plan.keep_q))
    return _joined(parts)


def batched_msteps(
    xp: Literal["numpy", "torch"] = "numpy",
    *,
    sessions: int = 512,
    periods: int = 600,
    marks: Sequence[int] = range(0, 1_500_001, 300_000),
    seed: int = 0,
) -> float:
    """Million session-steps a CPU second of the baseline, draws included.

    Whole sessions of a batch take minutes, so a batch is taken through stretches of its course: from tables as the
    plain loop leaves them after so many periods as `marks` say, each for `periods` periods.

    Args:
        xp: The library that does the work.
        sessions: How many sessions go side by side.
        periods: The length of a stretch.
        marks: Where stretches begin.
        seed: The seed.
    """
    from strategic_envs.games.pricing import pricing

    tables, few, spent = pricing().frozen(), 32, 0.0
    for mark in marks:
        eps, q, state = 1.0, None, None
        if mark:
            before = Plan(tables, QLearning(cap=mark), seed, "per_period", "float64", keep_q=True)
            ends: list[Any] = [play(before, r, r, lambda: False) for r in range(few)]
            copies, eps = np.arange(sessions) % few, float(np.exp(-4e-6 * mark))
            q, state = np.stack([end.q for end in ends])[copies], np.array([end.state for end in ends])[copies]
        learner = QLearning(exploration=Exponential(first=eps))
        plan = Plan(tables, learner, seed + 1, "per_period", "float64", start_q=q, start_state=state)
        batch = start(plan, range(sessions), xp=xp)
        begin = time.process_time()
        _advance(batch, _source(plan, batch), until=periods)
        spent += time.process_time() - begin
    return len(marks) * sessions * periods / spent / 1e6


def _source(plan: Plan, batch: Batch) -> PeriodDraws | ThinnedDraws:
    level, fade = plan.levels()
    keys, markets = session_keys(plan.seed, batch.number), len(plan.tables.profit) > 1
    source = PeriodDraws(keys, plan.tables.m, level, fade, batch.q, markets)
    if plan.draws == "thinned" and not isinstance(plan.learner.schedule, NoExploration):
        return ThinnedDraws(source, batch.rules.cap)
    return source


def _advance(
    batch: Batch,
    source: PeriodDraws | ThinnedDraws,
    *,
    until: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Batch:
    """The batch when no session goes on, when `until` periods are played, or when it is told to stop."""
    until = batch.rules.cap if until is None else until
    while len(batch.live) and batch.period < until and not stopped():
        live = batch.live
        block = source.block(batch.period, min(_BLOCK, until - batch.period), live)
        for explore, price, chance in zip(*block, strict=True):
            batch = step(batch, explore, price, chance)
            if batch.live is not live:  # the other draws of the block again, for those that go on
                break
    return batch


def _joined(parts: list[Sessions]) -> Sessions:
    """Sessions one after another."""
    if len(parts) == 1:
        return parts[0]
    whole = {}
    for name in (f.name for f in fields(Sessions)):
        values = [getattr(part, name) for part in parts]
        whole[name] = np.concatenate(values) if isinstance(values[0], np.ndarray) else values[0]
    return Sessions(**whole)
