"""The contract of an environment."""

from __future__ import annotations

import copy
import math
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv

from strategic_envs.errors import InvalidStrategyError

__all__ = ["check_env"]

_METADATA = ("name", "render_modes", "is_parallelizable", "render_fps")


def check_env(make_env: Callable[[], Any], *, seed: int = 0, max_steps: int = 200) -> None:
    """Checks that an environment, parallel or turn-based, keeps its promises.

    1. Agents are `player_0`, `player_1`, ...; metadata hold a name, render modes, whether it is parallelizable, and
       frames per second; `.unwrapped.game` is the game.
    2. Spaces are the same objects at every call; observations are flat float32 boxes, or
       `Dict(observation, action_mask)` of such a box and an int8 mask, and lie in their spaces.
    3. The same seed and actions give the same bytes: observations, rewards, ends, infos and states, over two episodes
       of which the second is not seeded.
    4. Rewards are finite numbers, one a player.
    5. All players end together. With a `max_cycles`, exactly then; after the end nobody is left, and a parallel
       environment refuses further actions.
    6. An action that is illegal, masked, out of its space, of a wrong shape or dtype, NaN or missing raises
       `InvalidStrategyError` (or `IllegalActionError`, which is one) with a message, and changes nothing: play goes on
       with the same bytes.
    7. A pickled copy and a deep copy, made in the middle of an episode, go on with the same bytes and do not disturb
       the original.
    Not yet checked: that infos can be sent between processes; render modes (PettingZoo's `render_test` does).

    Args:
        make_env: Makes the environment; called several times.
        seed: The seed of the episodes.
        max_steps: Steps after which an episode is cut off here, if it has not ended.

    Raises:
        AssertionError: Naming the environment, the invariant and what was got.

    Example:
        >>> from strategic_envs.envs import duopoly_pricing_v0
        >>> check_env(lambda: duopoly_pricing_v0.parallel_env(max_cycles=5))
    """
    env = make_env()
    assert isinstance(env, ParallelEnv | AECEnv), f"got a {type(env).__name__}, expected a PettingZoo environment"
    _check_description(env)
    _check_spaces(env, seed)
    first, second = (_Player(make_env(), seed).record(max_steps, episodes=2) for _ in range(2))
    _same(env, "two environments with the same seed", first, second)
    _check_end(make_env(), seed, max_steps)
    _check_refusals(make_env, seed, max_steps)
    for name, duplicate in (
        ("a pickled copy", lambda e: pickle.loads(pickle.dumps(e))),
        ("a deep copy", copy.deepcopy),
    ):
        _check_copy(make_env(), name, duplicate, seed, max_steps)


class _Player:
    """Plays random legal actions and writes down everything that an environment says."""

    def __init__(self, env: Any, seed: int) -> None:
        self.env, self.parallel = env, isinstance(env, ParallelEnv)
        self.spaces = {a: copy.deepcopy(env.action_space(a)) for a in env.possible_agents}
        for i, space in enumerate(self.spaces.values()):
            space.seed(seed + i)
        self.seen: dict[str, Any] = {}
        self.reset(seed)

    def reset(self, seed: int | None) -> Any:
        if not self.parallel:
            self.env.reset(seed=seed)
            return _plain([self.env.observe(a) for a in self.env.agents])
        self.seen, infos = self.env.reset(seed=seed)
        return _plain([self.seen, infos])

    @property
    def over(self) -> bool:
        env = self.env
        return not env.agents or (
            not self.parallel and all(env.terminations[a] or env.truncations[a] for a in env.agents)
        )

    def legal(self, agent: str) -> Any:
        seen = self.seen[agent] if self.parallel else self.env.observe(agent)
        return self.spaces[agent].sample(seen["action_mask"]) if isinstance(seen, dict) else self.spaces[agent].sample()

    def step(self) -> Any:
        """One step: of all players in a parallel environment, of one in a turn-based one."""
        env = self.env
        if self.parallel:
            answer = env.step({a: self.legal(a) for a in env.agents})
            self.seen = answer[0]
            for agent, reward in answer[1].items():
                assert math.isfinite(float(reward)), (
                    f"{env}: got reward {reward!r} of {agent}, expected a finite number"
                )
            return _plain([*answer, env.agents, _state(env)])
        env.step(self.legal(env.agent_selection))
        for agent, reward in env.rewards.items():
            assert math.isfinite(float(reward)), f"{env}: got reward {reward!r} of {agent}, expected a finite number"
        said = [env.rewards, env.terminations, env.truncations, env.infos, env.agents, env.agent_selection]
        return _plain([*said, [env.observe(a) for a in env.agents], _state(env)])

    def record(self, max_steps: int, episodes: int = 1) -> list[Any]:
        log = []
        for episode in range(episodes):
            if episode:
                log.append(self.reset(None))
            for _ in range(max_steps):
                if self.over:
                    break
                log.append(self.step())
        return log


