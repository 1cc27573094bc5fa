"""Where learners of sequential pricing end up: limit cycles, exact best responses, and the shape of price paths.

Firms answer the rival's standing price with one price each, so from any state play runs into a cycle. A firm's best
reply to the other's strategy comes from exact dynamic programming (policy iteration; `SequentialPricing.best_response`
is the same for one pair of strategies that may mix).

The shape of a cycle is that of the chain of prices in the order in which they are set. It is *constant* if all are one
price. It is an *Edgeworth cycle* if each price either undercuts the one before or raises it, and every rise is followed
by two cuts or more. Such a cycle is *asymmetric* if one firm makes all the rises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.games.pricing.sequential import SequentialPricing

__all__ = ["SequentialAnalysis", "analyse_sequential", "best_values", "price_path"]

_TOLERANCE = 1e-9  # a best response earns at most so much more, as a sum over all periods


@dataclass(frozen=True, eq=False)
class SequentialAnalysis:
    """What B pairs of strategies lead to.

    Args:
        length: Periods in the limit cycle `(B,)`; of a constant price 2, as each firm moves once.
        profit: What the firms earn a period on the cycle `(B, 2)`.
        price: The mean of the prices that are set on the cycle `(B,)`.
        constant: Whether one price is charged for ever `(B,)`.
        edgeworth: Whether prices are cut step by step and then raised `(B,)`.
        asymmetric: Whether it is an Edgeworth cycle in which one firm makes all the rises `(B,)`.
        optimality: The value of each firm's strategy as a share of that of a best response, averaged over the states of
            the cycle in which it moves `(B, 2)`.
        best_on_path: Whether each firm's strategy is an exact best response from these states `(B, 2)`.
        best_everywhere: The same from all states `(B, 2)`; if of both, the pair is a Markov perfect equilibrium.
    """

    length: Int[np.ndarray, " B"]
    profit: Float[np.ndarray, "B 2"]
    price: Float[np.ndarray, " B"]
    constant: Bool[np.ndarray, " B"]
    edgeworth: Bool[np.ndarray, " B"]
    asymmetric: Bool[np.ndarray, " B"]
    optimality: Float[np.ndarray, "B 2"]
    best_on_path: Bool[np.ndarray, "B 2"]
    best_everywhere: Bool[np.ndarray, "B 2"]


def analyse_sequential(
    game: SequentialPricing, strategy: Int[np.ndarray, "B 2 m"], state: Int[np.ndarray, " B"]
) -> SequentialAnalysis:
    """Follows pairs of strategies to their limit cycles and compares them with exact best responses.

    Args:
        game: The game.
        strategy: Each firm's price index by the rival's standing price.
        state: From which state of the game each pair plays on.

    Raises:
        InvalidStrategyError: If shapes do not fit the game, or an index is out of range.

    Example:
        >>> half = np.full((1, 2, 7), 3)
        >>> found = analyse_sequential(SequentialPricing(k=6), half, np.zeros(1, np.int64))
        >>> bool(found.constant[0]), found.profit[0].round(6).tolist(), found.best_on_path[0].tolist()
        (True, [0.125, 0.125], [False, False])
    """
    _check(game, strategy, state)
    m, sessions = game.k + 1, np.arange(len(state))
    profit = game.profit.numpy()
    best = np.stack([best_values(game, strategy[:, 1 - i]) for i in range(2)], 1)
    own = np.stack([_own_values(game, strategy[:, i], strategy[:, 1 - i]) for i in range(2)], 1)
    at_best = own >= best - _TOLERANCE
    share = np.divide(own, best, out=np.ones_like(own), where=best > 0)

    path = price_path(game, strategy, state, 6 * m)  # on the cycle after 2 m moves, and twice around it
    begin = _after(game, state, path, 2 * m)
    length = np.zeros(len(state), np.int64)
    total, prices = np.zeros((len(state), 2)), np.zeros(len(state))
    moves, shares, fine = np.zeros((len(state), 2)), np.zeros((len(state), 2)), np.ones((len(state), 2), bool)
    cuts, rises = np.zeros(len(state), np.int64), np.zeros((len(state), 2), np.int64)
    for t in range(2 * m):
        on = length == 0  # still on the first round of its cycle
        before = path[:, 2 * m + t - 1]
        new, mover = path[:, 2 * m + t], (state // m + t) % 2
        total[sessions[on], mover[on]] += profit[new, before][on]
        total[sessions[on], 1 - mover[on]] += profit[before, new][on]
        prices[on] += new[on]
        moves[sessions[on], mover[on]] += 1
        shares[sessions[on], mover[on]] += share[sessions, mover, before][on]
        fine[sessions[on], mover[on]] &= at_best[sessions, mover, before][on]
        cuts += on & (new < before)
        rises[sessions[on], mover[on]] += (new > before)[on]
        length[on & (_after(game, state, path, 2 * m + t + 1) == begin)] = t + 1
    constant = (path[:, 2 * m :] == path[:, 2 * m, None]).all(1)
    edgeworth = _each_rise_precedes_two_cuts(path[:, 2 * m :]) & (cuts + rises.sum(1) == length)
    return SequentialAnalysis(
        length=length,
        profit=total / length[:, None],
        price=prices / length / game.k,
        constant=constant,
        edgeworth=edgeworth,
        asymmetric=edgeworth & ((rises == 0).sum(1) == 1),
        optimality=shares / moves,
        best_on_path=fine,
        best_everywhere=np.asarray(at_best.all(-1)),
    )


def price_path(
    game: SequentialPricing, strategy: Int[np.ndarray, "B 2 m"], state: Int[np.ndarray, " B"], periods: int
) -> Int[np.ndarray, "B periods"]:
    """The price index that the mover of each period sets; the firm that moves first follows from the state.

    Example:
        >>> answers = np.array([[[2, 0, 1], [2, 0, 1]]])
        >>> price_path(SequentialPricing(k=2), answers, np.array([0]), 6).tolist()
        [[2, 1, 0, 2, 1, 0]]
    """
    m, rows = game.k + 1, np.arange(len(state))
    mover, standing = state // m, state % m
    path = np.empty((len(state), periods), np.int64)
    for t in range(periods):
        standing = strategy[rows, (mover + t) % 2, standing].astype(np.int64)
        path[:, t] = standing
    return path


def best_values(game: SequentialPricing, rival: Int[np.ndarray, "B m"]) -> Float[np.ndarray, "B m"]:
    """What a best response is worth to a firm about to move, by the standing price, against strategies of the rival.

    Args:
        game: The game.
        rival: The price indices with which the rival answers.

    Returns:
        Discounted sums over all periods from this one on.
    """
    now = game.profit.numpy().T  # [standing price, own price]
    later = _answered(game, rival)
    policy = np.zeros(rival.shape, np.int64)
    while True:
        value = _own_values(game, policy, rival)
        ahead = np.take_along_axis(value, rival.astype(np.int64), 1)
        worth = now + (later + game.discount**2 * ahead)[:, None, :]
        better = worth.max(-1) > np.take_along_axis(worth, policy[..., None], -1)[..., 0] + 1e-12
        if not better.any():
            return value
        policy = np.where(better, worth.argmax(-1), policy)


def _answered(game: SequentialPricing, rival: np.ndarray) -> Float[np.ndarray, "B m"]:
    """What the own price earns in the next period, when the rival has answered it, discounted to this one."""
    return game.discount * game.profit.numpy()[np.arange(game.k + 1), rival]


def _own_values(game: SequentialPricing, own: np.ndarray, rival: np.ndarray) -> Float[np.ndarray, "B m"]:
    """What a firm's strategy is worth when it is about to move, by the standing price."""
    m = game.k + 1
    charged = own.astype(np.int64)
    answer = np.take_along_axis(rival.astype(np.int64), charged, 1)
    paid = game.profit.numpy()[charged, np.arange(m)] + np.take_along_axis(_answered(game, rival), charged, 1)
    system = np.eye(m) - game.discount**2 * (answer[..., None] == np.arange(m))
    return np.linalg.solve(system, paid[..., None])[..., 0]


