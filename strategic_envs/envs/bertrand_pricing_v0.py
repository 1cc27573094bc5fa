"""Firms that sell one good set prices at once, and nobody remembers (Asker, Fershtman and Pakes 2022, 2024).

One customer buys from the cheapest firm, at a price up to 10; firms with equal prices share. Firms have the cost 2 and
choose from the prices 0.1, 0.2, ..., 10. An action is an index on this grid, the reward is the period's profit, and the
observation says nothing. `infos` hold everybody's prices, and as `counterfactual` what a firm would have earned at each
price of its grid, the others' prices being what they were: a *synchronous* learner moves the values of all prices by
these, an *asynchronous* one only that of the price it charged (`strategic_envs.baselines.q_learning.counterfactual`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from strategic_envs.envs.duopoly_pricing_v0 import DuopolyPricingEnv
from strategic_envs.envs.faces.aec import SimultaneousAEC
from strategic_envs.games.pricing.bertrand import bertrand, counterfactual_profits

__all__ = ["MODES", "SUMMARY", "env", "game", "parallel_env", "raw_env"]

SUMMARY = "Bertrand pricing of one good without memory (Asker et al. 2022): infos tell profits at every other price."
MODES = ("aec", "parallel")


game = bertrand  # the game itself, with all its options


class BertrandPricingEnv(DuopolyPricingEnv):
    """The parallel environment; see `parallel_env`."""

    metadata: ClassVar[dict[str, Any]] = {**DuopolyPricingEnv.metadata, "name": "bertrand_pricing_v0"}

    def _infos(self, joint: list[int], rewards: list[float]) -> dict[str, dict[str, Any]]:
        others = counterfactual_profits(self.game, np.array(joint))
        infos = super()._infos(joint, rewards)
        return {a: {**info, "counterfactual": others[i]} for i, (a, info) in enumerate(infos.items())}


def parallel_env(*, max_cycles: int = 100, render_mode: str | None = None, **options: Any) -> BertrandPricingEnv:
    """The environment in which all firms set their prices at once.

    Args:
        max_cycles: Periods in an episode.
        render_mode: None, `"ansi"` or `"human"`.
        **options: Options of the game: `n`, `cost`, `reservation`, `m`, `delta`; see
            `strategic_envs.games.pricing.bertrand.bertrand`.

    Raises:
        InvalidGameError: If an option has a value that makes no game.

    Example:
        >>> env = parallel_env(m=5)
        >>> observations, infos = env.reset(seed=0)
        >>> *_, infos = env.step({"player_0": 4, "player_1": 2})
        >>> infos["player_0"]["counterfactual"].tolist()  # what it would have earned at 2, 4, 6, 8 and 10
        [0.0, 2.0, 2.0, 0.0, 0.0]
    """
    return BertrandPricingEnv(game(**options), max_cycles=max_cycles, render_mode=render_mode)


def raw_env(**options: Any) -> SimultaneousAEC:
    """The same with firms acting in turn, unseen, without PettingZoo's wrapper; options as of `parallel_env`."""
    return SimultaneousAEC(parallel_env(**options))


def env(**options: Any) -> OrderEnforcingWrapper[str, Any, Any]:
    """The turn-by-turn environment in PettingZoo's order-enforcing wrapper; options as of `parallel_env`."""
    return OrderEnforcingWrapper(raw_env(**options))
