"""One period of many sessions as array operations: written once, run by numpy or torch on any device.

The rule is that of one session (`q' = q + alpha (profit + delta max' - q)`, every operation rounded by itself), so the
tables have the same bits as those of the plain loop under the same draws.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from strategic_envs.baselines.q_learning.batched.rules import Array, Batch
from strategic_envs.baselines.q_learning.sessions import Sessions

__all__ = ["finish", "step"]


def step(
    batch: Batch,
    explore: Bool[Array, "n A"],
    price: Int[Array, "n A"],
    chance: Float[Array, " A"] | None = None,
) -> Batch:
    """One period of all sessions that go on; the tables are written in place.

    Args:
        batch: The sessions.
        explore: Which firms explore.
        price: The prices that they then take.
        chance: Numbers in [0, 1) that move the market states; they stay as they are if left out.

    Returns:
        The sessions after the period; those that ended in it are left out of `live`.
    """
    now: Any = batch  # arrays of either library
    rules, q, best, top, state, first, market = now.rules, now.q, now.best, now.top, now.state, now.first, now.market
    xp, m = rules.xp, rules.m
    row = first + state
    greedy, highest = best.take(row), top.take(row)
    action = xp.where(explore, price, greedy)
    joint = action[0]
    for i in range(1, rules.n):
        joint = joint * m + action[i]
    joint = joint + market * rules.joint
    after = rules.older.take(state) + rules.newest.take(joint)

    cell = row * m
    cell += action
    old = q.take(cell)
    new = top.take(first + after)  # before anything is written
    new *= rules.delta
    new += rules.profit.take(rules.offset + joint)
    new -= old
    new *= rules.alpha
    new += old
    plays_greedy = action == greedy
    may_move = xp.where(plays_greedy, new < highest, new >= highest)  # only there can the greedy price change
    if rules.moves is not None:
        learns = rules.moves.take(rules.entry + market)
        new, plays_greedy, may_move = xp.where(learns, new, old), plays_greedy & learns, may_move & learns
    _write(q, cell, new)
    _write(top, row, xp.where(plays_greedy, new, highest))
    counter = now.counter
    counter += 1
    moved = _where(may_move)
    if len(moved):
        rows = row.reshape(-1).take(moved)
        choice = _rows(q.reshape(-1, m), rows).argmax(-1)  # the lowest of the best prices
        _write(top, rows, q.take(rows * m + choice))
        _write(best, rows, choice)
        changed = moved[choice != greedy.reshape(-1).take(moved)]
        counter[changed % len(counter)] = 1
    return _settle(batch, after, _next_market(batch, chance), counter)


def finish(batch: Batch, *, keep_q: bool = False) -> Sessions:
    """The sessions as they are; those that still go on count as not converged.

    Args:
        batch: The sessions.
        keep_q: Whether to return the tables too.
    """
    rules, shape = batch.rules, (len(batch.number), batch.rules.n, -1)
    last, periods = batch.last.copy(), batch.periods.copy()
    last[batch.live], periods[batch.live] = _numpy(batch.state), batch.period
    return Sessions(
        number=batch.number,
        strategy=_numpy(batch.best).reshape(shape).astype(np.int16),
        state=last,
        periods=periods,
        converged=batch.converged.copy(),
        window=rules.window,
        q=_numpy(batch.q).reshape(*shape, rules.m).copy() if keep_q else None,
        visited=batch.visited.copy(),
    )


def _settle(batch: Batch, state: Any, market: Any, counter: Any) -> Batch:
    """Counts the period; sessions whose window is full, and all at the cap, are left out from now on."""
    rules, period = batch.rules, batch.period + 1
    after = replace(batch, state=state, market=market, counter=counter, period=period)
    if period < batch.check:
        return after
    calm = _numpy(counter)
    stable = calm >= rules.window
    ended = stable | (period >= rules.cap)
    on = np.flatnonzero(~ended)
    longest = int(calm[on].max()) if len(on) else 0
    after = replace(after, check=min(period + rules.window - longest, rules.cap))
    if not ended.any():
        return after
    gone, kept = batch.live[ended], on if isinstance(state, np.ndarray) else torch.from_numpy(on).to(state.device)
    last, visited, periods, converged = (
        part.copy() for part in (batch.last, batch.visited, batch.periods, batch.converged)
    )
    last[gone], visited[gone] = _numpy(state)[ended], _numpy(batch.state)[ended]
    periods[gone], converged[gone] = period, stable[ended]
    return replace(
        after,
        first=batch.first[:, kept],
        live=batch.live[on],
        state=state[kept],
        market=market[kept],
        counter=counter[kept],
        last=last,
        visited=visited,
        periods=periods,
        converged=converged,
    )


def _next_market(batch: Batch, chance: Any) -> Any:
    if chance is None or batch.rules.walk.shape[1] == 0:
        return batch.market
    return (chance[:, None] >= batch.rules.walk[batch.market]).sum(-1)


# --- what the two libraries spell differently ----------------------------------------------------------------------


def _numpy(array: Any) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def _write(flat: Any, index: Any, values: Any) -> None:
    if isinstance(flat, np.ndarray):
        flat[index] = values
    else:
        flat.scatter_(0, index.reshape(-1), values.reshape(-1))  # `put_` has no deterministic form


def _rows(table: Any, index: Any) -> Any:
    return table.take(index, axis=0) if isinstance(table, np.ndarray) else table.index_select(0, index)


def _where(mask: Any) -> Any:
    return mask.reshape(-1).nonzero()[0] if isinstance(mask, np.ndarray) else mask.reshape(-1).nonzero().reshape(-1)
