"""The PettingZoo face of a turn-based game: observations with an action mask, payoffs at the end, all end together.

An illegal action is an error that says so and changes nothing. (PettingZoo's `TerminateIllegalWrapper` would end the
game with a penalty instead, and hide a learner's fault; whoever wants that can put the wrapper around.)
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv

from strategic_envs.envs.faces.aec import check_option, whole_number
from strategic_envs.errors import IllegalActionError
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["TurnBasedEnv"]


class _View(NamedTuple):
    """A state as the face needs it."""

    mover: int
    legal: NDArray[np.int8]
    terminal: bool
    returns: list[float]
    observations: list[NDArray[np.float32]]  # one a player


class _Table(NamedTuple):
    """The same of all states, from the state graph."""

    row: dict[int, int]
    child: list[list[int]]  # the codes of the states that actions lead to
    views: list[_View]


class TurnBasedEnv(AECEnv[str, dict[str, Any], Any]):
    """A turn-based game as a turn-based environment.

    Observations are `{"observation": what the player sees, "action_mask": which actions it may take}`; the mask is
    empty when it is not the player's turn, and when the game is over.

    Args:
        game: The game.
        render_mode: `"ansi"` returns the state as text, `"human"` prints it.
        tabulate: Whether states are looked up in the game's state graph, which is then built at the first reset. Single
            steps are some ten times faster; for games with few states.

    Raises:
        InvalidGameError: If there is no such render mode.
    """

    metadata: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        "name": "turn_based",
        "render_modes": ["human", "ansi"],
        "is_parallelizable": False,
        "render_fps": 2,
    }

    def __init__(self, game: TurnBasedGame, *, render_mode: str | None = None, tabulate: bool = False) -> None:
        super().__init__()
        check_option(game.name, render_mode, self.metadata["render_modes"])
        self.game, self.render_mode, self.tabulate = game, render_mode, tabulate
        self.possible_agents = [f"player_{i}" for i in range(game.n_players)]
        self.agents = []
        self._state = game.initial()
        self._table: _Table | None = None
        size = game.observe(torch.tensor(self._state), 0).shape[-1]
        self._action_spaces = {a: spaces.Discrete(game.n_actions) for a in self.possible_agents}
        self._observation_spaces = {a: self._make_space(size, game.n_actions) for a in self.possible_agents}
        self.state_space = spaces.Box(0.0, 1.0, (size,), np.float32)

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.game.name})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_table": None}  # it is built again when it is needed

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
        table = self._rows()
        return table.row[self._state] if table else int(self.game.state_graph().index(torch.tensor(self._state)))

    def state(self) -> NDArray[np.float32]:
        """The state as the first player observes it."""
        return self._view().observations[0].copy()

    def observe(self, agent: str) -> dict[str, Any]:
        if agent not in self._observation_spaces:
            raise IllegalActionError(f"{self.game.name}: got agent {agent!r}, expected one of {self.possible_agents}")
        view, turn = self._view(), agent in self.agents and agent == self.agent_selection
        seen = view.observations[self.possible_agents.index(agent)].copy()
        return {"observation": seen, "action_mask": view.legal.copy() if turn else np.zeros_like(view.legal)}

    def _rows(self) -> _Table | None:
        if self.tabulate and self._table is None:
            graph, players = self.game.state_graph(), range(self.game.n_players)
            seen = [self.game.observe(graph.states, i).numpy() for i in players]
            mover, terminal, returns = graph.mover.tolist(), graph.terminal.tolist(), graph.returns.tolist()
            legal, codes = graph.legal.numpy().astype(np.int8), graph.states.tolist()
            views = [
                _View(mover[s], legal[s], terminal[s], returns[s], [player[s] for player in seen])
                for s in range(len(codes))
            ]
            child = [[codes[s] for s in row] for row in graph.child.tolist()]
            self._table = _Table({code: s for s, code in enumerate(codes)}, child, views)
        return self._table

    def _view(self) -> _View:
        table = self._rows()
        if table:
            return table.views[table.row[self._state]]
        game, state = self.game, torch.tensor(self._state)
        return _View(
            int(game.mover(state)),
            game.legal(state).numpy().astype(np.int8),
            bool(game.terminal(state)),
            game.returns(state).tolist(),
            [game.observe(state, i).numpy() for i in range(game.n_players)],
        )

    def _after(self, action: int) -> int:
        """The code of the state after a legal action."""
        table = self._rows()
        if table:
            return table.child[table.row[self._state]][action]
        return int(self.game.step(torch.tensor(self._state), torch.tensor(action)))

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
        self.agent_selection = self.possible_agents[self._view().mover]
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
        self._state = self._after(self._check_action(agent, action))
        view = self._view()
        self._cumulative_rewards[agent] = 0.0
        self.rewards = dict(zip(self.agents, view.returns, strict=True))
        self.terminations = dict.fromkeys(self.agents, view.terminal)
        following = (self.agents.index(agent) + 1) % len(self.agents) if view.terminal else view.mover
        self.agent_selection = self.agents[following]
        self._accumulate_rewards()
        if self.render_mode == "human":
            self.render()

    def _check_action(self, agent: str, action: object) -> int:
        legal = self._view().legal
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
