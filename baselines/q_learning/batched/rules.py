"""Batches of sessions as arrays of numpy or torch: what stays the same, what moves, and where they begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from strategic_envs.baselines.q_learning.draws import CELLS, START, price_of, session_keys, uniform_of, words
from strategic_envs.baselines.q_learning.schedules import Boltzmann
from strategic_envs.baselines.q_learning.session import Plan
from strategic_envs.errors import InvalidSettingError, UnknownNameError
from strategic_envs.games.pricing import PricingTables

__all__ = ["Array", "Batch", "Rules", "first_states", "first_values", "forgotten", "refusal", "remembered", "start"]

Array: TypeAlias = np.ndarray | Tensor


@dataclass(frozen=True, eq=False)
class Rules:
    """What stays the same from period to period, as arrays of one library.

    Args:
        xp: The library, numpy or torch.
        n: The number of firms.
        m: The number of prices.
        joint: The number of joint prices J.
        delta: The discount factor.
        window: Periods without a change after which a session has ended.
        cap: Periods after which a session is stopped.
        alpha: Learning rates `(n, 1)`.
        profit: Profits `(n D J)`, flat: firm by firm, market state by market state.
        offset: Where each firm's profits begin `(n, 1)`.
        older: What each state leaves to the next one's code when its oldest period is forgotten `(S,)`.
        newest: What each joint price adds to it, by market state, flat `(D J)`.
        moves: Whether each firm learns in each market state, flat `(n D)`, or nothing where all always do.
        entry: Where each firm's part of that begins `(n, 1)`.
        walk: Cumulative chances of the next market state but for the last `(D, D-1)`.
    """

    xp: Any
    n: int
    m: int
    joint: int
    delta: float
    window: int
    cap: int
    alpha: Float[Array, "n 1"]
    profit: Float[Array, " nDJ"]
    offset: Int[Array, "n 1"]
    older: Int[Array, " S"]
    newest: Int[Array, " DJ"]
    moves: Bool[Array, " nD"] | None
    entry: Int[Array, "n 1"]
    walk: Float[Array, "D D-1"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Sessions under way. The large tables are written in place by `step`: an older state of a batch is spent.

    Arrays are firms first, `(n, A)`, because a firm's sessions then lie side by side. Tables are flat, one row of m
    numbers a session, firm and state. A session that has ended is left out of the index arrays; its tables stay.

    Args:
        rules: What stays the same.
        number: The session numbers `(B,)`.
        q: The tables, flat, `(B n S m)`.
        best: The greedy price of every row `(B n S)`.
        top: The number in the greedy cell of every row `(B n S)`.
        first: The first row of each firm in each session that goes on `(n, A)`.
        live: Which sessions go on `(A,)`.
        state: Their states `(A,)`.
        market: Their market states `(A,)`.
        counter: Periods since a greedy price changed `(A,)`.
        period: Periods played by those that go on.
        check: No session can end before so many periods are played.
        last: The states after the last periods of ended sessions `(B,)`.
        visited: The states in which those periods were played `(B,)`.
        periods: The periods that ended sessions took `(B,)`, 0 for those that go on.
        converged: Which sessions have ended by themselves `(B,)`.
    """

    rules: Rules
    number: Int[np.ndarray, " B"]
    q: Float[Array, " cells"]
    best: Int[Array, " rows"]
    top: Float[Array, " rows"]
    first: Int[Array, "n A"]
    live: Int[np.ndarray, " A"]
    state: Int[Array, " A"]
    market: Int[Array, " A"]
    counter: Int[Array, " A"]
    period: int
    check: int
    last: Int[np.ndarray, " B"]
    visited: Int[np.ndarray, " B"]
    periods: Int[np.ndarray, " B"]
    converged: Bool[np.ndarray, " B"]


