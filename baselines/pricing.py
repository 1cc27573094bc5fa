"""Fixed strategies of firms in pricing games, by name: nobody trained them, and theory says how they fare.

They are what learners are compared with. `static_nash` is an equilibrium at any discount factor. `grim_trigger` is one
as soon as firms are patient enough: from `grim_threshold` on. `monopoly` invites undercutting, as it never answers;
`tit_for_tat` answers a cut with the same cut one period later; `best_reply` is the myopic adjustment of Cournot, which
walks down to the static equilibrium; `uniform_random` is noise, and yet has half of the monopolist's profit gain.

Each comes as policy tables for the evaluators, as the price index in each state `(n, S)` that sessions of Q-learning
end with (where it does not draw), and with the state in which such firms would find themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.errors import InvalidGameError, UnknownNameError
from strategic_envs.games.pricing import PricingGame
from strategic_envs.play import TabularPlay

__all__ = ["FIXED_FIRMS", "FixedFirms", "cartel", "fixed_firms", "grim_threshold", "static_nash_prices"]


@dataclass(frozen=True, eq=False)
class FixedFirms:
    """Firms whose prices follow a rule.

    Args:
        play: One policy table `(S, m)` a firm.
        strategy: Each firm's price index in every state `(n, S)`, int16; None where prices are drawn.
        start: The state in which play begins; None for any history, all equally likely.
    """

    play: TabularPlay
    strategy: Int[np.ndarray, "n S"] | None
    start: int | None


def cartel(game: PricingGame) -> tuple[int, ...]:
    """The price indices with the largest joint profit on the grid, the lowest of equally good ones.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> cartel(pricing())
        (13, 13)
    """
    joint = int(game.frozen().mean_profit.sum(-1).argmax())
    return tuple(int(a) for a in np.unravel_index(joint, (game.m,) * game.n_players))


def static_nash_prices(game: PricingGame) -> tuple[int, ...]:
    """The pure equilibrium of the one-period game on the grid; of several, the one with the least joint profit.

    Raises:
        InvalidGameError: If there is none.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> static_nash_prices(pricing())
        (1, 1)
    """
    found = game.pure_nash()
    if not found:
        raise InvalidGameError(
            f"{game.name}: the one-period game on this grid (m={game.m}) has no pure equilibrium, which static_nash "
            "and the threat of grim_trigger need: take a finer grid, or another strategy"
        )
    return min(found, key=lambda prices: float(_profits(game, prices).sum()))


def grim_threshold(game: PricingGame) -> float:
    """The discount factor from which on grim trigger is an equilibrium on this grid.

    It is the largest `(pi_i^D - pi_i^C) / (pi_i^D - pi_i^N)` over firms, with the profits of the best deviation D from
    the cartel's prices C, and of the static equilibrium N that punishes it (Friedman 1971). Above 1 no discount factor
    is enough: a firm earns more at N than its part of the cartel, as an inefficient one may.

    Raises:
        InvalidGameError: If there is no static equilibrium to punish with.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> round(grim_threshold(pricing()), 4)
        0.3949
    """
    high, low = cartel(game), static_nash_prices(game)
    agreed, punished = _profits(game, high), _profits(game, low)
    parts = []
    for i in range(game.n_players):
        cuts = [(*high[:i], a, *high[i + 1 :]) for a in range(game.m)]
        best = max(float(_profits(game, cut)[i]) for cut in cuts)
        gain = best - float(agreed[i])
        parts.append(gain / (best - float(punished[i])) if gain > 0 else 0.0)
    return max(parts)


def static_nash(game: PricingGame) -> FixedFirms:
    """The one-period equilibrium, whatever happened."""
    return _constant(game, static_nash_prices(game))


def monopoly(game: PricingGame) -> FixedFirms:
    """The cartel's prices, whatever happened: a cartel without a threat."""
    return _constant(game, cartel(game))


def grim_trigger(game: PricingGame) -> FixedFirms:
    """The cartel's prices as long as everybody is remembered to have charged them, else the static equilibrium."""
    remembered = _remembered(game, "grim_trigger")
    high, low = np.array(cartel(game)), np.array(static_nash_prices(game))
    kept = (remembered == high[:, None]).all(axis=(1, 2))
    return _pure(game, np.where(kept, high[:, None], low[:, None]), _always(game, high))


