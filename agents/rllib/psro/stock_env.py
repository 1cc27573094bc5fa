"""A player's environment while the others draw a frozen policy before every episode: what stock algorithms learn in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from strategic_envs import registry
from strategic_envs.envs.single_agent import SingleAgentEnv
from strategic_envs.seeding import numpy_stream

__all__ = ["MixtureEnv", "make_mixture_env"]


class MixtureEnv(SingleAgentEnv):
    """One learner against a mixture: the others' policies are drawn together, once an episode, and kept to its end.

    An action that misses its strategy set is projected on it, as our wrappers do.

    Args:
        env: A PettingZoo environment.
        player: Who learns.
        strategies: For each other player, in order, its strategies `(k, ...)`: tables, mixed strategies or points.
        choices: Which of them are drawn together `(c, others)`.
        weights: With which probabilities `(c,)`.

    Example:
        >>> from strategic_envs.envs import larger_number_v0
        >>> one, two = torch.eye(2).double()
        >>> env = MixtureEnv(larger_number_v0.parallel_env(n=2), 0, [torch.stack([one, two])], [[1]], [1.0])
        >>> _ = env.reset(seed=0)
        >>> env.step(0)[1]
        -1.0
    """

    def __init__(self, env: Any, player: int, strategies: Sequence[Any], choices: Any, weights: Any) -> None:
        super().__init__(env, player=player)
        others = [a for a in env.possible_agents if a != self.player]
        self._strategies = {a: np.asarray(s, dtype=np.float64) for a, s in zip(others, strategies, strict=True)}
        self._choices, self._cdf = np.asarray(choices), np.cumsum(np.asarray(weights, dtype=np.float64))
        self._lots = np.random.default_rng()
        self._states = hasattr(env.unwrapped, "state_row")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self._lots = numpy_stream(seed, "mixture")
        lot = int(np.searchsorted(self._cdf / self._cdf[-1], self._lots.random(), side="right"))
        drawn = self._choices[min(lot, len(self._cdf) - 1)]
        self._met = {a: s[k] for (a, s), k in zip(self._strategies.items(), drawn, strict=True)}
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        strategy_set = getattr(self.action_space, "strategy_set", None)
        if strategy_set is not None:
            action = strategy_set.project(torch.as_tensor(np.asarray(action), dtype=torch.float64)).numpy()
            action = action.astype(np.float32)
        return super().step(action)

    def _act(self, agent: str, seen: Any) -> Any:
        strategy = self._met[agent]
        if self._states:
            return self._draw(strategy[self._env.unwrapped.state_row], agent)
        if isinstance(self._spaces[agent], spaces.Discrete):
            return self._draw(strategy, agent)
        return strategy.astype(np.float32)


def make_mixture_env(config: Mapping[str, Any]) -> MixtureEnv:
    """Builds a `MixtureEnv` from plain values: its arguments, with an environment's id and options in place of one."""
    env = registry.make(config["environment"], **config["options"])
    return MixtureEnv(env, config["player"], config["strategies"], config["choices"], config["weights"])
