"""The PettingZoo face of a turn-based game: observations with an action mask, payoffs at the end, all end together.

An illegal action is an error that says so and changes nothing. (PettingZoo's `TerminateIllegalWrapper` would end the
game with a penalty instead, and hide a learner's fault; whoever wants that can put the wrapper around.)
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv

from strategic_envs.envs.faces.aec import check_option, whole_number
from strategic_envs.errors import IllegalActionError
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["TurnBasedEnv"]


class TurnBasedEnv(AECEnv[str, dict[str, Any], Any]):
    """A turn-based game as a turn-based environment.

    Observations are `{"observation": what the player sees, "action_mask": which actions it may take}`; the mask is
    empty when it is not the player's turn, and when the game is over.

    Args:
        game: The game.
        render_mode: `"ansi"` returns the state as text, `"human"` prints it.

    Raises:
        InvalidGameError: If there is no such render mode.
    """

    metadata: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        "name": "turn_based",
        "render_modes": ["human", "ansi"],
        "is_parallelizable": False,
        "render_fps": 2,
    }

    def __init__(self, game: TurnBasedGame, *, render_mode: str | None = None) -> None:
        super().__init__()
        check_option(game.name, render_mode, self.metadata["render_modes"])
        self.game, self.render_mode = game, render_mode
        self.possible_agents = [f"player_{i}" for i in range(game.n_players)]
        self.agents = []
        self._state = game.initial()
        size = game.observe(torch.tensor(self._state), 0).shape[-1]
        self._action_spaces = {a: spaces.Discrete(game.n_actions) for a in self.possible_agents}
        self._observation_spaces = {a: self._make_space(size, game.n_actions) for a in self.possible_agents}
        self.state_space = spaces.Box(0.0, 1.0, (size,), np.float32)

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.game.name})"

    @staticmethod
    def _make_space(size: int, n_actions: int) -> spaces.Dict:
        return spaces.Dict(
            {
                "observation": spaces.Box(0.0, 1.0, (size,), np.float32),
                "action_mask": spaces.Box(0, 1, (n_actions,), np.int8),
            }
        )

    def action_space(self, agent: str) -> spaces.Discrete:
        return self._action_spaces[agent]

    def observation_space(self, agent: str) -> spaces.Dict:
        return self._observation_spaces[agent]

    @property
    def state_code(self) -> int:
        """The state of the game as its integer code."""
        return self._state

    @property
    def state_row(self) -> int:
        """The row of policy tables for this state."""
        return int(self.game.state_graph().index(torch.tensor(self._state)))

    def state(self) -> NDArray[np.float32]:
        """The state as the first player observes it."""
        return self.game.observe(torch.tensor(self._state), 0).numpy()

    def observe(self, agent: str) -> dict[str, Any]:
        if agent not in self._observation_spaces:
            raise IllegalActionError(f"{self.game.name}: got agent {agent!r}, expected one of {self.possible_agents}")
        state = torch.tensor(self._state)
        mask = np.zeros(self.game.n_actions, dtype=np.int8)
        if agent in self.agents and agent == self.agent_selection:
            mask = self.game.legal(state).numpy().astype(np.int8)
        return {"observation": self.game.observe(state, self.possible_agents.index(agent)).numpy(), "action_mask": mask}

    # Play

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Starts over. The game has no chance moves, so the seed changes nothing; spaces are seeded by themselves."""
        del seed, options
        self._state = self.game.initial()
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {a: {} for a in self.agents}
        self.agent_selection = self.possible_agents[int(self.game.mover(torch.tensor(self._state)))]
        if self.render_mode == "human":
            self.render()

    def step(self, action: Any) -> None:
        """Makes the move of the player whose turn it is; a player whose game is over steps with None.

        Raises:
            IllegalActionError: If the rules do not allow the action; the message lists those they do. Nothing changes.
        """
        if not self.agents:
            raise IllegalActionError(f"{self.game.name}: the game is over or was not begun: call reset() first")
        agent = self.agent_selection
        if self.terminations[agent]:
            if action is not None:
                raise IllegalActionError(f"{self.game.name}, {agent}: got {action!r}, but the game is over: step(None)")
            self._was_dead_step(action)
            return
        move = torch.tensor(self._check_action(agent, action))
        state = self.game.step(torch.tensor(self._state), move)
        self._state, over = int(state), bool(self.game.terminal(state))
        self._cumulative_rewards[agent] = 0.0
        self.rewards = dict(zip(self.agents, self.game.returns(state).tolist(), strict=True))
        self.terminations = dict.fromkeys(self.agents, over)
        following = (self.agents.index(agent) + 1) % len(self.agents) if over else int(self.game.mover(state))
        self.agent_selection = self.agents[following]
        self._accumulate_rewards()
        if self.render_mode == "human":
            self.render()

    def _check_action(self, agent: str, action: object) -> int:
        legal = self.game.legal(torch.tensor(self._state)).tolist()
        number = whole_number(action, self.game.n_actions, f"{self.game.name}, {agent}")
        if not legal[number]:
            allowed = [k for k, ok in enumerate(legal) if ok]
            raise IllegalActionError(
                f"{self.game.name}, {agent}: got action {number}, which is not legal here, expected one of {allowed}: "
                "sample with the action_mask of the observation"
            )
        return number

    # Looks

    def _text(self) -> str:
        """The state as text; a subclass may draw it."""
        return f"{self.game.name}: state {self._state}"

    def render(self) -> Any:
        """The state as text: returned in mode `"ansi"`, printed in mode `"human"`."""
        if self.render_mode == "human":
            print(self._text())
        return self._text() if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Nothing to close."""
