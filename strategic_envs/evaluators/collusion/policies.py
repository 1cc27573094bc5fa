"""What play by policy tables looks like in a pricing game, pure or mixed: profits, and what follows a price cut.

All figures are exact expectations under the Markov chain of the policies. They are taken over its *long-run*
distribution: the share of periods `mu(s)` that is spent in each state, starting from a given state or from the game's
initial distribution. A chain of pure policies is followed to its cycles; others are averaged.

The deviation is that of Calvano et al. (AER 2020, section IV): in a state s, one firm charges the price that is best
for this period against what the others do in s, once; from then on everybody follows the policies again. Of pure
policies in a limit cycle the figures are the usual ones of a session, each state of the cycle counting alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.games.pricing import PricingGame
from strategic_envs.play import TabularPlay

__all__ = ["FIGURES", "PolicyFigures", "long_run", "policy_figures"]

_DENSE = 1024  # states up to which a chain is averaged by squaring its matrix
_SQUARINGS = 60
_STEPS = 20_000  # of larger chains
_SETTLED = 1e-12
_EQUAL = 1e-12  # relative differences of values below this are rounding


@dataclass(frozen=True)
class PolicyFigures:
    """Figures of play in the long run, averaged over firms.

    Args:
        profit_gain: Delta of the mean profits: 0 at Nash and 1 at monopoly profits.
        price: The mean price.
        best_reply_loss: How much of the value of an exact best response to the others a firm forgoes, `(V* - V) / V*`.
        rival_response: By how much the others' mean price changes from the period of the deviation to the next,
            relative to the former; negative where a cut is answered by a cut.
        deviation_gain: By how much the deviation changes the deviator's discounted profit, relative to following.
        deviation_unprofitable: The share of cases (states by their share of time, and firms) in which it lowers it. A
            deviation to the price that is charged anyway does not.
        path: Mean prices `(periods + 1, 2)` of the deviator and of the others: before, in the period of the deviation,
            and after it.
        settled: Whether the chain was averaged to the end.
    """

    profit_gain: float
    price: float
    best_reply_loss: float
    rival_response: float
    deviation_gain: float
    deviation_unprofitable: float
    path: Float[np.ndarray, "T 2"]
    settled: bool

    def row(self) -> dict[str, float]:
        """The figures that stand in rows of results, by name.

        Example:
            >>> sorted(PolicyFigures(0.0, 1.5, 0.0, 0.0, 0.0, 0.0, np.zeros((1, 2)), True).row())[0]
            'best_reply_loss'
        """
        return {name: float(getattr(self, name)) for name in FIGURES}


FIGURES = ("profit_gain", "best_reply_loss", "rival_response", "deviation_gain", "deviation_unprofitable")
"""The names of the figures that stand in rows of results."""


def policy_figures(
    game: PricingGame, play: TabularPlay | Sequence[Tensor], start: int | None = None, *, periods: int = 15
) -> PolicyFigures:
    """The figures of policies in a pricing game.

    Args:
        game: The game; its tables must fit in memory.
        play: One policy table `(S, m)` a firm.
        start: The state in which play begins, such as the last one of a session; None for the game's initial
            distribution.
        periods: How many periods after the period before the deviation the path of prices shows.

    Raises:
        InvalidStrategyError: If a table is not a policy of the game, or there is no such state.
        InvalidGameError: If the game is too large for tables.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> game = pricing()
        >>> figures = policy_figures(game, game.constant_policies([13, 13]))
        >>> round(figures.profit_gain, 4), figures.rival_response, figures.deviation_unprofitable
        (0.9997, 0.0, 0.0)
    """
    policies = game.validate_policies(play.policies if isinstance(play, TabularPlay) else tuple(play))
    tables = game.tables()
    initial = tables.initial
    if start is not None:
        if not 0 <= start < game.n_states:
            raise InvalidStrategyError(f"{game.name}: got start={start}, expected a state 0..{game.n_states - 1}")
        initial = torch.nn.functional.one_hot(torch.tensor(start), game.n_states).double()
    joint = game._joint_probability(policies)
    chain = _chain(game, joint)
    share, settled = long_run(chain, initial.numpy())
    mu = torch.from_numpy(share)
    profits = mu @ torch.einsum("sj,sjn->sn", joint, tables.payoff)
    prices = torch.stack([p @ g for p, g in zip(policies, game.grid.double(), strict=True)], dim=-1)  # (S, n)
    values = game.values(policies)
    firms = [_deviate(game, policies, values[:, i], prices, i) for i in range(game.n_players)]
    gains = torch.stack([firm.gain for firm in firms], dim=-1)
    best = torch.stack([game.best_response(policies, i)[1] for i in range(game.n_players)], dim=-1)
    loss = _relative(best - values, best)
    return PolicyFigures(
        profit_gain=float(game.profit_gain(profits)),
        price=float((mu @ prices).mean()),
        best_reply_loss=_mean(mu, loss),
        rival_response=_mean(mu, torch.stack([firm.response for firm in firms], dim=-1)),
        deviation_gain=_mean(mu, gains),
        deviation_unprofitable=_mean(mu, (gains < -_EQUAL).double()),
        path=np.mean([_path(chain, share, firm, prices, i, periods) for i, firm in enumerate(firms)], axis=0),
        settled=settled,
    )


@dataclass(frozen=True, eq=False)
class _Deviation:
    """One firm's deviation in each state: its price, the relative gain and response, and where it leads."""

    price: Tensor  # (S,)
    gain: Tensor  # (S,)
    response: Tensor  # (S,)
    chain: csr_array  # (S, S)


