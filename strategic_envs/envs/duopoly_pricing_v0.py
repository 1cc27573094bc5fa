"""Firms that set prices again and again with logit demand: two of them and 15 prices in the baseline.

An action is an index on the firm's own price grid, the reward is the period's profit, and everybody observes the last
prices as one-hot vectors, their own first. `infos` hold everybody's prices and the profit gain Delta, which is 0 at
Nash and 1 at monopoly profits. See `strategic_envs.games.pricing` for the model and its known solutions.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from strategic_envs.envs.faces.aec import SimultaneousAEC
from strategic_envs.envs.faces.markov import MarkovParallelEnv
from strategic_envs.games.pricing import PricingGame, pricing

__all__ = ["MODES", "SUMMARY", "env", "game", "parallel_env", "raw_env"]

SUMMARY = "Algorithmic pricing with logit demand (Calvano et al. 2020): n firms, a price grid, memory of past prices."
MODES = ("aec", "parallel")


game = pricing  # the game itself, with all its options


class DuopolyPricingEnv(MarkovParallelEnv):
    """The parallel environment; see `parallel_env`."""

    metadata: ClassVar[dict[str, Any]] = {**MarkovParallelEnv.metadata, "name": "duopoly_pricing_v0"}
    game: PricingGame

    def __init__(self, game: PricingGame, *, max_cycles: int = 100, render_mode: str | None = None) -> None:
        super().__init__(game, max_cycles=max_cycles, render_mode=render_mode)
        self._told: dict[tuple[int, ...], tuple[list[float], float]] = {}  # prices and profit gain of joint actions

    def _infos(self, joint: list[int], rewards: list[float]) -> dict[str, dict[str, Any]]:
        prices, gain = self._prices_and_gain(joint, rewards)
        return {
            a: {"price": prices[i], "prices": list(prices), "profit_gain": gain}
            for i, a in enumerate(self.possible_agents)
        }

    def _prices_and_gain(self, joint: list[int], rewards: list[float]) -> tuple[list[float], float]:
        key = tuple(joint)
        if key not in self._told:
            prices = self.game.prices(torch.tensor(joint)).tolist()
            self._told[key] = prices, float(self.game.profit_gain(torch.tensor(rewards, dtype=torch.float64)))
        return self._told[key]

    def _describe(self, joint: list[int], rewards: list[float]) -> list[str]:
        prices, gain = self._prices_and_gain(joint, rewards)
        rows = zip(self.possible_agents, joint, prices, rewards, strict=True)
        lines = [f"  {a} charged {p:.4f} (index {k}), earned {r:.4f}" for a, k, p, r in rows]
        return [*lines, f"  profit gain {gain:.3f} (Nash 0, monopoly 1)"]


def parallel_env(*, max_cycles: int = 100, render_mode: str | None = None, **options: Any) -> DuopolyPricingEnv:
    """The environment in which all firms set their prices at once.

    Args:
        max_cycles: Periods in an episode.
        render_mode: None, `"ansi"` or `"human"`.
        **options: Options of the game: `n`, `cost`, `quality`, `outside`, `mu`, `delta`, `m`, `xi`, `memory`,
            `bounds`; see `strategic_envs.games.pricing.pricing`.

    Raises:
        InvalidGameError: If an option has a value that makes no game.

    Example:
        >>> env = parallel_env(max_cycles=3)
        >>> observations, infos = env.reset(seed=0)
        >>> observations, rewards, *_ , infos = env.step({"player_0": 7, "player_1": 7})
        >>> round(rewards["player_0"], 6), round(infos["player_0"]["profit_gain"], 4)
        (0.303901, 0.7068)
    """
    return DuopolyPricingEnv(game(**options), max_cycles=max_cycles, render_mode=render_mode)


def raw_env(**options: Any) -> SimultaneousAEC:
    """The same with firms acting in turn, unseen, without PettingZoo's wrapper; options as of `parallel_env`."""
    return SimultaneousAEC(parallel_env(**options))


def env(**options: Any) -> OrderEnforcingWrapper[str, Any, Any]:
    """The turn-by-turn environment in PettingZoo's order-enforcing wrapper; options as of `parallel_env`."""
    return OrderEnforcingWrapper(raw_env(**options))
