"""Firms that set prices again and again: two of them, logit demand and 15 prices in the baseline.

An action is an index on the firm's own price grid, the reward is the period's profit, and everybody observes the last
prices as one-hot vectors, their own first. With `actions="continuous"` actions and observations are prices as floats.
`infos` hold everybody's prices and the profit gain Delta, which is 0 at Nash and 1 at monopoly profits. See
`strategic_envs.games.pricing` for the model, its variants and its known solutions.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from strategic_envs.envs.faces.aec import SimultaneousAEC
from strategic_envs.envs.faces.markov import MarkovParallelEnv
from strategic_envs.envs.faces.prices import ContinuousPricesEnv
from strategic_envs.errors import InvalidGameError
from strategic_envs.games.pricing import PricingGame, pricing

__all__ = ["MODES", "SUMMARY", "env", "game", "parallel_env", "raw_env"]

SUMMARY = "Algorithmic pricing (Calvano et al. 2020): n firms, a price grid or any prices, memory of past prices."
MODES = ("aec", "parallel")


game = pricing  # the game itself, with all its options


class DuopolyPricingEnv(MarkovParallelEnv):
    """The parallel environment; see `parallel_env`."""

    metadata: ClassVar[dict[str, Any]] = {**MarkovParallelEnv.metadata, "name": "duopoly_pricing_v0"}
    game: PricingGame

    def __init__(self, game: PricingGame, *, max_cycles: int = 100, render_mode: str | None = None) -> None:
        super().__init__(game, max_cycles=max_cycles, render_mode=render_mode)
        self._told: dict[
            tuple[int, ...], tuple[list[float | None], float]
        ] = {}  # prices and profit gain of joint actions
        self._market = 0  # the last period's market state
        self._random = len(game.states.markets) > 1

    def _advance(self, joint: list[int]) -> list[float]:
        """Where there are several market states, one is drawn, and its profits are paid."""
        if not self._random:
            return super()._advance(joint)
        state = torch.tensor(self._state)
        self._market = self._draw(self.game.market_chances(state).numpy())
        following, profits = self.game.period(state, torch.tensor(joint), torch.tensor(self._market))
        self._state = int(following)
        return profits.tolist()

    def _infos(self, joint: list[int], rewards: list[float]) -> dict[str, dict[str, Any]]:
        prices, gain = self._prices_and_gain(joint, rewards)
        infos: dict[str, dict[str, Any]] = {
            a: {"price": prices[i], "prices": list(prices), "profit_gain": gain}
            for i, a in enumerate(self.possible_agents)
        }
        if self._random:
            for said in infos.values():
                said["market_state"] = self._market
        return infos

    def _prices_and_gain(self, joint: list[int], rewards: list[float]) -> tuple[list[float | None], float]:
        """Everybody's price, None for an absent firm, and the profit gain of these rewards."""
        key = (self._market, *joint)
        if key not in self._told:
            here, prices = self.game.states.present[self._market], self.game.prices(torch.tensor(joint)).tolist()
            told = [p if there else None for p, there in zip(prices, here, strict=True)]
            self._told[key] = told, float(self.game.profit_gain(torch.tensor(rewards, dtype=torch.float64)))
        return self._told[key]

    def _describe(self, joint: list[int], rewards: list[float]) -> list[str]:
        prices, gain = self._prices_and_gain(joint, rewards)
        rows = zip(self.possible_agents, joint, prices, rewards, strict=True)
        lines = [
            f"  {a} was absent" if p is None else f"  {a} charged {p:.4f} (index {k}), earned {r:.4f}"
            for a, k, p, r in rows
        ]
        return [*lines, f"  profit gain {gain:.3f} (Nash 0, monopoly 1)"]


def parallel_env(
    *,
    max_cycles: int = 100,
    actions: str = "grid",
    scale: float = 1.0,
    customers: float = 1.0,
    render_mode: str | None = None,
    **options: Any,
) -> DuopolyPricingEnv | ContinuousPricesEnv:
    """The environment in which all firms set their prices at once.

    Args:
        max_cycles: Periods in an episode.
        actions: `"grid"`: whole numbers, the indices of prices on a grid; `"continuous"`: prices, any floats between
            0 and the upper end of the grid, or within `bounds` (`(None, None)`: the ends of the grid).
        scale: With continuous prices: how many units of money are 1 in the game's prices.
        customers: With continuous prices: how many customers there are.
        render_mode: None, `"ansi"` or `"human"`.
        **options: Options of the game: `n`, `cost`, `quality`, `outside`, `mu`, `delta`, `m`, `xi`, `memory`,
            `bounds`, `demand`, `g`, `shock`, `rho`, `anchors`; see `strategic_envs.games.pricing.pricing`.

    Raises:
        InvalidGameError: If an option has a value that makes no game, or options do not go together.

    Example:
        >>> env = parallel_env(max_cycles=3)
        >>> observations, infos = env.reset(seed=0)
        >>> observations, rewards, *_ , infos = env.step({"player_0": 7, "player_1": 7})
        >>> round(rewards["player_0"], 6), round(infos["player_0"]["profit_gain"], 4)
        (0.303901, 0.7068)
        >>> env = parallel_env(actions="continuous", scale=10.0, customers=100.0)
        >>> observations, infos = env.reset(seed=0)
        >>> observations, rewards, *_ = env.step({"player_0": 14.73, "player_1": 19.25})
        >>> observations["player_1"].tolist(), round(rewards["player_0"], 3)
        ([19.25, 14.729999542236328], 367.961)
    """
    if actions == "continuous":
        if options.get("bounds") is None:  # a price of 0 is legal: PettingZoo's own tests charge it
            options["bounds"] = (0.0, None)
        return ContinuousPricesEnv(
            game(**options), max_cycles=max_cycles, scale=scale, customers=customers, render_mode=render_mode
        )
    if actions != "grid":
        raise InvalidGameError(f"pricing: got actions={actions!r}, expected 'grid' or 'continuous'")
    if scale != 1.0 or customers != 1.0:
        raise InvalidGameError(
            f"pricing: got scale={scale!r}, customers={customers!r} and actions='grid', which do not go together: "
            "units are for continuous prices"
        )
    return DuopolyPricingEnv(game(**options), max_cycles=max_cycles, render_mode=render_mode)


def raw_env(**options: Any) -> SimultaneousAEC:
    """The same with firms acting in turn, unseen, without PettingZoo's wrapper; options as of `parallel_env`."""
    return SimultaneousAEC(parallel_env(**options))


def env(**options: Any) -> OrderEnforcingWrapper[str, Any, Any]:
    """The turn-by-turn environment in PettingZoo's order-enforcing wrapper; options as of `parallel_env`."""
    return OrderEnforcingWrapper(raw_env(**options))