def _state(env: Any) -> Any:
    try:
        return env.state()
    except (NotImplementedError, AttributeError):
        return None


def _plain(value: Any) -> Any:
    """Nested tuples of bytes and strings, equal if and only if the values are the same bytes."""
    if isinstance(value, dict):
        return tuple((str(k), _plain(v)) for k, v in value.items())
    if isinstance(value, list | tuple):
        return tuple(_plain(v) for v in value)
    array = np.asarray(value)
    return repr(value) if array.dtype == object else (array.dtype.str, array.shape, array.tobytes())


def _same(env: Any, what: str, first: list[Any], second: list[Any]) -> None:
    for t, (a, b) in enumerate(zip(first, second, strict=False)):
        assert a == b, f"{env}: {what} differ at step {t}: {a} and {b}"
    assert len(first) == len(second), f"{env}: {what} last {len(first)} and {len(second)} steps"


def _check_description(env: Any) -> None:
    n = len(env.possible_agents)
    assert n and env.possible_agents == [f"player_{i}" for i in range(n)], f"{env}: got agents {env.possible_agents}"
    missing = [key for key in _METADATA if key not in env.metadata]
    assert not missing, f"{env}: metadata lack {missing}"
    assert re.fullmatch(r"\w+_v\d+", env.metadata["name"]), (
        f"{env}: got the name {env.metadata['name']!r}, expected name_v0"
    )
    assert hasattr(env.unwrapped, "game"), f"{env}: it does not say which game it plays: expected an attribute game"


def _check_spaces(env: Any, seed: int) -> None:
    player = _Player(env, seed)
    for agent in env.possible_agents:
        assert env.action_space(agent) is env.action_space(agent), f"{env}, {agent}: a new action space at every call"
        space = env.observation_space(agent)
        assert space is env.observation_space(agent), f"{env}, {agent}: a new observation space at every call"
        box = space
        if isinstance(space, spaces.Dict):
            assert set(space.spaces) == {"observation", "action_mask"}, (
                f"{env}, {agent}: got the keys {set(space.spaces)}"
            )
            assert space["action_mask"].dtype == np.int8, f"{env}, {agent}: got a mask of {space['action_mask'].dtype}"
            box = space["observation"]
        flat = isinstance(box, spaces.Box) and len(box.shape) == 1 and box.dtype == np.float32
        assert flat, f"{env}, {agent}: got observations in {box}, expected a flat Box of float32"
        seen = player.seen[agent] if player.parallel else env.observe(agent)
        assert space.contains(seen), f"{env}, {agent}: the observation {seen} lies outside {space}"
    assert env.agents == env.possible_agents, f"{env}: only {env.agents} are there after reset"