def tit_for_tat(game: PricingGame) -> FixedFirms:
    """Each firm charges its rival's last price, with more rivals the lowest of theirs; it begins with the cartel's."""
    latest = _remembered(game, "tit_for_tat")[:, :, 0]
    if game.n_players < 2:
        raise InvalidGameError(f"{game.name}: tit_for_tat got one firm, expected at least two: there is no rival")
    rivals = [np.delete(latest, i, axis=1).min(1) for i in range(game.n_players)]
    return _pure(game, np.stack(rivals), _always(game, np.array(cartel(game))))


def best_reply(game: PricingGame) -> FixedFirms:
    """Each firm charges what is best this period against the others' last prices; it begins at the cartel's."""
    latest, m = _remembered(game, "best_reply")[:, :, 0], game.m
    profit = game.frozen().mean_profit.reshape(*[m] * game.n_players, game.n_players)
    rows = []
    for i in range(game.n_players):
        replies = profit[..., i].argmax(axis=i)  # by the others' prices, in order
        rows.append(replies[tuple(np.delete(latest, i, axis=1).T)])
    return _pure(game, np.stack(rows), _always(game, np.array(cartel(game))))


def uniform_random(game: PricingGame) -> FixedFirms:
    """Any price, each as likely as the others."""
    return FixedFirms(TabularPlay(game.uniform_policy()), None, None)


FIXED_FIRMS: dict[str, Callable[[PricingGame], FixedFirms]] = {
    firms.__name__: firms for firms in (static_nash, monopoly, grim_trigger, tit_for_tat, best_reply, uniform_random)
}
"""The strategies by name."""


def fixed_firms(game: object, name: str) -> FixedFirms:
    """Firms that all follow the rule of this name.

    Args:
        game: A pricing game.
        name: A name of `FIXED_FIRMS`.

    Raises:
        UnknownNameError: If there is no such rule; the message offers the nearest names.
        InvalidGameError: If the rule is none for this game: one that answers past prices needs a memory, and firms
            that are always there.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> firms = fixed_firms(pricing(), "tit_for_tat")
        >>> firms.strategy[:, 3 * 15 + 7].tolist(), firms.start
        ([7, 3], 208)
    """
    if name not in FIXED_FIRMS:
        raise UnknownNameError("fixed strategy of firms", name, FIXED_FIRMS)
    if not isinstance(game, PricingGame):
        raise InvalidGameError(f"{name}: got a {type(game).__name__}, expected a PricingGame: pricing(), for example")
    return FIXED_FIRMS[name](game)


def _constant(game: PricingGame, prices: tuple[int, ...]) -> FixedFirms:
    everywhere = np.repeat(np.array(prices)[:, None], game.n_states, axis=1)
    return _pure(game, everywhere, _always(game, np.array(prices)) if game.memory else 0)


def _pure(game: PricingGame, strategy: np.ndarray, start: int) -> FixedFirms:
    rows = torch.eye(game.m, dtype=torch.float64)
    tables: tuple[Float[Tensor, "S m"], ...] = tuple(rows[torch.from_numpy(prices)] for prices in strategy)
    return FixedFirms(TabularPlay(tables), strategy.astype(np.int16), start)


def _remembered(game: PricingGame, name: str) -> Int[np.ndarray, "S n k"]:
    """The price indices of every state, latest first."""
    if game.memory < 1:
        raise InvalidGameError(
            f"{game.name}: {name} answers past prices, but got memory={game.memory}: expected memory >= 1"
        )
    if not game.frozen().present.all():
        raise InvalidGameError(
            f"{game.name}: {name} answers everybody's past prices, but firms come and go here: expected firms that "
            "are always in the market"
        )
    return game.remembered(torch.arange(game.n_states)).numpy()


def _always(game: PricingGame, prices: np.ndarray) -> int:
    """The state in which these prices are all that is remembered."""
    state = 0
    for price in prices:
        for _ in range(game.memory):
            state = state * game.m + int(price)
    return state


def _profits(game: PricingGame, prices: tuple[int, ...]) -> Float[np.ndarray, " n"]:
    """What each firm earns in a period at these price indices, on average."""
    joint = np.ravel_multi_index(prices, (game.m,) * game.n_players)
    return game.frozen().mean_profit[joint]
