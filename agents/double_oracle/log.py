"""What every double oracle reports: one record an iteration, and a result that says how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from strategic_envs.agents.dynamics.outcome import Outcome

__all__ = ["DoubleOracleResult", "Iteration"]


@dataclass(frozen=True)
class Iteration:
    """One iteration: the restricted game that was solved, and what the best responses to its solution proved.

    Args:
        iteration: Counted from 1.
        sizes: How many strategies each player held.
        support: How many of them it played.
        value: The value of the restricted game to player 0.
        lower: The best lower bound of the full game's value so far.
        upper: The best upper bound so far.
        gap: The NashConv of this iteration's solution in the full game; it need not fall from one to the next.
        added: What each player added; None where its best response was held already.
        entries: How many payoff entries were read so far.
        played: Which strategies each player played with a positive weight, where that was kept.
    """

    iteration: int
    sizes: tuple[int, ...]
    support: tuple[int, ...]
    value: float
    lower: float
    upper: float
    gap: float
    added: tuple[Any, ...]
    entries: int
    played: tuple[tuple[Any, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class DoubleOracleResult:
    """How a double oracle ended: the best solution it saw, not the last.

    Args:
        strategies: What each player plays: row or column numbers `(k,)`, or points `(k, d_i)`.
        weights: With which probabilities `(k,)`, float64.
        value: The payoff to player 0 when all play so.
        lower: A lower bound of the value of the full game.
        upper: An upper bound.
        gap: The NashConv of this play in the full game.
        exact: Whether the bounds are proved.
        outcome: `converged` (the gap is within the tolerance), `max_steps`, or `failed`.
        reason: Why it stopped, in words.
        tie_break: Which of several best responses was taken.
        history: One record an iteration.
    """

    strategies: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    value: float
    lower: float
    upper: float
    gap: float
    exact: bool
    outcome: Outcome
    reason: str
    tie_break: str
    history: tuple[Iteration, ...]