def _check_end(env: Any, seed: int, max_steps: int) -> None:
    player, steps = _Player(env, seed), 0
    while not player.over and steps < max_steps:
        player.step()
        steps += 1
        if not player.parallel:
            ends = {bool(env.terminations[a] or env.truncations[a]) for a in env.agents}
            assert len(ends) == 1, f"{env}: some players end before others: {env.terminations}, {env.truncations}"
        assert player.over or env.agents == env.possible_agents, f"{env}: only {env.agents} are left"
        for agent in env.agents if not player.parallel else player.seen:
            seen = player.seen[agent] if player.parallel else env.observe(agent)
            inside = env.observation_space(agent).contains(seen)
            assert inside, f"{env}, {agent}: the observation {seen} of step {steps} lies outside its space"
    limit = getattr(env.unwrapped, "max_cycles", None)
    if player.over and limit is not None and player.parallel:
        assert steps == limit, f"{env}: the episode ended after {steps} steps, expected max_cycles={limit}"
    if player.over and not player.parallel:
        for _ in env.possible_agents:
            env.step(None)
        assert not env.agents, f"{env}: {env.agents} are left after everybody's last step"
    if player.over and player.parallel:
        last = {a: player.spaces[a].sample() for a in env.possible_agents}
        _refused(env, "actions after the end", lambda: env.step(last))


def _check_refusals(make_env: Callable[[], Any], seed: int, max_steps: int) -> None:
    player, reference = _Player(make_env(), seed), _Player(make_env(), seed)
    _same(player.env, "the first steps", [player.step()], [reference.step()])
    env = player.env
    if player.over:
        player.reset(seed)
        reference.reset(seed)
    agents = list(env.agents) if player.parallel else [env.agent_selection]
    for agent in agents:
        seen = player.seen[agent] if player.parallel else env.observe(agent)
        for bad in _bad_actions(env.action_space(agent), seen):
            rest = {a: copy.deepcopy(player.spaces[a]).sample() for a in agents if a != agent}
            given = {**rest, agent: bad} if player.parallel else bad
            _refused(env, f"action {bad!r} of {agent}", lambda given=given: env.step(given))
    if player.parallel:
        legal = {a: copy.deepcopy(player.spaces[a]).sample() for a in agents}
        missing = {a: legal[a] for a in agents[1:]}
        _refused(env, "actions without the first player's", lambda: env.step(missing))
        _refused(env, "actions of an unknown player", lambda: env.step({**legal, "nobody": legal[agents[0]]}))
    went_on = player.record(max_steps), reference.record(max_steps)
    _same(env, "play after refused actions and play without them", *went_on)


def _bad_actions(space: spaces.Space[Any], seen: Any) -> Iterator[Any]:
    yield from ("0", None, float("nan"), {})
    if isinstance(space, spaces.Discrete):
        yield from (int(space.start + space.n), -1 + int(space.start), 0.5, np.zeros(2, dtype=np.int64), True)
    if isinstance(space, spaces.Box):
        shape, low, high = space.shape, space.low, space.high
        yield np.zeros((*shape, 2), dtype=space.dtype)
        if space.dtype.kind == "f":
            yield np.full(shape, np.nan, dtype=space.dtype)
            yield np.full(shape, np.inf, dtype=space.dtype)
            if np.isfinite(high).all():
                yield (high + 1 + np.abs(high)).astype(space.dtype)
            if np.isfinite(low).all():
                yield (low - 1 - np.abs(low)).astype(space.dtype)
    if isinstance(seen, dict):
        yield from np.flatnonzero(seen["action_mask"] == 0).tolist()[:2]


def _refused(env: Any, what: str, act: Callable[[], object]) -> None:
    try:
        act()
    except InvalidStrategyError as error:
        assert "got" in str(error) or "expected" in str(error) or "call" in str(error), (
            f"{env}: {what}: the message says neither what was got nor what was expected: {error}"
        )
        return
    except Exception as error:
        raise AssertionError(f"{env}: {what} raised {type(error).__name__}, expected InvalidStrategyError") from error
    raise AssertionError(f"{env}: {what} were accepted, expected InvalidStrategyError")


def _check_copy(env: Any, name: str, duplicate: Callable[[Any], Any], seed: int, max_steps: int) -> None:
    player = _Player(env, seed)
    if isinstance(getattr(env.unwrapped, "max_cycles", None), int) and env.unwrapped.max_cycles > 1:
        player.step()
    twin = copy.copy(player)
    twin.env, twin.spaces, twin.seen = duplicate(env), copy.deepcopy(player.spaces), copy.deepcopy(player.seen)
    copied = twin.record(max_steps, episodes=2)
    _same(env, f"{name} and the original", copied, player.record(max_steps, episodes=2))
