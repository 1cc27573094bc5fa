"""Algorithmic pricing: firms set prices from a grid again and again and remember the last ones.

The game of Calvano, Calzolari, Denicolò and Pastorello (AER 2020). A period pays the profits of a market (logit demand
in the baseline). The grid of firm i has m equally spaced prices from `p_i^N - xi (p_i^M - p_i^N)` to
`p_i^M + xi (p_i^M - p_i^N)`, between and a little beyond Nash and monopoly prices, which are not on it. A state is what
everybody charged in the last k periods. Where play ends is told by the *profit gain*

    Delta = (mean_i pi_i - mean_i pi_i^N) / (mean_i pi_i^M - mean_i pi_i^N),

0 at Nash and 1 at monopoly profits. On the baseline grid the two pure equilibria of the stage game have -.024 and .117,
and uniformly random prices already .497: no Delta means much without these.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.known import Known
from strategic_envs.games.kinds.markov import MarkovGame, Outcomes
from strategic_envs.games.pricing import grids
from strategic_envs.games.pricing.checks import check_options, market_states, state_count
from strategic_envs.games.pricing.codes import digits, number
from strategic_envs.games.pricing.facts import known_facts
from strategic_envs.games.pricing.market import Market
from strategic_envs.games.pricing.tables import PricingTables

__all__ = ["PricingGame"]

_PAYOFF_LIMIT = 2**22  # joint prices whose profits are tabulated
_LIST_LIMIT = 2**22  # initial states that are written out
_DECIMALS = 5  # of the authors' anchors


class PricingGame(MarkovGame):
    """The repeated price game on a grid.

    A state code is a number in base m with one digit a firm and remembered period, all periods of firm 0 first, the
    latest of each firm first: `s = a_0 m + a_1` for two firms that remember one period. Where a firm may be absent the
    base is m + 1, and the digit m says that it was.

    Nobody sees this period's demand, or who is present, when prices are set. `outcomes` therefore pays expected profits
    over what the state does not tell; `step` draws, and pays what was drawn.

    Args:
        market: Demand and costs.
        delta: The discount factor of all firms, in [0, 1).
        m: The number of prices on each firm's grid.
        xi: How far the grid reaches beyond Nash and monopoly prices, as a share of their distance.
        memory: How many periods k the firms remember; 0 makes the game stateless.
        bounds: The lowest and highest price of every firm's grid, instead of those that follow from `xi`; None for one
            of them leaves that end as it is.
        shock: Random demand: each period a_0 is raised by -shock, 0 or shock, equally likely; or the rises themselves.
        rho: Entry and exit: before each period the last firm enters or leaves with this probability.
        anchors: `"exact"`, or `"rounded"` for Nash and monopoly prices of five decimals and a grid that is summed up
            step by step, as in the authors' program, which replaying their sessions needs.

    Raises:
        InvalidGameError: Naming the parameter that is not possible, what was got and what is expected.

    Example:
        >>> from strategic_envs.games.pricing.logit import LogitMarket
        >>> game = PricingGame(LogitMarket())
        >>> game.n_states, [round(float(p), 4) for p in game.grid[0, [0, -1]]], len(game.pure_nash())
        (225, [1.4277, 1.9702], 2)
    """

    name = "pricing"

    def __init__(
        self,
        market: Market,
        *,
        delta: float = 0.95,
        m: int = 15,
        xi: float = 0.1,
        memory: int = 1,
        bounds: Sequence[float | None] | None = None,
        shock: float | Sequence[float] | None = None,
        rho: float | None = None,
        anchors: str = "exact",
    ) -> None:
        check_options(market, delta, m, xi, memory, bounds, anchors)
        self.market, self.m, self.xi, self.memory, self.bounds = market, m, float(xi), memory, bounds
        self.shock, self.rho, self.anchors = shock, rho, anchors
        self.discount = float(delta)
        self.states = market_states(market, shock, rho, memory)
        self.n_actions = (m,) * market.n
        self.base = m + int(self.states.comes_and_goes)
        self.n_states = state_count(self.base, market.n, memory)
        self.grid: Float[Tensor, "n m"] = torch.from_numpy(self._prices_of_grid())
        self._payoffs: dict[torch.device, Tensor] = {}

    def _prices_of_grid(self) -> Float[np.ndarray, "n m"]:
        nash, monopoly = self._anchors("nash")[0], self._anchors("monopoly")[0]
        floor = 0.0 if max(self.market.costs) == 0.0 else None  # prices below zero are none
        ends = grids.grid_ends(nash, monopoly, self.xi, self.bounds, floor)
        return (grids.accumulated_grid if self.anchors == "rounded" else grids.even_grid)(ends, self.m)

    def _anchors(self, kind: str) -> tuple[Float[np.ndarray, "D n"], Float[np.ndarray, "D n"]]:
        """Prices and profits by market state."""
        return self.states.anchors(kind, _DECIMALS if self.anchors == "rounded" else None)

    def __repr__(self) -> str:
        more = [f"{k}={getattr(self, k)}" for k in ("bounds", "shock", "rho") if getattr(self, k) is not None]
        more += ["anchors='rounded'"] if self.anchors == "rounded" else []
        plain = f"delta={self.discount}, m={self.m}, xi={self.xi}, memory={self.memory}"
        return f"PricingGame({', '.join([str(self.market), plain, *more])})"

    def prices(self, actions: Int[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """The prices that price indices stand for."""
        return self.grid.to(actions.device)[torch.arange(self.n_players, device=actions.device), actions]

    # --- profits -------------------------------------------------------------------------------------------------

    @functools.cached_property
    def profit_tables(self) -> Float[Tensor, "D joint n"]:
        """Profits (float64) by market state, of all joint price indices, numbered row-major, firm 0 slowest.

        Raises:
            InvalidGameError: If there are too many joint prices for a table.
        """
        joint = self.m**self.n_players
        if joint > _PAYOFF_LIMIT:
            raise InvalidGameError(
                f"pricing: {joint:,} joint prices are more than a table of {_PAYOFF_LIMIT:,} rows holds: "
                "take fewer firms or a smaller grid m"
            )
        prices = self.prices(digits(torch.arange(joint), self.m, self.n_players))
        return torch.stack([self.states.profits(prices, d) for d in range(len(self.states.markets))])

    @property
    def payoff_table(self) -> Float[Tensor, "joint n"]:
        """Expected profits of all joint price indices: over market states, in their long-run shares."""
        return self._mean(self.profit_tables)

    def _mean(self, profits: Float[Tensor, "D *batch n"]) -> Float[Tensor, "*batch n"]:
        share = torch.from_numpy(self.states.share).to(profits.device)
        return profits[0] if len(share) == 1 else torch.einsum("d,d...->...", share, profits)

    def profits_by_state(self, actions: Int[Tensor, "*batch n"]) -> Float[Tensor, "D *batch n"]:
        """What each firm earns in a period at these price indices, in each market state."""
        if self.m**self.n_players > _PAYOFF_LIMIT:
            prices = self.prices(actions)
            return torch.stack([self.states.profits(prices, d) for d in range(len(self.states.markets))])
        if actions.device not in self._payoffs:
            self._payoffs[actions.device] = self.profit_tables.to(actions.device)
        return self._payoffs[actions.device][:, number(actions, self.m)]

    def profits(self, actions: Int[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """What each firm earns in a period at these price indices, float64.

        With several market states, on average over them in their long-run shares.
        """
        return self._mean(self.profits_by_state(actions))

    def profit_gain(self, profits: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
        """Delta: the share of the way from Nash to monopoly profits, all firms' profits taken together.

        Example:
            >>> from strategic_envs.games.pricing import pricing
            >>> game = pricing()
            >>> round(float(game.profit_gain(game.profits(torch.tensor([13, 13])))), 4)
            0.9997
        """
        nash, monopoly = (float(self.mean_anchor(kind).sum()) for kind in ("nash", "monopoly"))
        return (profits.sum(-1) - nash) / (monopoly - nash)

    def mean_anchor(self, kind: str) -> Float[np.ndarray, " n"]:
        """Profits at `"nash"` or `"monopoly"`, averaged over market states in their long-run shares."""
        profits = self._anchors(kind)[1]
        return profits[0] if len(profits) == 1 else self.states.share @ profits

    # --- the rules -----------------------------------------------------------------------------------------------

    def initial(self) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
        """All histories of prices, equally likely; a firm that comes and goes is absent in its long-run share of them.

        Raises:
            InvalidGameError: If there are too many to list; `sample_initial` draws from any number.
        """
        if self.n_states > _LIST_LIMIT:
            raise InvalidGameError(
                f"pricing: {self.n_states:,} initial states (m={self.m}, n={self.n_players}, memory={self.memory}) are "
                f"more than {_LIST_LIMIT:,}, too many to list: take a smaller grid m or a shorter memory"
            )
        if not self.states.comes_and_goes:
            return torch.arange(self.n_states), torch.full((self.n_states,), 1 / self.n_states, dtype=torch.float64)
        left = self.remembered(torch.arange(self.n_states))
        chance = torch.full((self.n_players, self.m + 1), 1 / self.m, dtype=torch.float64)
        chance[:, self.m] = torch.from_numpy(self._absence)
        chance[:, : self.m] *= 1 - chance[:, self.m :]
        probability = chance[torch.arange(self.n_players).unsqueeze(-1), left].prod(-1).prod(-1)
        possible = probability > 0
        return possible.nonzero().squeeze(-1), probability[possible]

    @property
    def _absence(self) -> Float[np.ndarray, " n"]:
        """In which share of all periods each firm is absent."""
        return self.states.share @ ~self.states.present  # exactly 0 for those that stay

    def sample_initial(self, batch: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
        if not self.states.comes_and_goes:
            return torch.randint(self.n_states, (batch,), generator=generator, device=generator.device)
        shape, device = (batch, self.n_players, self.memory), generator.device
        left = torch.randint(self.m, shape, generator=generator, device=device)
        uniform = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
        absent = uniform < torch.from_numpy(self._absence).to(device).unsqueeze(-1)
        return number(torch.where(absent, self.m, left).flatten(-2), self.base)

    def market_chances(self, state: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch D"]:
        """How likely each market state is in the coming period, given what the state of the game tells."""
        chain = torch.from_numpy(self.states.chain).to(state.device)
        if not self.states.comes_and_goes:
            return chain[0].expand(*state.shape, -1)
        was_absent = state // self.base ** (self.memory - 1) % self.base == self.m  # the last firm's latest digit
        return chain[was_absent.long()]

    def period(
        self, state: Int[Tensor, "*batch"], actions: Int[Tensor, "*batch n"], market: Int[Tensor, "*batch"]
    ) -> tuple[Int[Tensor, "*batch"], Float[Tensor, "*batch n"]]:
        """The next state and the profits of a period in which this market state rules."""
        profit = self.profits_by_state(actions).movedim(0, -2)
        rows = market.reshape(*market.shape, 1, 1).expand(*actions.shape[:-1], 1, self.n_players)
        return self._remember(state, self._left(actions, market)), profit.gather(-2, rows).squeeze(-2)

    def _left(self, actions: Tensor, market: Tensor) -> Tensor:
        """What firms leave in the state: their price index, or m where they are absent."""
        if not self.states.comes_and_goes:
            return actions
        here = torch.from_numpy(self.states.present).to(actions.device)[market]
        return torch.where(here, actions, self.m)

    def outcomes(self, state: Int[Tensor, "*batch"], actions: Int[Tensor, "*batch n"]) -> Outcomes:
        state = state.expand(actions.shape[:-1])
        profit, chances = self.profits_by_state(actions), self.market_chances(state)
        payoff = profit[0] if len(profit) == 1 else torch.einsum("...d,d...n->...n", chances, profit)
        if not self.states.comes_and_goes:
            return Outcomes(self._remember(state, actions).unsqueeze(-1), torch.ones_like(payoff[..., :1]), payoff)
        following = [self._remember(state, self._left(actions, torch.full_like(state, d))) for d in range(len(profit))]
        return Outcomes(torch.stack(following, -1), chances, payoff)

    def step(
        self, state: Int[Tensor, "*batch"], actions: Int[Tensor, "*batch n"], generator: torch.Generator
    ) -> tuple[Int[Tensor, "*batch"], Float[Tensor, "*batch n"]]:
        if len(self.states.markets) == 1:
            return super().step(state, actions, generator)
        chances = self.market_chances(state)
        flat = chances.reshape(-1, chances.shape[-1])
        market = torch.multinomial(flat, 1, replacement=True, generator=generator).reshape(state.shape)
        return self.period(state, actions, market)

    def _remember(self, state: Tensor, left: Tensor) -> Tensor:
        if self.memory == 0:
            return torch.zeros_like(state)
        own = digits(state, self.base**self.memory, self.n_players)  # a firm's own history, latest period first
        own = own // self.base + left * self.base ** (self.memory - 1)  # forget the oldest, put the newest in front
        return number(own, self.base**self.memory)

    def remembered(self, state: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch n memory"]:
        """The price indices that a state stands for, latest period first; m where a firm was absent.

        Example:
            >>> from strategic_envs.games.pricing import pricing
            >>> pricing().remembered(torch.tensor(3 * 15 + 7)).tolist()
            [[3], [7]]
        """
        return digits(state, self.base, self.n_players * self.memory).reshape(*state.shape, self.n_players, self.memory)

    def observe(self, state: Int[Tensor, "*batch"], player: int) -> Float[Tensor, "*batch obs"]:
        """Every remembered price as a one-hot vector, the player's own first, then the next firms'.

        A vector has m entries, or m + 1 where a firm may be absent. Without memory, the constant 1. (A network with a
        hidden layer represents every table over the states; one linear layer represents those whose logits add up over
        the remembered prices.)
        """
        if self.memory == 0:
            return torch.ones(*state.shape, 1, device=state.device)
        own_first = self.remembered(state).roll(-player, dims=-2)
        return torch.nn.functional.one_hot(own_first, self.base).to(torch.float32).flatten(-3)

    # --- what is known -------------------------------------------------------------------------------------------

    def frozen(self) -> PricingTables:
        """The game as tables for learners and evaluators.

        Raises:
            InvalidGameError: If they, or the Q tables of one session on them, would not fit in memory; the message says
                how large they would be.
        """
        (nash_prices, _), (monopoly_prices, _) = self._anchors("nash"), self._anchors("monopoly")
        tables = PricingTables(
            grid=self.grid.numpy(),
            profit=self.profit_tables.numpy(),
            chain=self.states.chain,
            present=self.states.present,
            delta=self.discount,
            memory=self.memory,
            nash_prices=nash_prices,
            nash_profits=self.mean_anchor("nash"),
            monopoly_prices=monopoly_prices,
            monopoly_profits=self.mean_anchor("monopoly"),
            exact=self.anchors == "exact",
        )
        tables.check_size()
        return tables

    def pure_nash(self) -> list[tuple[int, ...]]:
        """The pure Nash equilibria of the one-period game on the grid, as price indices; of expected profits."""
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
        return known_facts(self, tabulated=self.m**self.n_players <= _PAYOFF_LIMIT)
