"""Every variant of the pricing game from plain options."""

from __future__ import annotations

from collections.abc import Sequence

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.pricing.game import PricingGame
from strategic_envs.games.pricing.homogeneous import HomogeneousMarket
from strategic_envs.games.pricing.linear import LinearMarket
from strategic_envs.games.pricing.logit import LogitMarket
from strategic_envs.games.pricing.market import Market, check_firms, is_number, per_firm

__all__ = ["market_of", "pricing"]

Numbers = float | Sequence[float]


def pricing(
    *,
    n: int = 2,
    cost: float | Sequence[float] = 1.0,
    quality: float | Sequence[float] = 2.0,
    outside: float = 0.0,
    mu: float = 0.25,
    delta: float = 0.95,
    m: int = 15,
    xi: float = 0.1,
    memory: int = 1,
    bounds: Sequence[float | None] | None = None,
    demand: str = "logit",
    g: float | None = None,
    shock: float | Sequence[float] | None = None,
    rho: float | None = None,
    anchors: str = "exact",
) -> PricingGame:
    """The pricing game from plain options: the baseline of Calvano et al. (2020) and all its variants.

    Args:
        n: The number of firms.
        cost: Marginal cost c_i, one number for all firms or one a firm.
        quality: Quality a_i, one number or one a firm.
        outside: Quality a_0 of buying nothing.
        mu: Horizontal differentiation; 0 makes the goods perfect substitutes (Bertrand competition).
        delta: The discount factor, in [0, 1).
        m: The number of prices a firm, at least 2.
        xi: How far grids reach beyond Nash and monopoly prices, as a share of their distance.
        memory: How many periods k firms remember.
        bounds: Lowest and highest price of all grids; None for one of them keeps that of `xi`: `(0.99, None)`.
        demand: `"logit"`, or `"linear"` (Singh and Vives; two firms, no costs, with `g`).
        g: With linear demand, how well one good replaces the other, in [0, 1); 0.5 if not given.
        shock: Random demand: a_0 is raised by -shock, 0 or shock each period; or a sequence of equally likely rises.
        rho: Entry and exit: the last firm enters or leaves before a period with this probability.
        anchors: `"rounded"` for the authors' anchors of five decimals and their way to fill the grid.

    Raises:
        InvalidGameError: Naming the option that is not possible, or those that do not go together.

    Example:
        >>> pricing(n=3, m=5).n_states, pricing(n=3, m=5, rho=0.001).n_states
        (125, 216)
        >>> pricing(demand="linear", g=0.5).market
        LinearMarket(g=0.5, n=2)
        >>> [round(float(p), 6) for p in pricing(mu=0.0).grid[0, [0, -1]]]
        [0.9, 2.1]
    """
    market = market_of(n=n, cost=cost, quality=quality, outside=outside, mu=mu, demand=demand, g=g)
    return PricingGame(
        market, delta=delta, m=m, xi=xi, memory=memory, bounds=bounds, shock=shock, rho=rho, anchors=anchors
    )


def market_of(
    *,
    n: int = 2,
    cost: float | Sequence[float] = 1.0,
    quality: float | Sequence[float] = 2.0,
    outside: float = 0.0,
    mu: float = 0.25,
    demand: str = "logit",
    g: float | None = None,
) -> Market:
    """The market of these options; the arguments are those of `pricing`.

    Raises:
        InvalidGameError: Naming the option that is not possible, or those that do not go together.

    Example:
        >>> market_of(mu=0.0).monopoly.prices.tolist()
        [2.0, 2.0]
    """
    if demand == "linear":
        given = {"cost": (cost, (1.0, 0.0)), "quality": (quality, (2.0,))}
        given |= {"outside": (outside, (0.0,)), "mu": (mu, (0.25,))}
        extra = [k for k, (value, defaults) in given.items() if value not in defaults]
        if extra:
            raise InvalidGameError(
                f"pricing: got demand='linear' and {', '.join(f'{k}={given[k][0]!r}' for k in extra)}, which do not go "
                "together: linear demand has no costs and one parameter, g"
            )
        return LinearMarket(n=n) if g is None else LinearMarket(g=g, n=n)
    if demand != "logit":
        raise InvalidGameError(f"pricing: got demand={demand!r}, expected 'logit' or 'linear'")
    if g is not None:
        raise InvalidGameError(
            f"pricing: got g={g!r} and demand='logit', which do not go together: take "
            "demand='linear', or mu instead of g"
        )
    if is_number(mu) and mu == 0:
        return _perfect_substitutes(n, cost, quality, outside)
    return LogitMarket(n=n, cost=cost, quality=quality, outside=outside, mu=mu)


def _perfect_substitutes(n: int, cost: Numbers, quality: Numbers, outside: float) -> HomogeneousMarket:
    """The limit of logit demand as mu falls to 0."""
    check_firms(n)
    costs, qualities = per_firm("cost", cost, n), per_firm("quality", quality, n)
    if len(set(costs)) > 1 or len(set(qualities)) > 1:
        raise InvalidGameError(
            f"pricing: got mu=0 with cost={cost!r} and quality={quality!r}, which do not go together: perfect "
            "substitutes need equal costs and equal qualities"
        )
    if not is_number(outside):
        raise InvalidGameError(f"pricing: got outside={outside!r}, expected a finite number (0.0 in the baseline)")
    return HomogeneousMarket(n=n, cost=costs[0], reservation=qualities[0] - outside)
