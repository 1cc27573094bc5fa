"""Algorithmic pricing: firms set prices from a grid again and again and remember the last ones.

The game of Calvano, Calzolari, Denicolò and Pastorello (AER 2020). A period pays the profits of a logit market
(`strategic_envs.games.pricing.logit`). The grid of firm i has m equally spaced prices from
`p_i^N - xi (p_i^M - p_i^N)` to `p_i^M + xi (p_i^M - p_i^N)`, between and a little beyond Nash and monopoly prices,
which are not on it. A state is what everybody charged in the last k periods. Where play ends is told by the *profit
gain*

    Delta = mean_i (pi_i - pi_i^N) / (pi_i^M - pi_i^N),

0 at Nash and 1 at monopoly profits. On the baseline grid the two pure equilibria of the stage game have -.024 and .117,
and uniformly random prices already .497: no Delta means much without these.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.games.kinds.markov import MarkovGame, Outcomes
from strategic_envs.games.pricing.logit import LogitMarket
from strategic_envs.games.pricing.tables import PricingTables

__all__ = ["PricingGame", "pricing"]

_PAYOFF_LIMIT = 2**22  # joint prices whose profits are tabulated
_STATE_LIMIT = 2**62  # states are int64 codes
_LIST_LIMIT = 2**22  # initial states that are written out


class PricingGame(MarkovGame):
    """The repeated price game on a grid.

    A state code is a number in base m with one digit a firm and remembered period, all periods of firm 0 first, the
    latest of each firm first: `s = a_0 m + a_1` for two firms that remember one period.

    Args:
        market: Demand and costs.
        delta: The discount factor of all firms, in [0, 1).
        m: The number of prices on each firm's grid.
        xi: How far the grid reaches beyond Nash and monopoly prices, as a share of their distance.
        memory: How many periods k the firms remember; 0 makes the game stateless.
        bounds: The lowest and highest price of every firm's grid, instead of those that follow from `xi`.

    Raises:
        InvalidGameError: Naming the parameter that is not possible, what was got and what is expected.

    Example:
        >>> game = PricingGame(LogitMarket())
        >>> game.n_states, [round(float(p), 4) for p in game.grid[0, [0, -1]]], len(game.pure_nash())
        (225, [1.4277, 1.9702], 2)
    """

    name = "pricing"

    def __init__(
        self,
        market: LogitMarket,
        *,
        delta: float = 0.95,
        m: int = 15,
        xi: float = 0.1,
        memory: int = 1,
        bounds: tuple[float, float] | None = None,
    ) -> None:
        _check(market, delta, m, xi, memory, bounds)
        self.market, self.m, self.xi, self.memory, self.bounds = market, m, float(xi), memory, bounds
        self.discount = float(delta)
        self.n_actions = (m,) * market.n
        self.n_states = m ** (market.n * memory)
        nash, monopoly = market.nash.prices, market.monopoly.prices
        low, high = nash - xi * (monopoly - nash), monopoly + xi * (monopoly - nash)
        if bounds is not None:
            low, high = torch.full_like(low, bounds[0]), torch.full_like(high, bounds[1])
        steps = torch.arange(m, dtype=torch.float64) / (m - 1)
        self.grid: Float[Tensor, "n m"] = low.unsqueeze(-1) + steps * (high - low).unsqueeze(-1)
        self._payoffs: dict[torch.device, Tensor] = {}

    def __repr__(self) -> str:
        return f"PricingGame({self.market}, delta={self.discount}, m={self.m}, xi={self.xi}, memory={self.memory})"

    def prices(self, actions: Int[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """The prices that price indices stand for."""
        return self.grid.to(actions.device)[torch.arange(self.n_players, device=actions.device), actions]

    @functools.cached_property
    def payoff_table(self) -> Float[Tensor, "joint n"]:
        """Profits (float64) of all joint price indices, numbered row-major, firm 0 slowest.

        Raises:
            InvalidGameError: If there are too many joint prices for a table.
        """
        joint = self.m**self.n_players
        if joint > _PAYOFF_LIMIT:
            raise InvalidGameError(
                f"pricing: {joint:,} joint prices are more than a table of {_PAYOFF_LIMIT:,} rows holds: "
                "take fewer firms or a smaller grid m"
            )
        return self.market.profits(self.prices(_digits(torch.arange(joint), self.m, self.n_players)))

    def profits(self, actions: Int[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """What each firm earns in a period at these price indices, float64."""
        if self.m**self.n_players > _PAYOFF_LIMIT:
            return self.market.profits(self.prices(actions))
        if actions.device not in self._payoffs:
            self._payoffs[actions.device] = self.payoff_table.to(actions.device)
        return self._payoffs[actions.device][_number(actions, self.m)]

    def profit_gain(self, profits: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
        """Delta: the share of the way from Nash to monopoly profits, averaged over firms.

        Example:
            >>> game = PricingGame(LogitMarket())
            >>> round(float(game.profit_gain(game.profits(torch.tensor([13, 13])))), 4)
            0.9997
        """
        nash = self.market.nash.profits.to(profits.device)
        return ((profits - nash) / (self.market.monopoly.profits.to(profits.device) - nash)).mean(-1)

    # --- the rules -----------------------------------------------------------------------------------------------

    def initial(self) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
        """All histories of prices, equally likely.

        Raises:
            InvalidGameError: If there are too many to list; `sample_initial` draws from any number.
        """
        if self.n_states > _LIST_LIMIT:
            raise InvalidGameError(
                f"pricing: {self.n_states:,} initial states (m={self.m}, n={self.n_players}, memory={self.memory}) are "
                f"more than {_LIST_LIMIT:,}, too many to list: take a smaller grid m or a shorter memory"
            )
        return torch.arange(self.n_states), torch.full((self.n_states,), 1.0 / self.n_states, dtype=torch.float64)

    def sample_initial(self, batch: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
        return torch.randint(self.n_states, (batch,), generator=generator, device=generator.device)

    def outcomes(self, state: Int[Tensor, "*batch"], actions: Int[Tensor, "*batch n"]) -> Outcomes:
        state = state.expand(actions.shape[:-1])
        payoff = self.profits(actions)
        following = self._remember(state, actions)
        return Outcomes(following.unsqueeze(-1), torch.ones_like(payoff[..., :1]), payoff)

    def _remember(self, state: Tensor, actions: Tensor) -> Tensor:
        if self.memory == 0:
            return torch.zeros_like(state)
        own = _digits(state, self.m**self.memory, self.n_players)  # a firm's own history, latest period first
        own = own // self.m + actions * self.m ** (self.memory - 1)  # forget the oldest, put the newest in front
        return _number(own, self.m**self.memory)

    def remembered(self, state: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch n memory"]:
        """The price indices that a state stands for, latest period first.

        Example:
            >>> PricingGame(LogitMarket()).remembered(torch.tensor(3 * 15 + 7)).tolist()
            [[3], [7]]
        """
        flat = _digits(state, self.m, self.n_players * self.memory)
        return flat.reshape(*state.shape, self.n_players, self.memory)

    def observe(self, state: Int[Tensor, "*batch"], player: int) -> Float[Tensor, "*batch obs"]:
        """Every remembered price as a one-hot vector of m entries, the player's own first, then the next firms'.

        Without memory, the constant 1. (A network with a hidden layer represents every table over the states; one
        linear layer represents those whose logits add up over the remembered prices.)
        """
        if self.memory == 0:
            return torch.ones(*state.shape, 1, device=state.device)
        own_first = self.remembered(state).roll(-player, dims=-2)
        return torch.nn.functional.one_hot(own_first, self.m).to(torch.float32).flatten(-3)

    # --- what is known -------------------------------------------------------------------------------------------

    def frozen(self) -> PricingTables:
        """The game as tables for learners and evaluators.

        Raises:
            InvalidGameError: If the tables would be too large; the message says how large.
        """
        nash, monopoly = self.market.nash, self.market.monopoly
        return PricingTables(
            grid=self.grid.numpy(),
            profit=self.payoff_table.numpy()[None],
            chain=np.ones((1, 1)),
            present=np.ones((1, self.n_players), dtype=bool),
            delta=self.discount,
            memory=self.memory,
            nash_prices=nash.prices.numpy()[None],
            nash_profits=nash.profits.numpy(),
            monopoly_prices=monopoly.prices.numpy()[None],
            monopoly_profits=monopoly.profits.numpy(),
        )

    def pure_nash(self) -> list[tuple[int, ...]]:
        """The pure Nash equilibria of the one-period game on the grid, as price indices."""
        n, m = self.n_players, self.m
        table = self.payoff_table.reshape(*[m] * n, n)
        stable = torch.ones([m] * n, dtype=torch.bool)
        for i in range(n):
            stable &= table[..., i] == table[..., i].amax(dim=i, keepdim=True)
        return [tuple(row) for row in stable.nonzero().tolist()]

    def constant_policies(self, actions: Sequence[int]) -> tuple[Float[Tensor, "S A"], ...]:
        """The policies of firms that charge the same price index whatever happened."""
        if len(actions) != self.n_players or not all(0 <= a < self.m for a in actions):
            raise InvalidStrategyError(
                f"pricing: got price indices {list(actions)}, expected {self.n_players} of 0..{self.m - 1}, one a firm"
            )
        rows = torch.eye(self.m, dtype=torch.float64)
        return tuple(rows[a].expand(self.n_states, -1).clone() for a in actions)

    def known(self) -> Known:
        """Anchors of every firm, and the one-period game's pure equilibria (points are price indices)."""
        values = {"profit_gain_at_nash": 0.0, "profit_gain_at_monopoly": 1.0}
        for name, anchors in (("nash", self.market.nash), ("monopoly", self.market.monopoly)):
            for i in range(self.n_players):
                values[f"{name}_price_{i}"] = float(anchors.prices[i])
                values[f"{name}_profit_{i}"] = float(anchors.profits[i])
        equilibria: tuple[Equilibrium, ...] = ()
        if self.m**self.n_players <= _PAYOFF_LIMIT:
            uniform = self.payoff_table.mean(0)
            values["profit_gain_uniform"] = float(self.profit_gain(uniform))
            equilibria = tuple(Equilibrium.pure("nash", [float(a) for a in e], tolerance=0.0) for e in self.pure_nash())
        return Known(
            equilibria=equilibria,
            values=values,
            constants={"discount": self.discount, "states": float(self.n_states)},
            source="Calvano, Calzolari, Denicolò and Pastorello, AER 110(10), 2020; anchors by closed form",
            note="Equilibria are price indices of the one-period game; repeated in every state they are equilibria of "
            "the whole game, which has many others, collusive ones among them.",
        )


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
    bounds: tuple[float, float] | None = None,
) -> PricingGame:
    """The pricing game from plain numbers; the arguments are those of `LogitMarket` and `PricingGame`.

    Example:
        >>> pricing(n=3, m=5).n_states
        125
    """
    market = LogitMarket(n=n, cost=cost, quality=quality, outside=outside, mu=mu)
    return PricingGame(market, delta=delta, m=m, xi=xi, memory=memory, bounds=bounds)


