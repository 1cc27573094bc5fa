"""Learners that also learn from what they did not do: Asker, Fershtman and Pakes (AEA P&P 2022; JEMS 2024).

Firms without memory hold a value W(p) for each of their prices, charge the best one (there is no exploration: the first
values are optimistic), and move values by a step alpha towards targets after each period:

* **asynchronous**: only the price p that was charged, towards the profit it earned;
* **synchronous**: every price, towards the profit it would have earned at the others' present prices;
* **downward**: the firm knows its cost c and how much it sold, q(p), and that demand falls in its own price. At a lower
  price it would have sold at least q(p), at a higher one at most q(p). So `B(p') = (p' - c) q(p)` bounds what another
  price p' would have earned: from below where `(p' - p)(p' - c) < 0`, from above where it is positive, and at p' = c
  from both sides. A value on the wrong side of its bound is moved towards it, the others stay; the value of the price
  that was charged moves towards its profit.

On the grid of Asker et al. with cost 2, undercutting 2.2 by 0.1 earns exactly what sharing the customer at 2.2 does, so
2.0, 2.1 and 2.2 are equilibria of the period. Synchronous firms nearly all come to 2.2 and stay there for some 400
periods, until the values of 2.1 and 2.2 agree to the last bit; the lower price wins the tie, and that they rest at 2.1
is due to rounding and to this rule. A window shorter than that sees them at rest at 2.2.

With a discount factor all targets have `delta max W` added. A session has come to rest when nobody's price has changed
for `window` periods.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from strategic_envs.baselines.q_learning.draws import session_keys
from strategic_envs.baselines.q_learning.threads import in_pieces, session_numbers
from strategic_envs.errors import InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.games.pricing.codes import digits
from strategic_envs.games.pricing.game import PricingGame

__all__ = ["UPDATES", "CounterfactualLearning", "CounterfactualSessions", "learn_counterfactual"]

UPDATES = ("asynchronous", "synchronous", "downward")
"""The rules, in the order in which they use more and more of what the firm may know; see the top of this module."""


@dataclass(frozen=True)
class CounterfactualLearning:
    """How the firms learn.

    Args:
        update: Which values move: `"asynchronous"`, `"synchronous"` or `"downward"`.
        alpha: The learning rate, in (0, 1].
        low: First values are drawn uniformly from here, ...
        high: ... to here, in units of profit.
        window: At rest is who has not changed prices for so many periods.
        cap: A session that is not at rest after so many periods is kept and flagged.

    Raises:
        InvalidSettingError: Naming the number that is not possible.
        UnknownNameError: If there is no such rule.

    Example:
        >>> CounterfactualLearning("synchronous").alpha
        0.1
    """

    update: str = "asynchronous"
    alpha: float = 0.1
    low: float = 10.0
    high: float = 20.0
    window: int = 1000
    cap: int = 1_000_000

    def __post_init__(self) -> None:
        if self.update not in UPDATES:
            raise UnknownNameError("update", self.update, UPDATES)
        if not _is_number(self.alpha) or not 0 < self.alpha <= 1:
            raise InvalidSettingError(f"counterfactual: got alpha={self.alpha!r}, expected a rate in (0, 1]")
        if not _is_number(self.low) or not _is_number(self.high) or self.low > self.high:
            raise InvalidSettingError(
                f"counterfactual: got first values from low={self.low!r} to high={self.high!r}, "
                "expected finite numbers, low <= high"
            )
        for name, value in (("window", self.window), ("cap", self.cap)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**59:
                raise InvalidSettingError(
                    f"counterfactual: got {name}={value!r}, expected a positive number of periods, an integer"
                )


@dataclass(frozen=True, eq=False)
class CounterfactualSessions:
    """The ends of B sessions of n firms with m prices each.

    Args:
        number: The session numbers `(B,)`.
        last: The price indices of the last period `(B, n)`.
        periods: Periods played `(B,)`, the window included.
        at_rest: Whether prices came to rest `(B,)`.
        mean_price: The mean price of each firm over the last `window` periods `(B, n)`; the price itself at rest.
        mean_profit: What each firm earned a period in them `(B, n)`.
        values: The values `(B, n, m)` at the end.
        path: The price indices of the first periods `(B, recorded, n)`, -1 after a session's end; None if none were
            recorded.
    """

    number: Int[np.ndarray, " B"]
    last: Int[np.ndarray, "B n"]
    periods: Int[np.ndarray, " B"]
    at_rest: Bool[np.ndarray, " B"]
    mean_price: Float[np.ndarray, "B n"]
    mean_profit: Float[np.ndarray, "B n"]
    values: Float[np.ndarray, "B n m"]
    path: Int[np.ndarray, "B recorded n"] | None = None

    def __len__(self) -> int:
        return len(self.number)


def learn_counterfactual(
    game: PricingGame,
    learner: CounterfactualLearning | None = None,
    sessions: int | Sequence[int] = 200,
    *,
    seed: int = 0,
    threads: int | None = None,
    recorded: int = 0,
) -> CounterfactualSessions:
    """Lets all firms learn in the same way, in many sessions.

    First values are the words `(2^61 + price index, firm)` of `draws.py`; nothing else is drawn. Of equally good prices
    the lowest is charged.

    Args:
        game: A pricing game without memory and with one market state, such as `bertrand()`.
        learner: How they learn; asynchronously if left out.
        sessions: How many, or their numbers.
        seed: The seed: the same one gives the same bytes, however many threads there are.
        threads: How many threads; None for one a core.
        recorded: Of how many first periods the prices are kept.

    Raises:
        InvalidGameError: If firms remember, or demand is random.
        InvalidSettingError: If a number makes no sense.

    Example:
        >>> from strategic_envs.games.pricing.bertrand import bertrand
        >>> few = learn_counterfactual(bertrand(), CounterfactualLearning("synchronous"), sessions=3)
        >>> few.mean_price.round(6).tolist()
        [[2.1, 2.1], [2.1, 2.1], [2.1, 2.1]]
    """
    learner = CounterfactualLearning() if learner is None else learner
    _check(game, recorded)
    number = session_numbers(sessions)
    count, n, m = len(number), game.n_players, game.m
    prices = game.prices(digits(torch.arange(m**n), m, n))
    profit, sold = game.frozen().profit[0], game.market.quantities(prices).numpy()
    margin = game.grid.numpy() - np.array(game.market.costs)[:, None]
    margin[abs(margin) < 1e-12] = 0.0  # a price at cost, but for rounding
    last, periods = np.zeros((count, n), np.int64), np.zeros(count, np.int64)
    at_rest = np.zeros(count, np.bool_)
    values, path = np.zeros((count, n, m)), np.full((count, recorded, n), -1, np.int64)
    window = np.zeros((count, 2, n))
    keys, grid = session_keys(seed, number), game.grid.numpy()
    rule = UPDATES.index(learner.update), float(learner.alpha), game.discount, float(learner.low), float(learner.high)
    loop = _loop()

    def work(a: int, b: int) -> None:
        cut = slice(a, b)
        ends = last[cut], periods[cut], at_rest[cut], window[cut], values[cut], path[cut]
        loop(keys[cut], profit, sold, margin, grid, *rule, learner.window, learner.cap, *ends)

    in_pieces(work, count, threads)
    return CounterfactualSessions(
        number, last, periods, at_rest, window[:, 0], window[:, 1], values, path if recorded else None
    )


def _loop() -> Any:
    from strategic_envs.baselines.q_learning.counterfactual_loop import counterfactual_loop  # numba is slow to load

    return counterfactual_loop()


def _check(game: PricingGame, recorded: int) -> None:
    if not isinstance(game, PricingGame):
        raise InvalidGameError(
            f"counterfactual: got a {type(game).__name__}, expected a PricingGame such as bertrand()"
        )
    if game.memory != 0 or len(game.states.markets) != 1:
        raise InvalidGameError(
            f"counterfactual: got {game}, expected a game with memory=0 and one state of demand: "
            "these learners hold one value a price"
        )
    if isinstance(recorded, bool) or not isinstance(recorded, int) or recorded < 0:
        raise InvalidSettingError(f"counterfactual: got recorded={recorded!r}, expected a whole number of periods >= 0")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
