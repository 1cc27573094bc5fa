"""What happens after one price cut: the impulse response of learnt strategies.

In every state of the limit cycle each firm in turn deviates for one period, tau = 1, and from then on everybody follows
the learnt strategies again. A punishment shows as rivals that cut their prices at tau = 2 and come back later; where it
is a punishment, the deviation does not pay. (AER 2020, section IV.)

Two deviations have names. `"static_br"`: the price that would pay most in a single period against the prices that the
others are about to charge. `"figure4_compat"`: what figure 4 of the paper shows by a slip of its program, which takes
the *position in the cycle* for the number of a state, and so answers what the others charge in state 0, 1, ...
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.collusion.analysis import check_play
from strategic_envs.evaluators.collusion.references import static_reply
from strategic_envs.games.pricing.tables import PricingTables

__all__ = ["DEVIATIONS", "ImpulseResponse", "impulse_response", "response_of"]

DEVIATIONS = ("static_br", "figure4_compat")


@dataclass(frozen=True, eq=False)
class ImpulseResponse:
    """The answer to a deviation, one entry a session: averages over its cases, which are (cycle state, deviator).

    Args:
        deviation: `"static_br"`, `"figure4_compat"`, or the price index that every deviator chose.
        converged: Which sessions count in means `(B,)`.
        cases: Cases of each session, n times the length of its limit cycle `(B,)`: the weights of published tables.
        deviator: The deviator's price at tau = 0, 1, ..., T `(B, T+1)`; tau = 0 is before the deviation.
        rival: The mean price of the others `(B, T+1)`.
        deviator_change: The deviator's relative price change from tau = 1 to tau = 2 `(B,)`.
        rival_change: The others' relative price change from tau = 1 to tau = 2 `(B,)`: negative is a punishment.
        gain: How much of its discounted profit the deviator gains, relative `(B,)`: negative does not pay.
        unprofitable: The share of cases in which the deviation lowers the discounted profit, strictly `(B,)`; a case in
            which the deviation is the prescribed price changes nothing and therefore does not count as unprofitable.
        no_deviation: The share of cases in which the deviation is the prescribed price `(B,)`.
        length: Mean punishment length `(B,)`: periods until play is on the limit cycle again, or, if it ends in
            another cycle, until that one is entered.
        length_counts: How many cases have length 0, 1, ..., T, or more `(B, T+2)`.
        returned: The share of cases in which play comes back to the same cycle `(B,)`.
        is_exact: False if firms enter and leave, and who is in the market was held fixed.
    """

    deviation: str | int
    converged: Bool[np.ndarray, " B"]
    cases: Int[np.ndarray, " B"]
    deviator: Float[np.ndarray, "B T1"]
    rival: Float[np.ndarray, "B T1"]
    deviator_change: Float[np.ndarray, " B"]
    rival_change: Float[np.ndarray, " B"]
    gain: Float[np.ndarray, " B"]
    unprofitable: Float[np.ndarray, " B"]
    no_deviation: Float[np.ndarray, " B"]
    length: Float[np.ndarray, " B"]
    length_counts: Int[np.ndarray, "B T2"]
    returned: Float[np.ndarray, " B"]
    is_exact: bool = True

    def __len__(self) -> int:
        return len(self.cases)

    def row(self) -> dict[str, float]:
        """Means over converged sessions with session-clustered standard errors, flat, for tables and JSON."""
        from strategic_envs.evaluators.collusion.statistics import response_row

        return response_row(self)


def impulse_response(
    tables: PricingTables,
    strategy: Int[np.ndarray, "B n S"],
    state: Int[np.ndarray, " B"],
    deviation: str | int = "static_br",
    *,
    periods: int = 15,
    converged: Bool[np.ndarray, " B"] | None = None,
) -> ImpulseResponse:
    """Lets each firm deviate once from every state of the limit cycle, and follows what happens.

    Args:
        tables: The game.
        strategy: Every firm's price index in every state.
        state: The state from which play goes on in each session.
        deviation: `"static_br"`, `"figure4_compat"`, or a price index.
        periods: The last tau of the price paths.
        converged: Which sessions count in means; all of them if it is not given.

    Raises:
        InvalidSettingError: For an unknown deviation or fewer than 2 periods.
        InvalidGameError: With a single firm, which has no rival.
        InvalidStrategyError: For strategies or states that do not belong to the game.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> always_monopoly = np.full((1, 2, 225), 13, dtype=np.int16)  # nobody ever punishes
        >>> found = impulse_response(pricing().frozen(), always_monopoly, np.array([0]))
        >>> float(found.rival_change[0]), bool(found.gain[0] > 0), float(found.unprofitable[0])
        (0.0, True, 0.0)
    """
    check_play(tables, strategy, state)
    _check(tables, deviation, periods)
    if converged is None:
        converged = np.ones(len(state), dtype=bool)
    if tables.base > tables.m and tables.memory:
        from strategic_envs.evaluators.collusion.comings import held_response

        return held_response(tables, strategy, state, deviation, periods, converged)
    from strategic_envs.evaluators.collusion.graph import codec
    from strategic_envs.evaluators.collusion.paths import deviate_sessions

    moves = codec(tables)
    reply = static_reply(tables).astype(np.int64)
    price = -1 if isinstance(deviation, str) else int(deviation)
    paths = np.zeros((len(state), 2, periods + 1))
    cases, figures = np.zeros(len(state), np.int64), np.zeros((len(state), 7))
    lengths = np.zeros((len(state), periods + 2), np.int64)
    deviate_sessions(
        tables.grid, np.ascontiguousarray(tables.mean_profit.T), tables.delta, *moves,
        np.ascontiguousarray(strategy, dtype=np.int16), state.astype(np.int64), np.arange(tables.n), reply,
        price, deviation == "figure4_compat", cases, paths, figures, lengths,
    )  # fmt: skip
    return response_of(deviation, converged, cases, paths, figures, lengths)


def response_of(
    deviation: str | int,
    converged: np.ndarray,
    cases: np.ndarray,
    paths: np.ndarray,
    figures: np.ndarray,
    lengths: np.ndarray,
) -> ImpulseResponse:
    """Names the columns that the compiled loop writes."""
    return ImpulseResponse(
        deviation=deviation,
        converged=converged,
        cases=cases,
        deviator=paths[:, 0],
        rival=paths[:, 1],
        deviator_change=figures[:, 0],
        rival_change=figures[:, 1],
        gain=figures[:, 2],
        unprofitable=figures[:, 3],
        no_deviation=figures[:, 4],
        length=figures[:, 5],
        length_counts=lengths,
        returned=figures[:, 6],
    )


def _check(tables: PricingTables, deviation: str | int, periods: int) -> None:
    if isinstance(deviation, str) and deviation not in DEVIATIONS:
        raise InvalidSettingError(
            f"impulse_response: got deviation={deviation!r}, expected one of {', '.join(DEVIATIONS)} or a price index"
        )
    if not isinstance(deviation, str) and not 0 <= deviation < tables.m:
        raise InvalidSettingError(f"impulse_response: got price index {deviation}, expected 0..{tables.m - 1}")
    if periods < 2:
        raise InvalidSettingError(f"impulse_response: got periods={periods}, expected at least 2")
    if tables.n < 2:
        raise InvalidGameError("impulse_response: got a market with 1 firm, expected at least 2: who should answer?")