def _deviate(game: PricingGame, policies: tuple[Tensor, ...], values: Tensor, prices: Tensor, i: int) -> _Deviation:
    tables = game.tables()
    others = game._joint_probability(policies, without=i)
    mine = tables.actions[:, i]
    now = (others * tables.payoff[..., i]) @ torch.nn.functional.one_hot(mine, game.m).double()
    chosen = now.argmax(-1)
    joint = others * (mine == chosen.unsqueeze(-1))
    chain = _chain(game, joint)
    after = torch.from_numpy(chain @ torch.cat([values.unsqueeze(-1), prices], dim=-1).numpy())
    value = now.max(-1).values + game.discount * after[:, 0]
    rivals = [j for j in range(game.n_players) if j != i]
    before = prices[:, rivals].mean(-1)
    answered = after[:, 1:][:, rivals].mean(-1)
    gain, response = _relative(value - values, values), _relative(answered - before, before)
    return _Deviation(game.grid[i].double()[chosen], gain, response, chain)


def _path(chain: csr_array, share: np.ndarray, firm: _Deviation, prices: Tensor, i: int, periods: int) -> np.ndarray:
    """Mean prices `(periods + 1, 2)` of the deviator and of the others."""
    others = np.delete(prices.numpy(), i, axis=1).mean(1)
    both = np.stack([prices.numpy()[:, i], others], axis=1)
    rows = [share @ both, share @ np.stack([firm.price.numpy(), others], axis=1)]
    where = firm.chain.T @ share
    for _ in range(2, periods + 1):
        rows.append(where @ both)
        where = chain.T @ where
    return np.stack(rows[: periods + 1])


def long_run(chain: csr_array, initial: Float[np.ndarray, " S"]) -> tuple[Float[np.ndarray, " S"], bool]:
    """The share of periods that a Markov chain spends in each state in the long run, whatever its cycles.

    Args:
        chain: Transition probabilities `(S, S)`, from rows to columns.
        initial: Where it starts, a distribution.

    Returns:
        The shares, and whether they are exact up to rounding: chains of more than a thousand states that mix slowly
        may not have been followed long enough.

    Example:
        >>> shares, settled = long_run(csr_array(np.array([[0.0, 1.0], [1.0, 0.0]])), np.array([1.0, 0.0]))
        >>> shares.round(12).tolist(), settled
        ([0.5, 0.5], True)
    """
    lengths = np.diff(chain.indptr)
    if (lengths == 1).all():
        return _cycles(chain.indices, initial), True
    count = len(initial)
    if count <= _DENSE:
        matrix = 0.5 * (chain.toarray() + np.eye(count))  # a lazy chain has the same shares and no periods
        for _ in range(_SQUARINGS):
            matrix = matrix @ matrix
            matrix /= matrix.sum(1, keepdims=True)
        return initial @ matrix, True
    where, back = initial, csr_array(chain.T)
    for _ in range(_STEPS):
        ahead = 0.5 * (where + back @ where)
        moved = np.abs(ahead - where).sum()
        where = ahead
        if moved < _SETTLED:
            return where / where.sum(), True
    return where / where.sum(), False


def _cycles(following: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """The shares of a chain without chance: each start's mass is spread evenly over the cycle it leads to."""
    count = len(following)
    reached, step, length = np.arange(count), following, 1
    while length < count:  # after at least `count` steps everybody is on a cycle
        reached, step, length = step[reached], step[step], 2 * length
    reached = step[reached]
    mass = np.bincount(reached, weights=initial, minlength=count)
    shares, seen = np.zeros(count), np.zeros(count, dtype=bool)
    for state in np.flatnonzero(mass):
        if seen[state]:
            continue
        cycle = [int(state)]
        while following[cycle[-1]] != state:
            cycle.append(int(following[cycle[-1]]))
        seen[cycle] = True
        shares[cycle] = mass[cycle].sum() / len(cycle)
    return shares


def _chain(game: PricingGame, joint: Tensor) -> csr_array:
    """The transition probabilities of the states under these probabilities of joint actions `(S, J)`."""
    tables = game.tables()
    state, action = joint.nonzero(as_tuple=True)
    flow = joint[state, action].unsqueeze(-1) * tables.probability[state, action]
    target = tables.next_state[state, action]
    rows = state.unsqueeze(-1).expand_as(target)
    kept = flow > 0
    entries = (flow[kept].numpy(), (rows[kept].numpy(), target[kept].numpy()))
    chain = csr_array(entries, shape=(game.n_states, game.n_states))
    chain.sum_duplicates()
    return chain


def _relative(change: Tensor, size: Tensor) -> Tensor:
    """Changes as shares of what changes; no change is a change of 0, and a change from 0 infinite."""
    return torch.where(change == 0, 0.0, change / size.abs())


def _mean(share: Tensor, values: Float[Tensor, "S n"]) -> float:
    """The mean over firms and over the states that are visited at all."""
    seen = share > 0
    return float((share[seen] @ values[seen]).mean())
