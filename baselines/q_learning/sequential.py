"""Q-learning in sequential pricing: Klein (RAND Journal of Economics 52, 2021), whole runs of many sessions.

A firm sets a price every second period, after it has seen the rival's answer to its last one. Two periods then have
passed and paid, so it moves the value of the price a that it had charged at the rival's standing price s:

    Q(s, a) <- (1 - alpha) Q(s, a) + alpha (pi(a, s) + delta pi(a, s') + delta^2 max_b Q(s', b)),

where s' is the rival's answer and pi(a, s) the profit at own price a and rival's price s. All values start at 0. In
period t = 0, 1, ... the firm whose turn it is explores with chance `(1 - theta)^t`, all prices alike; firm 0 moves in
even periods. Before period 0 both charge a random price.

Draws are the words of `draws.py` (firm numbers 0 and 1; ties 3 and 4), so a session is a pure function of the seed and
its number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from strategic_envs.baselines.q_learning.draws import session_keys
from strategic_envs.baselines.q_learning.threads import in_pieces, session_numbers
from strategic_envs.errors import InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.games.pricing.sequential import SequentialPricing

__all__ = ["SequentialLearning", "SequentialSessions", "learn_sequential"]

_TIES = ("lowest", "highest", "random")


@dataclass(frozen=True)
class SequentialLearning:
    """How the firms learn; the defaults are those of Klein (2021).

    Args:
        alpha: The learning rate, in (0, 1].
        theta: How fast exploration fades, in [0, 1]: it has the chance `(1 - theta)^t` in period t. The default leaves
            0.1 percent after half of the periods and 0.0001 percent at the end.
        periods: How many periods a session has; each firm moves in every second one.
        ties: Which of several equally good prices is greedy: the "lowest", the "highest", or one at "random".

    Raises:
        InvalidSettingError: Naming the number that is not possible.
        UnknownNameError: If the rule for ties is unknown.

    Example:
        >>> round((1 - SequentialLearning().theta) ** 250_000, 4)
        0.001
    """

    alpha: float = 0.3
    theta: float = 2.763e-5
    periods: int = 500_000
    ties: str = "lowest"

    def __post_init__(self) -> None:
        if not _is_number(self.alpha) or not 0 < self.alpha <= 1:
            raise InvalidSettingError(f"sequential q_learning: got alpha={self.alpha!r}, expected a rate in (0, 1]")
        if not _is_number(self.theta) or not 0 <= self.theta <= 1:
            raise InvalidSettingError(
                f"sequential q_learning: got theta={self.theta!r}, expected a number in [0, 1] (2.763e-5 in Klein 2021)"
            )
        whole = isinstance(self.periods, int | np.integer) and not isinstance(self.periods, bool)
        if not whole or not 3 <= self.periods < 2**59:
            raise InvalidSettingError(
                f"sequential q_learning: got periods={self.periods!r}, expected a whole number >= 3: "
                "a firm learns for the first time in its second move"
            )
        if self.ties not in _TIES:
            raise UnknownNameError("rule for ties", self.ties, _TIES)


@dataclass(frozen=True, eq=False)
class SequentialSessions:
    """The ends of B sessions with m = k + 1 prices.

    Args:
        number: The session numbers `(B,)`.
        strategy: Each firm's greedy price index by the rival's standing price `(B, 2, m)`, int16; ties are broken as in
            learning, random ones to the lowest price.
        state: The state of the game after the last period `(B,)`, from which play would go on.
        last: The price indices of both firms after the last period `(B, 2)`.
        q: The values `(B, 2, m, m)` by standing price and own price, if they were kept.
        profit: What the firms earned on average in each block of periods `(B, blocks, 2)`, if that was recorded.
    """

    number: Int[np.ndarray, " B"]
    strategy: Int[np.ndarray, "B 2 m"]
    state: Int[np.ndarray, " B"]
    last: Int[np.ndarray, "B 2"]
    q: Float[np.ndarray, "B 2 m m"] | None = None
    profit: Float[np.ndarray, "B blocks 2"] | None = None

    def __len__(self) -> int:
        return len(self.number)


def learn_sequential(
    game: SequentialPricing,
    learner: SequentialLearning | None = None,
    sessions: int | Sequence[int] = 1000,
    *,
    seed: int = 0,
    threads: int | None = None,
    keep_q: bool = False,
    blocks: int = 0,
) -> SequentialSessions:
    """Lets both firms learn against each other, in many sessions.

    Args:
        game: The game.
        learner: How they learn; that of Klein (2021) if left out.
        sessions: How many, or their numbers.
        seed: The seed: the same one gives the same bytes, however many threads there are.
        threads: How many threads; None for one a core.
        keep_q: Whether the values are kept.
        blocks: Into how many blocks of equally many periods the recorded profits are put; 0 records none.

    Raises:
        InvalidGameError: If this is another game.
        InvalidSettingError: If a number makes no sense.

    Example:
        >>> few = learn_sequential(SequentialPricing(k=3), SequentialLearning(periods=2000), sessions=2)
        >>> few.strategy.shape, few.last.shape
        ((2, 2, 4), (2, 2))
    """
    learner = SequentialLearning() if learner is None else learner
    if not isinstance(game, SequentialPricing):
        raise InvalidGameError(
            f"sequential q_learning: got a {type(game).__name__}, expected a SequentialPricing; for firms that set "
            "prices at once there is run_sessions"
        )
    if isinstance(blocks, bool) or not isinstance(blocks, int) or not 0 <= blocks <= learner.periods:
        raise InvalidSettingError(
            f"sequential q_learning: got blocks={blocks!r}, expected a whole number from 0 to {learner.periods} periods"
        )
    number, m = session_numbers(sessions), game.k + 1
    count = len(number)
    keys, profit = session_keys(seed, number), game.profit.numpy()
    strategy = np.empty((count, 2, m), np.int16)
    last = np.empty((count, 2), np.int64)
    q = np.zeros((count if keep_q else 0, 2, m, m))
    earned = np.zeros((count, blocks, 2))
    play = _loop()
    rule = (
        float(learner.alpha),
        game.discount,
        1.0 - float(learner.theta),
        int(learner.periods),
        _TIES.index(learner.ties),
    )

    def work(a: int, b: int) -> None:
        play(keys[a:b], profit, *rule, strategy[a:b], last[a:b], q[a:b] if keep_q else q, earned[a:b])

    in_pieces(work, count, threads)
    mover = int(learner.periods) % 2
    return SequentialSessions(
        number=number,
        strategy=strategy,
        state=mover * m + last[:, 1 - mover],
        last=last,
        q=q if keep_q else None,
        profit=earned if blocks else None,
    )


def _loop() -> Any:
    from strategic_envs.baselines.q_learning.sequential_loop import sequential_loop  # numba is slow to load

    return sequential_loop()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
