"""One learner against fixed opponents, as a Gymnasium environment: its best possible return is that of a best response.

All players but one follow a fixed policy, so what is left is an ordinary reinforcement-learning problem. A learner that
solves it computes a best response, which is what exploitability is made of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.seeding import child_seed, numpy_stream

__all__ = ["SingleAgentEnv"]

Policy = Callable[..., Any]


class SingleAgentEnv(gymnasium.Env[Any, Any]):
    """The environment of one player while the others' policies are fixed.

    Observation and action spaces are the player's own, with the `action_mask` inside the observation where the
    environment has one; `info["action_mask"]` repeats it.

    Args:
        env: A PettingZoo environment, parallel or turn-based. It is the new environment's own from now on.
        opponent: What every other player does. `"uniform"` draws legal actions uniformly (continuous ones from the
            action space). A function `policy(observations (1, obs)[, masks (1, A)]) -> probabilities (1, A)` of float32
            tensors (for continuous actions `-> actions (1, d)`). A policy table `(S, A)`, or play with one table a
            player such as `TabularPlay`, for games with states.
        player: Who learns.

    Raises:
        InvalidGameError: If there is no such player, or this is no environment.
        InvalidStrategyError: If the opponent is nothing of the above.

    Example:
        >>> from strategic_envs.envs import tic_tac_toe_v0
        >>> env = SingleAgentEnv(tic_tac_toe_v0.env(), player=1)
        >>> observation, info = env.reset(seed=0)
        >>> int(info["action_mask"].sum())
        8
    """

    def __init__(self, env: Any, *, opponent: str | Policy | Tensor | Any = "uniform", player: int = 0) -> None:
        if not isinstance(env, ParallelEnv | AECEnv):
            raise InvalidGameError(
                f"got an environment of type {type(env).__name__}, expected a PettingZoo ParallelEnv or AECEnv"
            )
        self._env: Any = env
        self._parallel, agents = isinstance(env, ParallelEnv), env.possible_agents
        if isinstance(player, bool) or not isinstance(player, int) or not 0 <= player < len(agents):
            raise InvalidGameError(f"{env}: got player={player!r}, expected 0..{len(agents) - 1}")
        self.player = agents[player]
        self.render_mode = getattr(env, "render_mode", None)
        self.metadata = {
            "render_modes": list(env.metadata.get("render_modes", [])),
            "render_fps": env.metadata.get("render_fps", 4),
        }
        self._tables, self._policy = self._opponent(opponent)
        self._spaces = {a: env.action_space(a) for a in agents}
        self.observation_space = env.observation_space(self.player)
        self.action_space = env.action_space(self.player)
        self._rng = np.random.default_rng()
        self._seen: dict[str, Any] = {}

    @property
    def game(self) -> Any:
        """The game that is played."""
        return self._env.unwrapped.game

    def _opponent(self, opponent: Any) -> tuple[dict[str, np.ndarray], Policy | None]:
        """Tables by player, or a function for all, or neither: uniform."""
        others = [a for a in self._env.possible_agents if a != self.player]
        if isinstance(opponent, str) and opponent == "uniform":
            return {}, None
        tables = getattr(opponent, "policies", opponent)
        if isinstance(tables, Tensor | np.ndarray):
            tables = dict.fromkeys(others, tables)
        elif isinstance(tables, tuple | list) and len(tables) == len(self._env.possible_agents):
            tables = dict(zip(self._env.possible_agents, tables, strict=True))
        if isinstance(tables, dict):
            if not hasattr(self._env.unwrapped, "state_row"):
                raise InvalidStrategyError(f"{self._env} has no states to look up in a table: pass a function")
            return {a: self._table(a, tables[a]) for a in others}, None
        if callable(opponent):
            return {}, opponent
        raise InvalidStrategyError(
            f"{self._env}: got opponent={opponent!r}, expected 'uniform', a function from observations to "
            "probabilities, a table (states, actions), or one table a player"
        )

    def _table(self, agent: str, table: Any) -> np.ndarray:
        """A policy table, if it has a row a state and a column an action."""
        array, game = np.asarray(table, dtype=np.float64), self.game
        rows = game.n_states if isinstance(game, MarkovGame) else len(game.state_graph().states)
        expected = rows, int(self._env.action_space(agent).n)
        if array.shape != expected:
            raise InvalidStrategyError(
                f"{self._env}, {agent}: got a policy table of shape {array.shape}, expected {expected}: "
                "one row a state of the game"
            )
        return array

    # Play

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins an episode; the seed decides the environment's draws and the opponents' actions."""
        super().reset(seed=seed)
        if seed is not None:
            self._rng = numpy_stream(seed, "opponents")
            for agent in self._env.possible_agents:
                if agent != self.player:
                    self._spaces[agent].seed(child_seed(seed, "opponents", agent) % 2**31)
        if self._parallel:
            self._seen, infos = self._env.reset(seed=seed, options=options)
            return self._answer(infos.get(self.player, {}))
        self._env.reset(seed=seed, options=options)
        self._let_others_move()
        return self._answer(self._env.infos[self.player])

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Plays the learner's action and the others' answers.

        Raises:
            IllegalActionError: If the learner may not play the action; nothing has changed then.
        """
        if self._parallel:
            others = {a: self._act(a, self._seen[a]) for a in self._env.agents if a != self.player}
            self._seen, rewards, ended, cut, infos = self._env.step({self.player: action, **others})
            reward, terminated, truncated = rewards[self.player], ended[self.player], cut[self.player]
            info = infos.get(self.player, {})
        else:
            self._env.step(action)
            reward = self._env.rewards[self.player] + self._let_others_move()
            terminated, truncated = self._env.terminations[self.player], self._env.truncations[self.player]
            info = self._env.infos[self.player]
        observation, info = self._answer(info)
        return observation, float(reward), bool(terminated), bool(truncated), info

    def _let_others_move(self) -> float:
        """Plays the others' turns until it is the learner's, or all is over; returns what the learner receives."""
        received = 0.0
        while self._env.agents and self._env.agent_selection != self.player:
            agent = self._env.agent_selection
            if self._env.terminations[agent] or self._env.truncations[agent]:
                break
            self._env.step(self._act(agent, self._env.observe(agent)))
            received += float(self._env.rewards[self.player])
        return received

    def _answer(self, info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        seen = self._seen[self.player] if self._parallel else self._env.observe(self.player)
        mask = {"action_mask": seen["action_mask"]} if isinstance(seen, dict) and "action_mask" in seen else {}
        return seen, {**info, **mask}

    def _act(self, agent: str, seen: Any) -> Any:
        """An action of an opponent, drawn from its policy."""
        space = self._spaces[agent]
        vector, mask = (seen["observation"], seen["action_mask"]) if isinstance(seen, dict) else (seen, None)
        if agent in self._tables:
            return self._draw(self._tables[agent][self._env.unwrapped.state_row], agent)
        if self._policy is None:
            if not isinstance(space, spaces.Discrete):
                return space.sample()
            weights = np.ones(int(space.n)) if mask is None else mask.astype(float)
            return self._draw(weights / weights.sum(), agent)
        masks = () if mask is None else (torch.from_numpy(mask).bool().unsqueeze(0),)
        answer = self._policy(torch.from_numpy(vector).unsqueeze(0), *masks)
        answer = np.asarray(answer.detach().cpu() if isinstance(answer, Tensor) else answer)
        if not isinstance(space, spaces.Discrete):
            return answer.reshape(space.shape or ()).astype(space.dtype or np.float32)
        return self._draw(answer.reshape(-1).astype(np.float64), agent)

    def _draw(self, probability: np.ndarray, agent: str) -> int:
        space = self._spaces[agent]
        assert isinstance(space, spaces.Discrete)
        if probability.shape != (space.n,) or not (probability >= 0).all() or abs(probability.sum() - 1) > 1e-5:
            raise InvalidStrategyError(
                f"{self._env}, {agent}: the opponent's policy gave {probability.tolist()}, "
                f"expected {space.n} probabilities that sum to 1"
            )
        return int(self._rng.choice(len(probability), p=probability / probability.sum()))

    # Looks

    def render(self) -> Any:
        """What the environment renders."""
        return self._env.render()

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()