def start(
    plan: Plan,
    number: Sequence[int] | Int[np.ndarray, " B"],
    *,
    places: Int[np.ndarray, " B"] | None = None,
    xp: Literal["numpy", "torch"] = "numpy",
    device: str = "cpu",
) -> Batch:
    """Sessions before their first period.

    Args:
        plan: What the sessions depend on: game, learner, seed, precision, first values.
        number: The session numbers.
        places: Their places among the sessions of the run, where the plan has first values and states for each; in the
            given order if left out.
        xp: The library that does the work.
        device: Where torch does it: `"cpu"`, `"cuda"`.

    Raises:
        InvalidSettingError: If the plan is none for arrays, or numpy is asked to work on a device.
        UnknownNameError: If the library is unknown.
    """
    if xp not in ("numpy", "torch"):
        raise UnknownNameError("array library", xp, ["numpy", "torch"])
    if xp == "numpy" and device != "cpu":
        raise InvalidSettingError(f"pricing batch: got device={device!r} for numpy, expected 'cpu': take xp='torch'")
    if reason := refusal(plan):
        raise InvalidSettingError(f"pricing batch: {reason}")

    def put(values: Any, kind: Any) -> Any:
        array = np.array(values, dtype=kind, order="C")  # a copy, because tables are written in place
        return array if xp == "numpy" else torch.from_numpy(array).to(device)

    tables, learner, dtype = plan.tables, plan.learner, plan.dtype
    number = np.asarray(number, dtype=np.int64)
    places = np.arange(len(number)) if places is None else places
    batch, n, m, s = len(number), tables.n, tables.m, tables.n_states
    d, joint, _ = tables.profit.shape
    market, state = first_states(plan, number, places)
    q = first_values(plan, number, places)
    best = q.argmax(-1)
    for firm, strategy in plan.frozen.items():
        best[:, firm] = strategy if strategy.ndim == 1 else strategy[places]
    moves = tables.present & np.array([firm not in plan.frozen for firm in range(n)])
    rules = Rules(
        xp=np if xp == "numpy" else torch,
        n=n,
        m=m,
        joint=joint,
        delta=tables.delta,
        window=int(learner.window),
        cap=int(learner.cap),
        alpha=put(learner.alphas(n)[:, None], dtype),
        profit=put(tables.profit.transpose(2, 0, 1).ravel(), dtype),
        offset=put(np.arange(n)[:, None] * d * joint, np.int64),
        older=put(forgotten(tables), np.int64),
        newest=put(remembered(tables), np.int64),
        moves=None if moves.all() else put(moves.T.ravel(), np.bool_),
        entry=put(np.arange(n)[:, None] * d, np.int64),
        walk=put(np.cumsum(tables.chain, axis=1)[:, :-1], np.float64),
    )
    return Batch(
        rules=rules,
        number=number,
        q=put(q.ravel(), dtype),
        best=put(best.ravel(), np.int64),
        top=put(q.max(-1).ravel(), dtype),
        first=put((np.arange(batch) * n + np.arange(n)[:, None]) * s, np.int64),
        live=np.arange(batch),
        state=put(state, np.int64),
        market=put(market, np.int64),
        counter=put(np.zeros(batch), np.int64),
        period=0,
        check=min(rules.window, rules.cap),
        last=np.zeros(batch, dtype=np.int64),
        visited=np.zeros(batch, dtype=np.int64),
        periods=np.zeros(batch, dtype=np.int64),
        converged=np.zeros(batch, dtype=bool),
    )


def first_states(
    plan: Plan, number: Int[np.ndarray, " B"], places: Int[np.ndarray, " B"]
) -> tuple[Int[np.ndarray, " B"], Int[np.ndarray, " B"]]:
    """The market states and states in which sessions begin: `Plan.first_market` and `first_state`, all at once."""
    tables, keys = plan.tables, session_keys(plan.seed, number)
    chance = uniform_of(words(keys, 0, tables.n + 1)[:, -1])
    market = np.searchsorted(np.cumsum(tables.share), chance, side="right").clip(max=len(tables.profit) - 1)
    if plan.start_state is not None:
        return market, plan.start_state[places]
    state = np.zeros(len(number), dtype=np.int64)
    for lag in reversed(range(tables.memory)):  # the oldest first
        price = price_of(words(keys, START + lag, tables.n), tables.m)
        state = tables.follow(state, np.where(tables.present[market], price, tables.m))
    return market, state


def first_values(
    plan: Plan, number: Int[np.ndarray, " B"], places: Int[np.ndarray, " B"]
) -> Float[np.ndarray, "B n S m"]:
    """The tables of sessions before their first period; a view of fewer numbers where they are all alike."""
    tables = plan.tables
    shape = (len(number), tables.n, tables.n_states, tables.m)
    if plan.start_q is not None:
        given = plan.start_q if plan.start_q.ndim == 3 else plan.start_q[places]
        return np.broadcast_to(given.astype(plan.dtype), shape)
    q = np.broadcast_to(plan.first_table.astype(plan.dtype), shape)
    spread = plan.learner.initial.spread
    if not spread:
        return q
    cells = CELLS + np.arange(tables.n_states * tables.m)
    keys = np.broadcast_to(session_keys(plan.seed, number)[:, None], (len(number), len(cells)))
    chance = uniform_of(words(keys, cells, tables.n))  # (B, S m, n)
    return (q + spread * chance.transpose(0, 2, 1).reshape(shape)).astype(plan.dtype)


def forgotten(tables: PricingTables) -> Int[np.ndarray, " S"]:
    """The next state's code without its latest period `(S,)`: all firms' histories moved on by one."""
    return tables.follow(np.arange(tables.n_states), np.zeros((tables.n_states, tables.n), dtype=np.int64))


def remembered(tables: PricingTables) -> Int[np.ndarray, " DJ"]:
    """What each joint price adds to the next state's code, by market state, flat `(D J)`.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> tables = pricing(m=3).frozen()
        >>> int(forgotten(tables)[4] + remembered(tables)[7])
        7
    """
    n, m = tables.n, tables.m
    prices = np.stack(np.unravel_index(np.arange(m**n), (m,) * n), axis=-1)
    digits = np.where(tables.present[:, None], prices, m).reshape(-1, n)
    return tables.follow(np.zeros(len(digits), dtype=np.int64), digits)


def refusal(plan: Plan) -> str | None:
    """Why only the plain loop can play a plan, or None if others can."""
    wrong = None
    if isinstance(plan.learner.schedule, Boltzmann):
        wrong = f"{plan.learner.schedule}"
    elif plan.learner.ties != "lowest":
        wrong = f"ties={plan.learner.ties!r}"
    elif plan.draws not in ("per_period", "thinned"):
        wrong = f"draws={plan.draws!r}"
    elif plan.gain_every:
        wrong = f"gain_every={plan.gain_every}"
    if wrong is None:
        return None
    return (
        f"got {wrong}, expected exploration with a chance that fades (or none), ties='lowest', draws of our own and no "
        "record of gains: the plain loop takes all others"
    )
