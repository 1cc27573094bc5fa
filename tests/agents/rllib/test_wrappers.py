"""The wrappers, on small environments that have each fault on which RLlib's own wrappers fail."""

from __future__ import annotations

import copy
import random
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from pettingzoo import AECEnv, ParallelEnv

pytest.importorskip("ray.rllib")

from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from ray.tune.registry import register_env

from strategic_envs.agents.rllib.wrappers import ParallelEnvForRLlib, TurnBasedEnvForRLlib, wrap

NAMES = ["zeta", "alpha", "mid"]  # neither sorted nor in any hash order


class Parallel(ParallelEnv[str, Any, Any]):
    """Three agents with spaces of their own; after `length` steps each ends in its own way."""

    metadata: ClassVar[dict[str, Any]] = {"name": "toy_parallel"}

    def __init__(self, endings: dict[str, str], length: int = 2) -> None:
        self.possible_agents, self.agents = list(NAMES), []
        self.endings, self.length, self.resets = endings, length, 0
        self.terminations: dict[str, bool] = {}
        self.truncations: dict[str, bool] = {}

    def observation_space(self, agent: str) -> Box:
        return Box(-1, 1, (1 + NAMES.index(agent),), np.float32)

    def action_space(self, agent: str) -> Discrete:
        return Discrete(2 + NAMES.index(agent))

    def _observe(self) -> dict[str, Any]:
        return {a: np.zeros(1 + NAMES.index(a), np.float32) for a in self.agents}

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.resets += 1
        self.agents, self.t = list(NAMES), 0
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        return self._observe(), {a: {} for a in self.agents}

    def step(self, actions: dict[str, Any]) -> Any:
        assert self.agents, "a finished environment was stepped"
        self.t += 1
        observations = self._observe()
        rewards, infos = dict.fromkeys(self.agents, 1.0), {a: {} for a in self.agents}
        if self.t >= self.length:
            self.terminations = {a: self.endings[a] == "terminated" for a in NAMES}
            self.truncations = {a: self.endings[a] == "truncated" for a in NAMES}
            self.agents = []
        return observations, rewards, self.terminations, self.truncations, infos


class Race(AECEnv[str, Any, Any]):
    """Two agents in turn; the third move wins and ends the game for both."""

    metadata: ClassVar[dict[str, Any]] = {"name": "toy_race"}

    def __init__(self) -> None:
        super().__init__()
        self.possible_agents, self.resets = ["second", "first"], 0

    def observation_space(self, agent: str) -> Box:
        return Box(0, 9, (1,), np.float32)

    def action_space(self, agent: str) -> Discrete:
        return Discrete(2)

    def observe(self, agent: str) -> Any:
        return np.array([self.t], np.float32)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        self.resets += 1
        self.agents, self.t = list(self.possible_agents), 0
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {a: {} for a in self.agents}
        self.agent_selection = "second"

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        if self.terminations[agent]:
            self._was_dead_step(action)
            return
        self.t += 1
        other = "first" if agent == "second" else "second"
        self.rewards = {agent: 0.25, other: -0.25}
        if self.t == 3:
            self.rewards = {agent: 1.0, other: -1.0}
            self.terminations = dict.fromkeys(self.agents, True)
        self.agent_selection = other
        self._accumulate_rewards()


def parallel(**endings: str) -> ParallelEnvForRLlib:
    return ParallelEnvForRLlib(Parallel({**dict.fromkeys(NAMES, "terminated"), **endings}))


@pytest.mark.parametrize(
    ("endings", "terminated", "truncated"),
    [
        ({}, True, False),
        ({"alpha": "truncated"}, True, False),
        (dict.fromkeys(NAMES, "truncated"), False, True),
    ],
)
def test_an_episode_ends_however_each_agent_ended(endings: dict[str, str], terminated: bool, truncated: bool) -> None:
    env = parallel(**endings)
    env.reset()
    _, _, first, _, _ = env.step(dict.fromkeys(NAMES, 0))
    assert first["__all__"] is False
    observations, _, terminations, truncations, _ = env.step(dict.fromkeys(NAMES, 0))
    assert (terminations["__all__"], truncations["__all__"]) == (terminated, truncated)
    assert set(observations) == set(NAMES)  # final observations
    assert env.agents == []


def test_the_dictionaries_of_the_environment_are_never_written_to() -> None:
    env = parallel()
    env.reset()
    returned = env.step(dict.fromkeys(NAMES, 0))
    assert "__all__" not in env.env.terminations
    assert "__all__" not in env.env.truncations
    returned[2]["zeta"] = "changed by the caller"
    assert env.env.terminations["zeta"] is False


