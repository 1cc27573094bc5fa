"""Two firms set prices in turn, and a price stands for two periods (Maskin and Tirole 1988; Klein 2021).

Only the firm whose turn it is acts: its action is an index on the price grid {0, 1/k, ..., 1}. Every step is a period
and pays both firms, 1 - p customers at the lower price p. A firm observes whether it is its turn, and the standing
price as a one-hot vector: the rival's where it is its turn, else its own. `infos` hold both prices. The environment is
turn-based only: there is nothing that both firms decide at once. See `strategic_envs.games.pricing.sequential`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from strategic_envs.envs.faces.alternating import AlternatingEnv
from strategic_envs.games.pricing.sequential import SequentialPricing, sequential_pricing

__all__ = ["MODES", "SUMMARY", "env", "game", "raw_env"]

SUMMARY = "Sequential pricing (Maskin and Tirole 1988, Klein 2021): firms take turns, a price stands for two periods."
MODES = ("aec",)


game = sequential_pricing  # the game itself, with all its options


class SequentialPricingEnv(AlternatingEnv):
    """The environment; see `raw_env`."""

    metadata: ClassVar[dict[str, Any]] = {**AlternatingEnv.metadata, "name": "sequential_pricing_v0"}
    game: SequentialPricing

    def _prices(self) -> dict[str, float]:
        """The prices of a period that was played: the mover's new one and the one that stood."""
        assert self._last is not None
        mover, new, _ = self._last
        prices = self.game.prices.tolist()
        return {a: prices[new] if a == mover else prices[self._stood] for a in self.possible_agents}

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        super().reset(seed, options)
        self._stood = self._stands = self.state_row % len(self.game.prices)

    def _infos(self, agent: str, action: int, rewards: list[float]) -> dict[str, dict[str, Any]]:
        self._stood, self._stands = self._stands, action
        prices = self._prices()
        return {a: {"price": p, "prices": list(prices.values()), "mover": agent} for a, p in prices.items()}

    def _describe(self, agent: str, action: int, rewards: list[float]) -> list[str]:
        rows = zip(self._prices().items(), rewards, strict=True)
        return [f"  {a} {'sets' if a == agent else 'keeps'} {p:.4f}, earns {r:.4f}" for (a, p), r in rows]


def raw_env(*, max_cycles: int = 100, render_mode: str | None = None, **options: Any) -> SequentialPricingEnv:
    """The turn-based environment without PettingZoo's wrapper.

    Args:
        max_cycles: How often each firm moves in an episode, which so has twice as many periods.
        render_mode: None, `"ansi"` or `"human"`.
        **options: Options of the game: `k`, the number of price steps, and `delta`, the discount factor.

    Raises:
        InvalidGameError: If an option has a value that makes no game.

    Example:
        >>> env = raw_env(k=6, render_mode="ansi")
        >>> env.reset(seed=1)
        >>> mover = env.agent_selection
        >>> env.step(3)
        >>> env.infos[mover]["price"], env.agent_selection != mover
        (0.5, True)
    """
    return SequentialPricingEnv(game(**options), max_cycles=max_cycles, render_mode=render_mode)


def env(**options: Any) -> OrderEnforcingWrapper[str, Any, Any]:
    """The environment in PettingZoo's order-enforcing wrapper; options as of `raw_env`."""
    return OrderEnforcingWrapper(raw_env(**options))
