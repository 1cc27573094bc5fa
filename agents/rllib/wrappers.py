"""PettingZoo environments as RLlib environments, for the new API stack.

RLlib has wrappers of its own. These differ where those fail: an episode ends also when one agent is terminated and
another truncated; the dictionaries that an environment returned are copied and never written to; agents keep the
environment's order, so modules are built in the same order in every process; every agent's own spaces are set; building
a wrapper draws no random number; and in a turn-based game everybody receives its reward at every step. An action that
misses its strategy set, as Gaussians miss a simplex, is projected on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv
from ray.rllib.env.multi_agent_env import MultiAgentEnv

__all__ = ["ParallelEnvForRLlib", "TurnBasedEnvForRLlib", "wrap"]

Returned = tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any], dict[Any, Any], dict[Any, Any]]


class _PettingZooForRLlib(MultiAgentEnv):
    """What both wrappers share: the agents in order, and each agent's spaces."""

    def __init__(self, env: Any) -> None:
        super().__init__()
        self.env = env
        self.possible_agents = list(env.possible_agents)
        self.agents = list(env.possible_agents)
        observed: dict[Any, Any] = {a: env.observation_space(a) for a in self.possible_agents}
        played: dict[Any, Any] = {a: env.action_space(a) for a in self.possible_agents}
        self.observation_spaces, self.action_spaces = dict(observed), dict(played)
        self.observation_space, self.action_space = spaces.Dict(observed), spaces.Dict(played)
        self.render_mode = getattr(env, "render_mode", None)
        self.metadata = dict(getattr(env, "metadata", None) or {})

    def _inside(self, agent: Any, action: Any) -> Any:
        """The action, projected where the action space is that of a strategy set."""
        strategies = getattr(self.get_action_space(agent), "strategy_set", None)
        if strategies is None:
            return action
        point = torch.as_tensor(np.asarray(action), dtype=torch.float64)
        return strategies.project(point).numpy().astype(np.float32)

    def render(self) -> Any:
        return self.env.render()

    def close(self) -> None:
        self.env.close()

    def _with_all(self, terminations: dict[Any, Any], truncations: dict[Any, Any]) -> None:
        """Notes whether the episode is over: when nobody is left, however each one ended."""
        over = not self.agents
        terminations["__all__"] = over and any(terminations.values())
        truncations["__all__"] = over and not terminations["__all__"]


class ParallelEnvForRLlib(_PettingZooForRLlib):
    """A PettingZoo parallel environment, in which all agents move at once.

    Args:
        env: The environment. It is not reset here.

    Example:
        >>> from strategic_envs.registry import make
        >>> env = ParallelEnvForRLlib(make("duopoly_pricing_v0", mode="parallel"))
        >>> observations, _ = env.reset(seed=0)
        >>> list(observations)
        ['player_0', 'player_1']
    """

    env: ParallelEnv[Any, Any, Any]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[Any, Any], dict[Any, Any]]:
        observations, infos = self.env.reset(seed=seed, options=options)
        self.agents = list(self.env.agents)
        return dict(observations), dict(infos or {})

    def step(self, action_dict: dict[Any, Any]) -> Returned:
        inside = {agent: self._inside(agent, action) for agent, action in action_dict.items()}
        observations, rewards, terminations, truncations, infos = (dict(part) for part in self.env.step(inside))
        self.agents = list(self.env.agents)
        self._with_all(terminations, truncations)
        return observations, rewards, terminations, truncations, infos


class TurnBasedEnvForRLlib(_PettingZooForRLlib):
    """A PettingZoo turn-based (AEC) environment.

    At each step the agent that must move next has an observation, and so has each agent that has ended, its final one.
    Rewards go to every agent at every step, so a player that loses by the other's move is told. RLlib forgets what an
    agent is paid before its first observation, so that is held back and paid one step later.

    Args:
        env: The environment. It is not reset here.

    Example:
        >>> from strategic_envs.registry import make
        >>> env = TurnBasedEnvForRLlib(make("tic_tac_toe_v0", mode="aec"))
        >>> observations, _ = env.reset(seed=0)
        >>> list(observations)
        ['player_0']
    """

    env: AECEnv[Any, Any, Any]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[Any, Any], dict[Any, Any]]:
        self.env.reset(seed=seed, options=options)
        self.agents = list(self.env.agents)
        mover = self.env.agent_selection
        self._unseen = dict.fromkeys((a for a in self.agents if a != mover), 0.0)
        self._owed: dict[Any, float] = {}
        return {mover: self.env.observe(mover)}, {mover: dict(self.env.infos.get(mover, {}))}

    def step(self, action_dict: dict[Any, Any]) -> Returned:
        mover = self.env.agent_selection
        self.env.step(self._inside(mover, action_dict[mover]))
        # Everything is read before an ended agent leaves: its leaving clears the rewards.
        rewards, terminations, truncations, infos = (
            dict(part) for part in (self.env.rewards, self.env.terminations, self.env.truncations, self.env.infos)
        )
        observations: dict[Any, Any] = {}
        while self.env.agents:
            agent = self.env.agent_selection
            observations[agent] = self.env.observe(agent)
            if not (self.env.terminations[agent] or self.env.truncations[agent]):
                break
            self.env.step(None)  # PettingZoo's way for an ended agent to leave
        self.agents = list(self.env.agents)
        self._with_all(terminations, truncations)
        if self.agents:
            self._hold_back(rewards, observations)
        return observations, rewards, terminations, truncations, {a: infos[a] for a in observations if a in infos}

    def _hold_back(self, rewards: dict[Any, Any], observations: dict[Any, Any]) -> None:
        for agent in list(self._owed):
            rewards[agent] = rewards.get(agent, 0.0) + self._owed.pop(agent)
        for agent in list(self._unseen):
            self._unseen[agent] += rewards.pop(agent, 0.0)
            rewards[agent] = 0.0
            if agent in observations:
                self._owed[agent] = self._unseen.pop(agent)


def wrap(env: Any) -> ParallelEnvForRLlib | TurnBasedEnvForRLlib:
    """The wrapper that fits a PettingZoo environment.

    Raises:
        TypeError: If the environment is neither parallel nor turn-based.

    Example:
        >>> from strategic_envs.registry import make
        >>> type(wrap(make("tic_tac_toe_v0", mode="aec"))).__name__
        'TurnBasedEnvForRLlib'
    """
    if isinstance(env, ParallelEnv):
        return ParallelEnvForRLlib(env)
    if isinstance(env, AECEnv):
        return TurnBasedEnvForRLlib(env)
    raise TypeError(
        f"got a {type(env).__name__}, expected a PettingZoo ParallelEnv or AECEnv: "
        "make one with strategic_envs.make(id, mode='parallel') or mode='aec'"
    )
