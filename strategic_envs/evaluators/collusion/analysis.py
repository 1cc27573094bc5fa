"""What sessions of learning ended in: their long-run play, and whether any firm could do better.

`analyse` takes the greedy strategies of B sessions and the states they ended in. Nothing is simulated and nothing is
sampled: play without exploration is deterministic, so every figure is exact up to rounding.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from strategic_envs.errors import InvalidSettingError, InvalidStrategyError
from strategic_envs.evaluators.collusion.references import References, references
from strategic_envs.games.pricing.tables import PricingTables

__all__ = ["Analysis", "analyse", "check_play"]


@dataclass(frozen=True, eq=False)
class Analysis:
    """Figures of B sessions, one entry a session (and firm, where there is an n).

    *On path* means averaged over the states of the limit cycle, the prices that are charged for ever after learning. In
    markets that firms enter and leave there is no cycle: on path then means the long-run share of every state, and
    `cycle_length` is 0.

    Args:
        converged: Whether the session ended by itself; the others are kept here and left out of all means.
        cycle_length: Periods of the limit cycle `(B,)`.
        symmetric: Whether all firms charge the same price index in every period of it `(B,)`.
        price_share: The share of periods at each price index `(B, n, m)`.
        prices: Mean prices `(B, n)`.
        profits: Mean profits of a period `(B, n)`.
        gain: The profit gain Delta `(B,)`.
        one_shot: Whether the firm's prices pass the one-shot test on path `(B, n)`.
        loss_on_path: What the one-shot test says is lost, relative, on path `(B, n)`.
        loss_off_path: The same in all other states, nan if there are none `(B, n)`.
        exact: Whether the firm's strategy is a best response from every state on path `(B, n)`.
        exploitability: What an exact best response gains, relative to its value, on path `(B, n)`.
        exploitability_everywhere: The same, mean over all states `(B, n)`.
        exploitability_worst: The same in the worst state `(B, n)`.
        reply_cycle: Periods of the cycle that the firm's best response ends in, from the path `(B, n)`.
        perfect: Whether the strategies are a subgame perfect equilibrium: best responses in all states `(B,)`.
        strays: How many states do not lead back to the limit cycle `(B,)`.
        attractors: How many cycles there are at all `(B,)`.
        states: How many states there are.
        references: What `gain` has to be compared with.
        solved: Whether the exact best responses were found, which never failed so far `(B,)`.
        is_exact: False where a figure rests on a convention (a limit cycle in markets with entry and exit), or prices
            stand for continuous ones.
    """

    converged: Bool[np.ndarray, " B"]
    cycle_length: Int[np.ndarray, " B"]
    symmetric: Bool[np.ndarray, " B"]
    price_share: Float[np.ndarray, "B n m"]
    prices: Float[np.ndarray, "B n"]
    profits: Float[np.ndarray, "B n"]
    gain: Float[np.ndarray, " B"]
    one_shot: Bool[np.ndarray, "B n"]
    loss_on_path: Float[np.ndarray, "B n"]
    loss_off_path: Float[np.ndarray, "B n"]
    exact: Bool[np.ndarray, "B n"]
    exploitability: Float[np.ndarray, "B n"]
    exploitability_everywhere: Float[np.ndarray, "B n"]
    exploitability_worst: Float[np.ndarray, "B n"]
    reply_cycle: Int[np.ndarray, "B n"]
    perfect: Bool[np.ndarray, " B"]
    strays: Int[np.ndarray, " B"]
    attractors: Int[np.ndarray, " B"]
    states: int
    references: References
    solved: Bool[np.ndarray, " B"]
    is_exact: bool = True

    def __len__(self) -> int:
        return len(self.gain)

    @property
    def nash_one_shot(self) -> Bool[np.ndarray, " B"]:
        """Sessions in which all firms pass the one-shot test on path: "Nash" in AER 2020."""
        return np.asarray(self.one_shot.all(-1))

    @property
    def nash_exact(self) -> Bool[np.ndarray, " B"]:
        """Sessions in which all firms best-respond on path: Nash equilibria from any state of the limit cycle."""
        return np.asarray(self.exact.all(-1))

    @property
    def leads_back(self) -> Float[np.ndarray, " B"]:
        """The share of states from which play returns to the limit cycle."""
        return 1.0 - self.strays / self.states

    def row(self) -> dict[str, float]:
        """Means over converged sessions with their standard errors, flat, for tables and JSON."""
        from strategic_envs.evaluators.collusion.statistics import analysis_row

        return analysis_row(self)

    def rows(self) -> list[dict[str, float]]:
        """One flat row a session."""
        from strategic_envs.evaluators.collusion.statistics import session_rows

        return session_rows(self)


def analyse(
    tables: PricingTables,
    strategy: Int[np.ndarray, "B n S"],
    state: Int[np.ndarray, " B"],
    *,
    converged: Bool[np.ndarray, " B"] | None = None,
    threads: int = 1,
) -> Analysis:
    """Judges the strategies that sessions ended in; AER 2020, and exact best responses besides.

    Args:
        tables: The game.
        strategy: Every firm's price index in every state.
        state: The state from which play goes on in each session.
        converged: Which sessions count in means; all of them if it is not given.
        threads: Sessions are shared out to so many threads; the results do not depend on it.

    Raises:
        InvalidStrategyError: For a shape, price index or state that is not possible, naming session and firm.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> tables = pricing().frozen()
        >>> static_nash = np.full((1, 2, 225), 1, dtype=np.int16)
        >>> found = analyse(tables, static_nash, np.array([0]))
        >>> round(float(found.gain[0]), 4), float(found.exploitability.max()), bool(found.nash_exact[0])
        (-0.0238, 0.0, True)
    """
    check_play(tables, strategy, state)
    if threads < 1:
        raise InvalidSettingError(f"analyse: got threads={threads}, expected at least 1")
    if converged is None:
        converged = np.ones(len(state), dtype=bool)
    if tables.base > tables.m and tables.memory:
        from strategic_envs.evaluators.collusion.comings import analyse_comings

        return analyse_comings(tables, strategy, state, converged)
    return _analyse_cycles(tables, strategy, state, converged, threads)


def _analyse_cycles(
    tables: PricingTables, strategy: np.ndarray, state: np.ndarray, converged: np.ndarray, threads: int
) -> Analysis:
    """The figures where play without exploration is deterministic: the market's own luck does not show in states."""
    from strategic_envs.evaluators.collusion.graph import codec
    from strategic_envs.evaluators.collusion.sessions import analyse_sessions

    sessions, n, size = strategy.shape
    moves = codec(tables)
    profit = np.ascontiguousarray(tables.mean_profit.T)
    strategy, state = np.ascontiguousarray(strategy, dtype=np.int16), state.astype(np.int64)
    length, replies = np.zeros(sessions, np.int64), np.zeros((sessions, n), np.int64)
    symmetric, solved = np.zeros(sessions, bool), np.zeros(sessions, bool)
    price_share, profits = np.zeros((sessions, n, tables.m)), np.zeros((sessions, n))
    one_shot, exact = np.zeros((sessions, n, 2), bool), np.zeros((sessions, n), bool)
    loss, share = np.zeros((sessions, n, 2)), np.zeros((sessions, n, 3))
    off_path = np.zeros((sessions, 2), np.int64)
    outputs = (length, symmetric, price_share, profits, one_shot, loss, exact, share, replies, off_path, solved)

    def work(part: slice) -> None:
        analyse_sessions(
            tables.m, profit, tables.delta, *moves, strategy[part], state[part],
            *(array[part] for array in outputs),
        )  # fmt: skip

    step = max(1, -(-sessions // threads))
    parts = [slice(first, first + step) for first in range(0, sessions, step)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))
    return Analysis(
        converged=converged,
        cycle_length=length,
        symmetric=symmetric,
        price_share=price_share,
        prices=np.einsum("bnm,nm->bn", price_share, tables.grid),
        profits=profits,
        gain=tables.profit_gain(profits),
        one_shot=one_shot[..., 0],
        loss_on_path=loss[..., 0],
        loss_off_path=loss[..., 1],
        exact=exact,
        exploitability=share[..., 0],
        exploitability_everywhere=share[..., 1],
        exploitability_worst=share[..., 2],
        reply_cycle=replies,
        perfect=np.asarray(one_shot[..., 1].all(-1)),
        strays=off_path[:, 0],
        attractors=off_path[:, 1],
        states=size,
        references=references(tables),
        solved=solved,
        is_exact=tables.exact,
    )


def check_play(tables: PricingTables, strategy: np.ndarray, state: np.ndarray) -> None:
    """Refuses strategies and states that do not belong to a game.

    Raises:
        InvalidStrategyError: Saying what was got and what is expected, with the session and the firm.
    """
    expected = (len(state), tables.n, tables.n_states)
    if strategy.shape != expected:
        raise InvalidStrategyError(
            f"pricing: got strategies of shape {strategy.shape}, expected {expected} "
            "(sessions, firms, states): one price index for every firm and state"
        )
    bad = np.argwhere((strategy < 0) | (strategy >= tables.m))
    if len(bad):
        b, i, s = (int(x) for x in bad[0])
        raise InvalidStrategyError(
            f"pricing, session {b}, player_{i}: got price index {int(strategy[b, i, s])} in state {s}, "
            f"expected 0..{tables.m - 1}"
        )
    wrong = np.flatnonzero((state < 0) | (state >= tables.n_states))
    if len(wrong):
        raise InvalidStrategyError(
            f"pricing, session {int(wrong[0])}: got state {int(state[wrong[0]])}, expected 0..{tables.n_states - 1}"
        )