def _after(game: SequentialPricing, state: np.ndarray, path: np.ndarray, periods: int) -> np.ndarray:
    """The states after so many periods of a path."""
    m = game.k + 1
    return (state // m + periods) % 2 * m + path[:, periods - 1]


def _each_rise_precedes_two_cuts(path: np.ndarray) -> Bool[np.ndarray, " B"]:
    """Whether there are rises in a path that goes round a cycle, and two cuts after each that has two steps left."""
    step = np.sign(np.diff(path, axis=1))
    rise = step[:, :-2] > 0
    return np.asarray(rise.any(1) & (~rise | ((step[:, 1:-1] < 0) & (step[:, 2:] < 0))).all(1))


def _check(game: SequentialPricing, strategy: np.ndarray, state: np.ndarray) -> None:
    m = game.k + 1
    if strategy.shape != (len(state), 2, m):
        raise InvalidStrategyError(
            f"{game.name}: got strategies of shape {strategy.shape} for {len(state)} states, "
            f"expected {(len(state), 2, m)}: pairs of firms, one price index a standing price"
        )
    if len(state) and (strategy.min() < 0 or strategy.max() >= m):
        raise InvalidStrategyError(
            f"{game.name}: got price indices {strategy.min()}..{strategy.max()}, expected 0..{m - 1}"
        )
    if len(state) and (state.min() < 0 or state.max() >= 2 * m):
        raise InvalidStrategyError(f"{game.name}: got states {state.min()}..{state.max()}, expected 0..{2 * m - 1}")