def _digits(number: Tensor, base: int, count: int) -> Tensor:
    """The digits `(*batch, count)` of numbers in a base, most significant first."""
    powers = torch.tensor([base**j for j in reversed(range(count))], dtype=torch.int64, device=number.device)
    return number.unsqueeze(-1) // powers % base


def _number(digits: Tensor, base: int) -> Tensor:
    """The numbers whose digits `(*batch, count)` these are."""
    count = digits.shape[-1]
    powers = torch.tensor([base**j for j in reversed(range(count))], dtype=torch.int64, device=digits.device)
    return (digits * powers).sum(-1)


def _check(market: object, delta: float, m: int, xi: float, memory: int, bounds: Sequence[float] | None) -> None:
    if not isinstance(market, LogitMarket):
        raise InvalidGameError(f"pricing: got market={market!r}, expected a LogitMarket: LogitMarket(n=2), for example")
    if isinstance(delta, bool) or not isinstance(delta, int | float) or not 0 <= delta < 1:
        raise InvalidGameError(f"pricing: got delta={delta!r}, expected a discount factor 0 <= delta < 1")
    if isinstance(m, bool) or not isinstance(m, int) or m < 2:
        raise InvalidGameError(f"pricing: got m={m!r} prices, expected a whole number m >= 2")
    if isinstance(xi, bool) or not isinstance(xi, int | float) or not -0.5 < xi < math.inf:
        raise InvalidGameError(f"pricing: got xi={xi!r}, expected a finite number xi > -0.5 (0.1 in the baseline)")
    if isinstance(memory, bool) or not isinstance(memory, int) or memory < 0:
        raise InvalidGameError(f"pricing: got memory={memory!r}, expected a whole number of periods >= 0")
    pair = isinstance(bounds, Sequence) and len(bounds) == 2 and all(isinstance(b, int | float) for b in bounds)
    if bounds is not None and not (pair and -math.inf < bounds[0] < bounds[1] < math.inf):
        raise InvalidGameError(f"pricing: got bounds={bounds!r}, expected two prices (low, high) with low < high")
    if bounds is None and market.n == 1:
        raise InvalidGameError(
            "pricing: one firm alone has the same Nash and monopoly price, so its grid has no width: "
            "pass bounds=(low, high)"
        )
    states = m ** (market.n * memory)
    if states > _STATE_LIMIT:
        raise InvalidGameError(
            f"pricing: m={m} prices, n={market.n} firms and memory={memory} make about 10^{int(math.log10(states))} "
            f"states, more than {_STATE_LIMIT:,}: take a smaller grid, fewer firms or a shorter memory"
        )
