"""What a pricing game refuses, and the market states that its options make."""

from __future__ import annotations

import math
from collections.abc import Sequence

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.pricing.market import Market, is_number, whole
from strategic_envs.games.pricing.states import MarketStates, constant, entry_and_exit, random_demand

__all__ = ["check_options", "market_states", "state_count"]

_LIMIT = 2**62  # states are int64 codes


def market_states(market: Market, shock: object, rho: float | None, memory: int) -> MarketStates:
    """The market states of these options."""
    if shock is not None and rho is not None:
        raise InvalidGameError(
            f"pricing: got shock={shock!r} and rho={rho!r}, which do not go together: take one of the two"
        )
    if rho is not None and memory == 0:
        raise InvalidGameError(
            f"pricing: got rho={rho!r} and memory=0, which do not go together: firms see who was absent in the periods "
            "that they remember, so take memory >= 1"
        )
    if rho is not None:
        return entry_and_exit(market, rho)
    return constant(market) if shock is None else random_demand(market, shock)  # pyright: ignore[reportArgumentType]


def state_count(base: int, n: int, memory: int) -> int:
    """The number of states, if int64 numbers can count them."""
    states = base ** (n * memory)
    if states > _LIMIT:
        raise InvalidGameError(
            f"pricing: {base} entries a firm and period, n={n} firms and memory={memory} make about "
            f"10^{int(math.log10(states))} states, more than {_LIMIT:,}: take a smaller grid, fewer firms or a "
            "shorter memory"
        )
    return states


def check_options(
    market: object, delta: float, m: int, xi: float, memory: int, bounds: Sequence[float | None] | None, anchors: str
) -> None:
    """Refuses what makes no game."""
    if not isinstance(market, Market):
        raise InvalidGameError(f"pricing: got market={market!r}, expected a market: LogitMarket(n=2), for example")
    if not is_number(delta) or not 0 <= delta < 1:
        raise InvalidGameError(f"pricing: got delta={delta!r}, expected a discount factor 0 <= delta < 1")
    if not whole(m, 2):
        raise InvalidGameError(f"pricing: got m={m!r} prices, expected a whole number m >= 2")
    if not is_number(xi) or xi <= -0.5:
        raise InvalidGameError(f"pricing: got xi={xi!r}, expected a finite number xi > -0.5 (0.1 in the baseline)")
    if not whole(memory, 0):
        raise InvalidGameError(f"pricing: got memory={memory!r}, expected a whole number of periods >= 0")
    if bounds is not None and not _are_bounds(bounds):
        raise InvalidGameError(
            f"pricing: got bounds={bounds!r}, expected two prices (low, high) with low < high, or None for one of them"
        )
    if anchors not in ("exact", "rounded"):
        raise InvalidGameError(f"pricing: got anchors={anchors!r}, expected 'exact' or 'rounded'")


def _are_bounds(bounds: object) -> bool:
    if not isinstance(bounds, Sequence) or len(bounds) != 2 or not all(b is None or is_number(b) for b in bounds):
        return False
    low, high = bounds
    return low is None or high is None or low < high
