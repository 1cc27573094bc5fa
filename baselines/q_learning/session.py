"""One session from its number to its end: what the plain loop is given, and what is kept of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from strategic_envs.baselines.q_learning.draws import START, price_of, session_key, session_keys, uniform_of, words
from strategic_envs.baselines.q_learning.schedules import Boltzmann, NoExploration
from strategic_envs.baselines.q_learning.settings import QLearning
from strategic_envs.games.pricing import PricingTables

__all__ = ["Outcome", "Plan", "first_values", "play"]

_SLICE = 1 << 20  # periods between two looks at whether to stop


class Outcome(NamedTuple):
    """The end of one session; `Sessions` says what the parts are."""

    number: int
    strategy: Int[np.ndarray, "n S"]
    state: int
    periods: int
    converged: bool
    visited: int
    q: Float[np.ndarray, "n S m"] | None
    gain: Float[np.ndarray, " blocks"]


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a session depends on, except its number.

    Args:
        tables: The game.
        learner: The rule of learning.
        seed: The seed of all draws.
        draws: "per_period", "thinned" or "replay".
        dtype: The type of the tables of values.
        keep_q: Whether the tables of values are kept.
        gain_every: The length of the blocks whose profit gain is recorded, or 0.
        start_q: First values `(n, S, m)`, or `(B, n, S, m)` for the B sessions in their order, not the learner's.
        start_state: First states `(B,)` instead of drawn ones.
        frozen: Strategies `(S,)`, or `(B, S)`, of firms that neither learn nor explore.
    """

    tables: PricingTables
    learner: QLearning
    seed: int
    draws: str
    dtype: str
    keep_q: bool = False
    gain_every: int = 0
    start_q: np.ndarray | None = None
    start_state: np.ndarray | None = None
    frozen: Mapping[int, np.ndarray] = field(default_factory=dict)

    @functools.cached_property
    def parts(self) -> tuple[Any, Any, Any, Any]:
        """The game and the rule as the loop takes them, the table of hazards, and the loop itself."""
        from strategic_envs.baselines.q_learning import loop
        from strategic_envs.baselines.q_learning.draws_compiled import hazards

        tables, learner, kind = self.tables, self.learner, np.dtype(self.dtype)
        several, source = len(tables.profit) > 1, self._source()
        chances = np.cumsum(tables.chain, axis=1)
        market = loop.Market(tables.profit.astype(kind), np.ascontiguousarray(tables.present), chances, tables.base)
        first, fade = self.levels()
        learns = np.array([i not in self.frozen for i in range(tables.n)])
        delta = kind.type(tables.delta)
        rule = loop.Rule(learner.alphas(tables.n).astype(kind), delta, fade, learns, int(learner.window))
        thinned = source == loop.THINNED
        table = hazards(first, fade, int(learner.cap)) if thinned else hazards(np.ones(1), np.ones(1), 1)
        recorded = self.gain_every > 0
        run = loop.advance(tables.n, tables.memory, source, learner.ties == "random", several, recorded)
        return market, rule, table, run

    def levels(self) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """First level and factor of exploration by firm; 0 and 1 for frozen firms."""
        first, fade = self.learner.schedule.levels(self.tables.n)
        for firm in self.frozen:
            first[firm], fade[firm] = 0.0, 1.0
        return first, fade

    def _source(self) -> int:
        from strategic_envs.baselines.q_learning import loop

        schedule = self.learner.schedule
        if isinstance(schedule, Boltzmann):
            return loop.BOLTZMANN
        if self.draws == "replay":
            return loop.REPLAY
        thinned = self.draws == "thinned" and not isinstance(schedule, NoExploration)
        return loop.THINNED if thinned else loop.PER_PERIOD

    @functools.cached_property
    def first_table(self) -> Float[np.ndarray, "n S m"]:
        """The learner's first values, before anything is drawn."""
        return self.learner.initial.table(self.tables)

    def first_market(self, number: int) -> int:
        """The market state of period 0, drawn in the long-run shares by the word of period 0 and firm n."""
        if len(self.tables.profit) == 1:
            return 0
        n = self.tables.n
        u = float(uniform_of(words(session_keys(self.seed, [number]), 0, n + 1))[0, n])
        return min(int(np.searchsorted(np.cumsum(self.tables.share), u, side="right")), len(self.tables.profit) - 1)

    def first_state(self, index: int, number: int, market: int) -> int:
        """The state before period 0: given, the authors', or a uniform price a firm and lag (absent firms leave m)."""
        tables = self.tables
        if self.start_state is not None:
            return int(self.start_state[index])
        if self.draws == "replay":
            return int(self._replayed_states(number)[number - 1])
        state, key = 0, session_keys(self.seed, [number])
        digits = np.stack(
            [price_of(words(key, START + lag, tables.n)[0], tables.m) for lag in range(tables.memory)] or [[]]
        )
        for firm in range(tables.n):
            for lag in range(tables.memory):
                digit = int(digits[lag, firm]) if tables.present[market, firm] else tables.m
                state = state * tables.base + digit
        return state

    def _replayed_states(self, last: int) -> Int[np.ndarray, " sessions"]:
        from strategic_envs.baselines.q_learning.replay import first_states

        known = self.__dict__.get("_states", np.zeros(0, np.int64))
        if len(known) < last:
            known = first_states(max(last, 2 * len(known)), self.tables.n, self.tables.memory, self.tables.m)
            self.__dict__["_states"] = known
        return known


