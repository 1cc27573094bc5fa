"""The PettingZoo face of a one-shot game, played once or repeatedly: all act at once, rewards are the utilities.

Actions are the players' strategies: points of their sets, or the actions of a normal-form game (or, on request, mixed
strategies over them). Every player observes everybody's last actions, one block a player (a discrete action as a
one-hot vector), and last a flag that is 1 before anything was played.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from strategic_envs.envs.spaces import SetSpace, WholeNumbers, bounds, set_space
from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.games.larger_number import LargerNumber
from strategic_envs.profile import Profile

__all__ = ["OneShotParallelEnv"]

Observation = NDArray[np.float32]


class OneShotParallelEnv(ParallelEnv[str, Observation, Any]):
    """A one-shot game as a parallel environment.

    Args:
        game: A continuous game or a normal-form game.
        actions: `"pure"`: points of the strategy sets, discrete actions of a normal-form game; `"mixed"`: probability
            vectors over the actions of a normal-form game, rewarded by expected payoffs.
        max_cycles: How often the game is played before all players are truncated together. The default of 1 is the
            game itself; more make it a repeated game with observed actions.
        render_mode: `"ansi"` returns the last play as text, `"human"` prints it.

    Raises:
        InvalidGameError: If the game is of another kind, or an option has no meaning for it.

    Example:
        >>> from strategic_envs.games.matrix import matching_pennies
        >>> env = OneShotParallelEnv(matching_pennies())
        >>> observations, infos = env.reset(seed=0)
        >>> env.step({"player_0": 0, "player_1": 1})[1]
        {'player_0': -1.0, 'player_1': 1.0}
    """

    metadata: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        "name": "one_shot",
        "render_modes": ["human", "ansi"],
        "is_parallelizable": True,
        "render_fps": 1,
    }

    def __init__(
        self,
        game: VIGame,
        *,
        actions: str = "pure",
        max_cycles: int = 1,
        render_mode: str | None = None,
    ) -> None:
        if not isinstance(game, Game):
            raise InvalidGameError(
                f"got a {type(game).__name__}, expected a Game with utilities or a NormalFormGame: "
                "the other kinds have environments of their own"
            )
        if actions not in ("pure", "mixed"):
            raise InvalidGameError(f"{game.name}: got actions={actions!r}, expected 'pure' or 'mixed'")
        if actions == "mixed" and not isinstance(game, NormalFormGame):
            raise InvalidGameError(
                f"{game.name}: got actions='mixed', which is for normal-form games only: leave it out"
            )
        if isinstance(max_cycles, bool) or not isinstance(max_cycles, int) or max_cycles < 1:
            raise InvalidGameError(f"{game.name}: got max_cycles={max_cycles!r}, expected a whole number >= 1")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InvalidGameError(
                f"{game.name}: got render_mode={render_mode!r}, expected None or one of {self.metadata['render_modes']}"
            )
        self.game = game
        self.actions: str = actions
        self.max_cycles = max_cycles
        self.render_mode = render_mode
        self.possible_agents = [f"player_{i}" for i in range(game.n_players)]
        self.agents: list[str] = []
        self._action_spaces = {a: self._make_action_space(i) for i, a in enumerate(self.possible_agents)}
        self._played_space = self._make_played_space()
        self._observation_spaces = {a: self._make_observation_space(i) for i, a in enumerate(self.possible_agents)}
        self.state_space = self._make_state_space()
        self._cycle = 0
        self._state = self._nothing_played()
        self._last: dict[str, tuple[object, float]] = {}

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.game.name})"

    # Spaces

    def _discrete(self) -> bool:
        return isinstance(self.game, NormalFormGame) and self.actions == "pure"

    def _make_action_space(self, player: int) -> spaces.Space[Any]:
        if self._discrete():
            return spaces.Discrete(self.game.dims[player])
        if isinstance(self.game, LargerNumber) and self.game.kind == "integers":
            return WholeNumbers()
        return set_space(self.game.sets[player])

    def _make_observation_space(self, player: int) -> spaces.Box:
        return self._make_played_space()

    def _make_state_space(self) -> spaces.Box:
        return self._make_played_space()

    def _make_played_space(self) -> spaces.Box:
        """The space of everybody's last actions and the flag."""
        boxes = [bounds(s) for s in self.game.sets]  # of a discrete action: the one-hot vectors lie in the simplex
        low = np.concatenate([np.minimum(low, 0) for low, _ in boxes] + [np.zeros(1, dtype=np.float32)])
        high = np.concatenate([np.maximum(high, 0) for _, high in boxes] + [np.ones(1, dtype=np.float32)])
        return spaces.Box(low, high, dtype=np.float32)

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self._action_spaces[agent]

    def observation_space(self, agent: str) -> spaces.Box:
        return self._observation_spaces[agent]

    def state(self) -> Observation:
        """Everybody's last actions and the flag: what every player observes."""
        return self._state.copy()

    # Play

    def _nothing_played(self) -> Observation:
        state = np.zeros(sum(self.game.dims) + 1, dtype=np.float32)
        state[-1] = 1.0
        return state

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Starts over. The game has no chance moves, so the seed changes nothing; spaces are seeded by themselves."""
        del seed, options
        self.agents = list(self.possible_agents)
        self._cycle = 0
        self._state = self._nothing_played()
        self._last = {}
        return {a: self._observe(a) for a in self.agents}, {a: self._info(a) for a in self.agents}

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Plays the game once.

        In a game with a joint set every action of the players' own spaces is allowed, and where the actions do not fit
        together the nearest ones that do are played: rewards and observations are of these, and every info says
        `{"moved": True}`.

        Args:
            actions: One action a player.

        Raises:
            InvalidStrategyError: If an action has the wrong shape or dtype, is not finite, or lies outside its set
                (`IllegalActionError` for discrete actions, and if players are missing); nothing has changed then.
        """
        if not self.agents and not actions:
            return {}, {}, {}, {}, {}
        self._check_players(actions)
        chosen = {a: self.check_action(a, actions[a]) for a in self.agents}
        played = self._fitted(chosen)
        rewards = self._rewards(played)
        self._cycle += 1
        self._state = self._encode(played)
        self._last = {a: (played[a].tolist(), rewards[a]) for a in self.agents}
        over = self._cycle >= self.max_cycles
        everyone, self.agents = self.agents, [] if over else self.agents
        if self.render_mode == "human":
            self.render()
        return (
            {a: self._observe(a) for a in everyone},
            rewards,
            dict.fromkeys(everyone, False),
            dict.fromkeys(everyone, over),
            {a: self._info(a) | ({"moved": True} if played[a] is not chosen[a] else {}) for a in everyone},
        )

    def _observe(self, agent: str) -> Observation:
        """What a player observes of what was last played."""
        return self.state()

    def _info(self, agent: str) -> dict[str, Any]:
        """What a player is told beside it."""
        return {}

    def _fitted(self, chosen: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """In a game with a joint set, what is played: the nearest actions that fit together."""
        if self.game.joint is None:
            return chosen
        points = Profile(torch.from_numpy(chosen[a].astype(np.float64)) for a in self.agents)
        if bool(self.game.joint.contains(points.flat(), 1e-6 * max(1.0, float(points.norm())))):
            return chosen
        return {a: t.numpy() for a, t in zip(self.agents, self.game.project(points), strict=True)}

    def _check_players(self, actions: Mapping[str, Any]) -> None:
        if not self.agents:
            raise IllegalActionError(f"{self.game.name}: the episode is over or was not begun: call reset() first")
        if set(actions) != set(self.agents):
            raise IllegalActionError(
                f"{self.game.name}: got actions of {sorted(map(str, actions))}, expected one each of {self.agents}"
            )

    def check_action(self, agent: str, action: object) -> NDArray[Any]:
        """The action as an array, if the agent may play it.

        Args:
            agent: Who plays.
            action: A whole number for a discrete space (returned 0-dimensional), else an array `(d,)` in the set.

        Raises:
            InvalidStrategyError: If it may not; the message says what was got, what was expected and how to mend it.
        """
        space, who = self._action_spaces[agent], f"{self.game.name}, {agent}"
        try:
            array = np.asarray(action)
        except (ValueError, TypeError, RuntimeError) as error:
            raise InvalidStrategyError(f"{who}: got {action!r}, which is no array: {error}") from error
        if isinstance(space, SetSpace):
            return _check_point(array, space, who)
        shape = () if isinstance(space, spaces.Discrete) else (1,)
        low, high = (0, int(space.n) - 1) if isinstance(space, spaces.Discrete) else (1, 2**53)
        if array.dtype.kind not in "iu" or array.shape != shape:
            raise IllegalActionError(
                f"{who}: got {action!r} of dtype {array.dtype} and shape {array.shape}, expected a whole number "
                f"from {low} to {high} of shape {shape}"
            )
        if not low <= int(array.reshape(())) <= high:
            got = int(array.reshape(()))
            raise IllegalActionError(f"{who}: got {got}, expected a whole number from {low} to {high}")
        return array

    def _rewards(self, played: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        if self._discrete():
            assert isinstance(self.game, NormalFormGame)
            utilities = self.game.payoffs_of([int(played[a]) for a in self.agents])
        else:
            points = [torch.from_numpy(played[a].astype(np.float64)) for a in self.agents]
            with torch.no_grad():
                utilities = self.game.utilities(self.game.project(points))
        if not bool(utilities.isfinite().all()):
            worst = self.agents[int((~utilities.isfinite()).nonzero()[0])]
            raise InvalidGameError(
                f"{self.game.name}: the utilities are {utilities.tolist()} at {[p.tolist() for p in played.values()]}: "
                f"that of {worst} must be finite on the whole set"
            )
        return dict(zip(self.agents, utilities.tolist(), strict=True))

    def _encode(self, played: Mapping[str, NDArray[Any]]) -> Observation:
        blocks = []
        for own, action in zip(self.game.sets, played.values(), strict=True):
            block = np.eye(own.dim)[int(action)] if self._discrete() else action
            if own.periodic:
                block = own.project(torch.from_numpy(block.astype(np.float64))).numpy()
            blocks.append(block.astype(np.float32))
        state = np.concatenate([*blocks, np.zeros(1, dtype=np.float32)])
        return np.clip(state, self._played_space.low, self._played_space.high)

    # Looks

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The last play as text: returned in mode `"ansi"`, printed in mode `"human"`."""
        lines = [f"{self.game.name}: {self._cycle} of {self.max_cycles} played"]
        lines += [f"  {a} played {action}, received {reward:g}" for a, (action, reward) in self._last.items()]
        text = "\n".join(lines)
        if self.render_mode == "human":
            print(text)
        return text if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Nothing to close."""


def _check_point(array: NDArray[Any], space: SetSpace, who: str) -> NDArray[Any]:
    if array.dtype.kind != "f":
        raise InvalidStrategyError(
            f"{who}: got dtype {array.dtype}, expected floating-point numbers: pass an array of dtype float32"
        )
    if array.shape != space.shape:
        raise InvalidStrategyError(f"{who}: got shape {array.shape}, expected {space.shape}, one number a coordinate")
    with np.errstate(over="ignore"):
        finite = bool(np.isfinite(array.astype(np.float32)).all())
    if not finite:
        got = array[:6].tolist()
        raise InvalidStrategyError(f"{who}: got {got}, expected finite float32 numbers: check the learner")
    if not space.near(array):
        raise InvalidStrategyError(
            f"{who}: got {array[:6].tolist()}, which lies outside {space.strategy_set}: project it first"
        )
    return array
