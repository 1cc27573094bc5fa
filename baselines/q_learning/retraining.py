"""What trained firms do against rivals that they did not learn with.

*Retraining* (Courthoud 2021): the rivals keep the strategies that a session ended with, one firm learns anew from its
first values. If it comes to earn more, the rivals' strategies can be exploited by learning: the reward and punishment
that hold between firms trained together are no equilibrium that a newcomer would respect.

*Rematch* (AER 2020): firms of different sessions meet. Without exploration and learning, profits drop at once: what was
learnt fits its partner. With learning and exploration switched on again, profits come back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from strategic_envs.baselines.q_learning.run import run_sessions
from strategic_envs.baselines.q_learning.sessions import Sessions
from strategic_envs.baselines.q_learning.settings import QLearning
from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.collusion import Retraining, analyse
from strategic_envs.games.pricing.tables import PricingTables

__all__ = ["Rematched", "Retrained", "play_together", "rematch", "retrain"]


@dataclass(frozen=True, eq=False)
class Retrained:
    """Sessions in which one firm learnt anew against rivals that kept their strategies.

    Args:
        firm: The firm that learnt.
        sessions: How they ended; only the firm's own strategy is new.
        before: Profits on path before `(B, n)`.
        after: Profits on path after `(B, n)`.
        gain_before: Each firm's own profit gain before `(B, n)`, 0 at Nash and 1 at monopoly profits.
        gain_after: The same afterwards `(B, n)`.
    """

    firm: int
    sessions: Sessions
    before: Float[np.ndarray, "B n"]
    after: Float[np.ndarray, "B n"]
    gain_before: Float[np.ndarray, "B n"]
    gain_after: Float[np.ndarray, "B n"]

    @property
    def exploitation(self) -> Float[np.ndarray, " B"]:
        """The change of the firm's profit by learning anew, as a share of its profit before."""
        return self.after[:, self.firm] / self.before[:, self.firm] - 1.0

    @property
    def rival_loss(self) -> Float[np.ndarray, " B"]:
        """What the rivals lose meanwhile, as a share of their profit before."""
        rivals = [i for i in range(self.before.shape[1]) if i != self.firm]
        return 1.0 - self.after[:, rivals].sum(-1) / self.before[:, rivals].sum(-1)

    def evidence(self, rematched: Rematched | None = None) -> Retraining:
        """The means and standard errors that a report reads; sessions that did not converge are left out."""
        kept = self.sessions.converged
        gain, error = _mean(self.exploitation[kept])
        told = Retraining(gain, error, rival_loss=_mean(self.rival_loss[kept])[0], sessions=int(kept.sum()))
        if rematched is None:
            return told
        met, met_error = _mean(rematched.gain)
        return replace(told, rematch=met, rematch_error=met_error)


@dataclass(frozen=True, eq=False)
class Rematched:
    """Trained firms of different sessions together.

    Args:
        partner: The number of the session that each firm comes from `(B, n)`.
        gain: The profit gain Delta of their greedy play at once, without learning `(B,)`.
        sessions: What they end in when they go on learning and explore again from the start, if that was asked for.
    """

    partner: Int[np.ndarray, "B n"]
    gain: Float[np.ndarray, " B"]
    sessions: Sessions | None = None