def play(plan: Plan, index: int, number: int, stopped: Callable[[], bool]) -> Outcome | None:
    """Plays one session to its end with the plain loop.

    Args:
        plan: What it depends on.
        index: Its place among the sessions of the run, for first values, states and frozen strategies of its own.
        number: Its number.
        stopped: Whether to leave off, asked now and then.

    Returns:
        The end, or None if it was stopped before.
    """
    from strategic_envs.baselines.q_learning import loop, replay
    from strategic_envs.baselines.q_learning.draws_compiled import next_exploration

    tables, learner = plan.tables, plan.learner
    market, rule, table, run = plan.parts
    key = np.uint64(session_key(plan.seed, number))
    level, _ = plan.levels()
    values = first_values(plan, index, key)
    state = np.zeros(tables.n, np.int64)
    if plan.draws == "replay":
        state = replay.stream(number)
    elif plan._source() == loop.THINNED:
        state[:] = [next_exploration(key, i, table.start - 1, table) for i in range(tables.n)]
    first_market = plan.first_market(number)
    clock = np.array([0, plan.first_state(index, number, first_market), first_market, 0, 0], np.int64)
    earned, gains = np.zeros(tables.n), []
    while clock[loop.CALM] < learner.window and clock[loop.T] < learner.cap:
        if stopped():
            return None
        before, until = clock[loop.T], min(clock[loop.T] + (plan.gain_every or _SLICE), learner.cap)
        run(market, rule, values, loop.Draws(key, state, table), clock, level, earned, until)
        if plan.gain_every:
            gains.append(float(tables.profit_gain(earned / (clock[loop.T] - before))))
            earned[:] = 0.0
    return Outcome(
        number=number,
        strategy=values.greedy,
        state=int(clock[loop.STATE]),
        periods=int(clock[loop.T]),
        converged=bool(clock[loop.CALM] >= learner.window),
        visited=int(clock[loop.VISITED]),
        q=values.q if plan.keep_q else None,
        gain=np.array(gains),
    )


def first_values(plan: Plan, index: int, key: np.uint64) -> Any:
    """The values that a session begins with, and their greedy prices, as `loop.Values`.

    Args:
        plan: What it depends on.
        index: Its place among the sessions of the run.
        key: Its key.
    """
    from strategic_envs.baselines.q_learning import loop

    tables, given = plan.tables, plan.start_q
    table = plan.first_table if given is None else given if given.ndim == 3 else given[index]
    shape = (tables.n, tables.n_states)
    q = np.array(np.broadcast_to(table, (*shape, tables.m)), dtype=plan.dtype, order="C")
    values = loop.Values(q, np.zeros(shape, q.dtype), np.zeros(shape, np.int16))
    spread = plan.learner.initial.spread if given is None else 0.0
    loop.first_values(plan.learner.ties == "random")(values, key, float(spread))
    for firm, strategy in plan.frozen.items():
        values.greedy[firm] = strategy if strategy.ndim == 1 else strategy[index]
    return values
