"""The PettingZoo face of a pricing game whose prices are any numbers in an interval, not the entries of a grid.

Demand is the game's own, off the grid. Observations are the prices of the last periods, as numbers.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from strategic_envs.envs.faces.markov import MarkovParallelEnv
from strategic_envs.errors import InvalidGameError, OutOfBoundsActionError
from strategic_envs.games.pricing import PricingGame, PricingTables
from strategic_envs.games.pricing.market import is_number

__all__ = ["ContinuousPricesEnv"]

_SLACK = 1e-6  # relative: prices that float32 has rounded over an end of their interval


class ContinuousPricesEnv(MarkovParallelEnv):
    """A pricing game with continuous prices as a parallel environment.

    The interval of each firm's prices is that of its grid. Everybody observes the prices of the last k periods, the own
    ones first, the latest of each firm first; at the beginning they are drawn uniformly. (Without memory, the constant
    1.) Units as in Fish, Gonczarowski and Shorrer (2024): with `scale` A and `customers` N a firm that charges P sells
    N times the share of the market at the price P / A, and its cost is A times c; N = 100 and A of 1, 3.2 or 10 there.

    Args:
        game: The game: its market, memory, random demand and the ends of its grids.
        max_cycles: Periods in an episode.
        scale: How many units of money are 1 in the game's prices.
        customers: How many customers there are.
        render_mode: `"ansi"` returns the period as text, `"human"` prints it.

    Raises:
        InvalidGameError: If an option has no meaning, or does not go with continuous prices.
    """

    metadata: ClassVar[dict[str, Any]] = {**MarkovParallelEnv.metadata, "name": "duopoly_pricing_v0"}
    game: PricingGame

    def __init__(
        self,
        game: PricingGame,
        *,
        max_cycles: int = 100,
        scale: float = 1.0,
        customers: float = 1.0,
        render_mode: str | None = None,
    ) -> None:
        for name, value in (("scale", scale), ("customers", customers)):
            if not is_number(value) or value <= 0:
                raise InvalidGameError(f"pricing: got {name}={value!r}, expected a finite number > 0")
        if game.states.comes_and_goes:
            raise InvalidGameError(
                f"pricing: got rho={game.rho!r} and actions='continuous', which do not go together: an absent firm has "
                "no price to observe; leave rho out, or take actions='grid'"
            )
        super().__init__(game, max_cycles=max_cycles, render_mode=render_mode)
        self.scale, self.customers = float(scale), float(customers)
        ends = game.grid[:, [0, -1]].numpy() * self.scale
        self._low, self._high = ends.T  # float64, (n,)
        self._action_spaces = {a: self._box(*ends[i : i + 1].T) for i, a in enumerate(self.possible_agents)}
        shape = (max(1, game.n_players * game.memory),)
        low, high = (self._low.min(), self._high.max()) if game.memory else (0.0, 1.0)
        seen = self._box(np.full(shape, low), np.full(shape, high))
        self._observation_spaces = dict.fromkeys(self.possible_agents, seen)
        self.state_space = seen
        self._prices = np.zeros((game.n_players, game.memory))
        self._market = 0

    @staticmethod
    def _box(low: NDArray[np.float64], high: NDArray[np.float64]) -> spaces.Box:
        return spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    def action_space(self, agent: str) -> spaces.Box:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._action_spaces[agent]  # pyright: ignore[reportReturnType]  # boxes here

    @property
    def state_row(self) -> int:
        """There is none.

        Raises:
            InvalidGameError: Always.
        """
        raise InvalidGameError("pricing: with actions='continuous' states are not rows of a table: take actions='grid'")

    def tables(self) -> PricingTables:
        """The game on its grid, as tables for evaluators: `exact` is False, for the grid stands for all prices."""
        return dataclasses.replace(self.game.frozen(), exact=False)

    def check_action(self, agent: str, action: object) -> float:
        """The price as a float, if the agent may charge it: a number, or an array with one.

        Raises:
            OutOfBoundsActionError: If it may not; the message says what was got and what was expected.
        """
        i = self.possible_agents.index(agent)
        low, high = float(self._low[i]), float(self._high[i])
        array = np.asarray(action)
        if array.dtype.kind not in "fiu" or array.shape not in ((), (1,)):
            raise OutOfBoundsActionError(
                f"{self.game.name}, {agent}: got {action!r} of dtype {array.dtype} and shape {array.shape}, "
                f"expected a price in [{low:.6g}, {high:.6g}], a float or a float array of shape (1,)"
            )
        price = float(array.reshape(()))
        slack = _SLACK * max(1.0, abs(low), abs(high))
        if not low - slack <= price <= high + slack:
            raise OutOfBoundsActionError(
                f"{self.game.name}, {agent}: got price {price!r}, expected a price in [{low:.6g}, {high:.6g}]"
            )
        return min(max(price, low), high)

    def _begin(self, stream: torch.Generator) -> None:
        shape = (self.game.n_players, self.game.memory)
        uniform = torch.rand(shape, generator=stream, dtype=torch.float64).numpy()
        self._prices = self._low[:, None] + uniform * (self._high - self._low)[:, None]

    def _advance(self, joint: list[float]) -> list[float]:
        chances = self.game.states.chain[0]
        self._market = self._draw(chances) if len(chances) > 1 else 0
        if self.game.memory:
            self._prices = np.concatenate([np.array(joint)[:, None], self._prices[:, :-1]], axis=1)
        profits = self.game.states.profits(torch.tensor(joint, dtype=torch.float64) / self.scale, self._market)
        return (profits * (self.scale * self.customers)).tolist()

    def _observe(self, player: int) -> NDArray[np.float32]:
        if self.game.memory == 0:
            return np.ones(1, dtype=np.float32)
        return np.roll(self._prices, -player, axis=0).astype(np.float32).ravel()

    def _infos(self, joint: list[float], rewards: list[float]) -> dict[str, dict[str, Any]]:
        sold = self._quantities(joint)
        gain = self._gain(rewards)
        said = {"prices": list(joint), "profit_gain": gain}
        if len(self.game.states.markets) > 1:
            said["market_state"] = self._market
        return {
            a: {"price": joint[i], "quantity": sold[i], **said, "prices": list(joint)}
            for i, a in enumerate(self.possible_agents)
        }

    def _quantities(self, joint: list[float]) -> list[float]:
        prices = torch.tensor(joint, dtype=torch.float64) / self.scale
        return (self.customers * self.game.states.markets[self._market].quantities(prices)).tolist()

    def _gain(self, rewards: list[float]) -> float:
        return float(self.game.profit_gain(torch.tensor(rewards, dtype=torch.float64) / (self.scale * self.customers)))

    def _describe(self, joint: list[float], rewards: list[float]) -> list[str]:
        rows = zip(self.possible_agents, joint, self._quantities(joint), rewards, strict=True)
        lines = [f"  {a} charged {p:.4f}, sold {q:.4f}, earned {r:.4f}" for a, p, q, r in rows]
        return [*lines, f"  profit gain {self._gain(rewards):.3f} (Nash 0, monopoly 1)"]