def test_agents_keep_the_order_of_the_environment() -> None:
    env = parallel()
    assert env.possible_agents == NAMES
    assert list(env.observation_spaces) == list(env.action_spaces) == NAMES
    env.reset()
    assert env.agents == NAMES


def test_every_agent_has_its_own_spaces() -> None:
    env = parallel()
    assert [env.get_observation_space(a).shape for a in NAMES] == [(1,), (2,), (3,)]
    assert [env.get_action_space(a).n for a in NAMES] == [2, 3, 4]
    assert [env.observation_space[a].shape for a in NAMES] == [(1,), (2,), (3,)]


def test_building_a_wrapper_neither_resets_nor_draws() -> None:
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    environments = [parallel(), TurnBasedEnvForRLlib(Race())]
    assert [e.env.resets for e in environments] == [0, 0]
    assert torch.get_rng_state().equal(before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_in_turns_only_the_mover_observes_and_everybody_is_rewarded() -> None:
    env = TurnBasedEnvForRLlib(Race())
    observations, _ = env.reset()
    assert list(observations) == ["second"]
    observations, rewards, terminations, _, _ = env.step({"second": 0})
    assert list(observations) == ["first"]
    assert rewards == {"second": 0.25, "first": 0.0}  # what came before its first observation is held back
    _, rewards, _, _, _ = env.step({"first": 0})
    assert rewards == {"second": -0.25, "first": 0.25 - 0.25}
    assert terminations["__all__"] is False


def test_in_turns_the_loser_is_told_and_both_get_final_observations() -> None:
    env = TurnBasedEnvForRLlib(Race())
    env.reset()
    env.step({"second": 0})
    env.step({"first": 0})
    observations, rewards, terminations, truncations, _ = env.step({"second": 0})
    assert set(observations) == {"second", "first"}
    assert rewards == {"second": 1.0, "first": -1.0}
    assert terminations == {"second": True, "first": True, "__all__": True}
    assert truncations["__all__"] is False
    assert env.agents == []


def test_wrap_picks_the_wrapper_and_refuses_other_things() -> None:
    assert isinstance(wrap(Race()), TurnBasedEnvForRLlib)
    assert isinstance(wrap(Parallel(dict.fromkeys(NAMES, "terminated"))), ParallelEnvForRLlib)
    with pytest.raises(TypeError, match="got a int, expected a PettingZoo"):
        wrap(3)


def test_a_wrapper_can_be_copied() -> None:
    env = parallel()
    env.reset()
    twin = copy.deepcopy(env)
    env.step(dict.fromkeys(NAMES, 0))
    assert (env.env.t, twin.env.t) == (1, 0)


def _runner(name: str, agents: list[str], envs: int) -> MultiAgentEnvRunner:
    config = (
        PPOConfig()
        .environment(name)
        .env_runners(num_env_runners=0, num_envs_per_env_runner=envs)
        .multi_agent(policies=set(agents), policy_mapping_fn=lambda agent, *_, **__: agent)
        .debugging(seed=0)
    )
    return MultiAgentEnvRunner(config=config, worker_index=0)


@pytest.mark.parametrize("envs", [1, 3])
def test_rllib_runs_on_after_a_mixed_ending(envs: int) -> None:
    endings = dict(zip(NAMES, ["terminated", "truncated", "terminated"], strict=True))
    register_env("toy_parallel", lambda _: ParallelEnvForRLlib(Parallel(endings)))
    runner = _runner("toy_parallel", NAMES, envs)
    try:
        episodes = runner.sample(num_episodes=4)
    finally:
        runner.stop()
    assert len(episodes) >= 4
    assert all(e.is_done and len(e) == 2 for e in episodes)


def test_rllib_counts_every_reward_of_a_turn_based_episode() -> None:
    register_env("toy_race", lambda _: TurnBasedEnvForRLlib(Race()))
    runner = _runner("toy_race", ["second", "first"], 1)
    try:
        (episode,) = runner.sample(num_episodes=1)
    finally:
        runner.stop()
    returns = {a: e.get_return() for a, e in episode.agent_episodes.items()}
    assert returns == {"second": 0.25 - 0.25 + 1.0, "first": -0.25 + 0.25 - 1.0}
    assert [len(episode.agent_episodes[a]) for a in ("second", "first")] == [2, 1]