def retrain(
    tables: PricingTables,
    trained: Sessions,
    learner: QLearning | None = None,
    *,
    firm: int = 0,
    seed: int = 0,
    **options: Any,
) -> Retrained:
    """Lets one firm of every session learn anew from its first values; its rivals keep their greedy strategies.

    Args:
        tables: The game.
        trained: Sessions of that game.
        learner: How the firm learns; as in the sessions, usually.
        firm: Which firm learns.
        seed: The seed of its draws.
        options: Passed on to `run_sessions`: `threads`, `on_done`, `folder`.

    Raises:
        InvalidSettingError: If there is no such firm, or no rival.

    Example:
        >>> from strategic_envs.baselines.q_learning.run import run_sessions
        >>> from strategic_envs.games.pricing import pricing
        >>> tables, learner = pricing(m=3).frozen(), QLearning(beta=1e-3, window=500)
        >>> found = retrain(tables, run_sessions(tables, learner, 2), learner)
        >>> found.exploitation.shape
        (2,)
    """
    learner = QLearning() if learner is None else learner
    if not 0 <= firm < tables.n or tables.n == 1:
        raise InvalidSettingError(
            f"retrain: got firm={firm} in a game of {tables.n} firms, expected 0..{tables.n - 1} and at least two firms"
        )
    rivals = {i: trained.strategy[:, i] for i in range(tables.n) if i != firm}
    numbers = [int(r) for r in trained.number]
    after = run_sessions(
        tables, learner, numbers, seed=seed, draws="per_period", frozen=rivals, start_state=trained.state, **options
    )
    both = [analyse(tables, s.strategy, s.state).profits for s in (trained, after)]
    nash, monopoly = tables.nash_profits, tables.monopoly_profits
    gains = [(profits - nash) / (monopoly - nash) for profits in both]
    return Retrained(firm, after, *both, *gains)


def rematch(
    tables: PricingTables,
    trained: Sessions,
    learner: QLearning | None = None,
    *,
    learn: bool = False,
    seed: int = 0,
    **options: Any,
) -> Rematched:
    """Puts firm i of session b together with firm 0 of session b - i, and so on around.

    Args:
        tables: The game.
        trained: Sessions of that game; with their tables q where `learn` is asked for.
        learner: How they learn from there, exploring again as at the start.
        learn: Whether they go on learning.
        seed: The seed of their draws.
        options: Passed on to `run_sessions`: `threads`, `on_done`, `folder`.

    Raises:
        InvalidSettingError: If there is only one session, or the tables were not kept.

    Example:
        >>> from strategic_envs.baselines.q_learning.run import run_sessions
        >>> from strategic_envs.games.pricing import pricing
        >>> tables, learner = pricing(m=3).frozen(), QLearning(beta=1e-3, window=500)
        >>> rematch(tables, run_sessions(tables, learner, 3), learner).partner.tolist()
        [[0, 1], [1, 2], [2, 0]]
    """
    if len(trained) < 2:
        raise InvalidSettingError(f"rematch: got {len(trained)} session, expected at least two to exchange partners")
    if learn and trained.q is None:
        raise InvalidSettingError("rematch: to go on learning it needs the tables: run_sessions(..., keep_q=True)")
    rows = (np.arange(len(trained))[:, None] + np.arange(tables.n)) % len(trained)
    gain, state = play_together(tables, trained, rows)
    sessions = None
    if learn and trained.q is not None:
        learner = QLearning() if learner is None else learner
        q = np.stack([trained.q[rows[:, i], i] for i in range(tables.n)], axis=1)
        numbers = [int(r) for r in trained.number]
        sessions = run_sessions(tables, learner, numbers, seed=seed, start_q=q, start_state=state, **options)
    return Rematched(trained.number[rows], gain, sessions)


def play_together(
    tables: PricingTables, trained: Sessions, rows: Int[np.ndarray, "B n"]
) -> tuple[Float[np.ndarray, " B"], Int[np.ndarray, " B"]]:
    """The profit gain of firms of different sessions in the long run, none of them exploring or learning.

    Args:
        tables: The game.
        trained: The sessions.
        rows: Which session firm i of each new group comes from, by its place in `trained` `(B, n)`.

    Returns:
        The profit gains, and the states in which they meet: everybody's own last prices.
    """
    strategy = np.stack([trained.strategy[rows[:, i], i] for i in range(tables.n)], axis=1)
    own = tables.base**tables.memory  # a firm's own remembered prices are one digit in this base
    state = np.zeros(len(rows), dtype=np.int64)
    for i in range(tables.n):
        state = state * own + trained.state[rows[:, i]] // own ** (tables.n - 1 - i) % own
    return analyse(tables, strategy, state).gain, state


def _mean(values: Float[np.ndarray, " B"]) -> tuple[float, float]:
    """The mean and its standard error; 0 where one value says nothing about it."""
    if not len(values):
        return 0.0, 0.0
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0
