"""The PettingZoo face of a turn-based game: observations with an action mask, payoffs at the end, all end together.

It does its own checks of order, bounds and legality, with the exceptions that PettingZoo's `OrderEnforcingWrapper` and
`AssertOutOfBoundsWrapper` raise, and needs no wrapper. An illegal action is an error that says so and changes nothing.
(PettingZoo's `TerminateIllegalWrapper` would end the game with a penalty instead, and hide a learner's fault; whoever
wants that can put the wrapper around.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, NoReturn

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv
from pettingzoo.utils.env_logger import EnvLogger

from strategic_envs.envs.faces.aec import check_option, whole_number
from strategic_envs.errors import IllegalActionError, OutOfOrderError
from strategic_envs.games.kinds.turn_based import TurnBasedGame

__all__ = ["TurnBasedEnv"]

_SET_BY_RESET = frozenset(
    (
        "agents",
        "num_agents",
        "agent_selection",
        "rewards",
        "terminations",
        "truncations",
        "infos",
        "_cumulative_rewards",
    )
)
_INTEGERS = frozenset((int, np.int64, np.int32, np.int8))  # the usual types of actions; others are looked at closely


class _View(NamedTuple):
    """A state as the face needs it."""

    mover: int
    legal: NDArray[np.int8]
    after: dict[int, int]  # the code of the state that each legal action leads to
    terminal: bool
    returns: list[float]
    observations: list[NDArray[np.float32]]  # one a player
    row: int | None  # in policy tables, if it is known


class _Views(dict[int, _View]):
    """Views by the codes of states: of all of them from the state graph, or asked of the game one by one."""

    def __init__(self, game: TurnBasedGame, tabulate: bool) -> None:
        super().__init__()
        self.game, self.tabulate = game, tabulate

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.game, self.tabulate)  # filled again when it is needed

    def __missing__(self, state: int) -> _View:
        if self.tabulate and not self:
            self._fill()
            return self[state]
        game, code = self.game, torch.tensor(state)
        legal = game.legal(code)
        actions = legal.nonzero().flatten()
        after = game.step(code.expand(len(actions)), actions).tolist()
        return _View(
            int(game.mover(code)),
            legal.numpy().astype(np.int8),
            dict(zip(actions.tolist(), after, strict=True)),
            bool(game.terminal(code)),
            game.returns(code).tolist(),
            [game.observe(code, i).numpy() for i in range(game.n_players)],
            None,
        )

    def _fill(self) -> None:
        graph = self.game.state_graph()
        codes, legal = graph.states.tolist(), graph.legal.numpy().astype(np.int8)
        after: list[dict[int, int]] = [{} for _ in codes]
        rows, actions = graph.legal.nonzero(as_tuple=True)
        ahead = graph.states[graph.child[rows, actions]]
        for row, action, code in zip(rows.tolist(), actions.tolist(), ahead.tolist(), strict=True):
            after[row][action] = code
        seen = zip(*(self.game.observe(graph.states, i).numpy() for i in range(self.game.n_players)), strict=True)
        mover, terminal, returns = graph.mover.tolist(), graph.terminal.tolist(), graph.returns.tolist()
        for row, (code, observations) in enumerate(zip(codes, seen, strict=True)):
            self[code] = _View(mover[row], legal[row], after[row], terminal[row], returns[row], list(observations), row)


class TurnBasedEnv(AECEnv[str, dict[str, Any], Any]):
    """A turn-based game as a turn-based environment.

    Observations are `{"observation": what the player sees, "action_mask": which actions it may take}`; the mask is
    empty when it is not the player's turn, and when the game is over.

    Args:
        game: The game.
        render_mode: `"ansi"` returns the state as text, `"human"` prints it.
        tabulate: Whether states are looked up in the game's state graph, which is then built at the first reset. Single
            steps are some hundred times faster; for games with few states.

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
        self._number = {agent: i for i, agent in enumerate(self.possible_agents)}
        self._state = game.initial()
        self._views = _Views(game, tabulate)
        self._begun = self._moved = False  # whether reset() was called; whether anything was since agent_iter's last
        size = game.observe(torch.tensor(self._state), 0).shape[-1]
        self._action_spaces = {a: spaces.Discrete(game.n_actions) for a in self.possible_agents}
        self._observation_spaces = {a: self._make_space(size, game.n_actions) for a in self.possible_agents}
        self.state_space = spaces.Box(0.0, 1.0, (size,), np.float32)

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.game.name})"

    def __getattr__(self, name: str) -> NoReturn:  # only asked for what is not there
        if name in _SET_BY_RESET:
            raise AttributeError(f"{name} cannot be accessed before reset: call reset() first")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)

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
        row = self._views[self._state].row
        return int(self.game.state_graph().index(torch.tensor(self._state))) if row is None else row

    def state(self) -> NDArray[np.float32]:
        """The state as the first player observes it."""
        self._check_begun("state")
        return self._views[self._state].observations[0].copy()

    def observe(self, agent: str) -> dict[str, Any]:
        if not self._begun:
            self._check_begun("observe")
        number = self._number.get(agent)
        if number is None:
            raise IllegalActionError(f"{self.game.name}: got agent {agent!r}, expected one of {self.possible_agents}")
        view = self._views[self._state]
        turn = agent == self.agent_selection
        # copies: the views are for all games to come
        return {
            "observation": view.observations[number].copy(),
            "action_mask": view.legal.copy() if turn else np.zeros_like(view.legal),
        }

    # Play

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Starts over. The game has no chance moves, so the seed changes nothing; spaces are seeded by themselves."""
        del seed, options
        self._begun = self._moved = True
        self._state = self.game.initial()
        self.agents = agents = self.possible_agents.copy()
        self.rewards = dict.fromkeys(agents, 0.0)
        self._cumulative_rewards = self.rewards.copy()
        self.terminations = dict.fromkeys(agents, False)
        self.truncations = self.terminations.copy()
        self.infos = {a: {} for a in agents}
        self.agent_selection = agents[self._views[self._state].mover]
        if self.render_mode == "human":
            self.render()

    def step(self, action: Any) -> None:
        """Makes the move of the player whose turn it is; a player whose game is over steps with None.

        After everybody's last step PettingZoo's warning is logged, and nothing happens.

        Raises:
            IllegalActionError: If the rules do not allow the action; the message lists those they do. Nothing changes.
            OutOfBoundsActionError: If the action is not in the action space (also an AssertionError).
            OutOfOrderError: Before the first `reset()` (also an AssertionError).
        """
        if not self._begun:
            self._check_begun("step")
        view = self._views[self._state]
        if view.terminal:
            self._leave(action)
            return
        after = view.after.get(action) if type(action) in _INTEGERS else None
        if after is None:
            after = view.after[self._check_action(view, action)]
        self._state, self._moved = after, True
        view = self._views[after]
        if view.terminal:
            self._end(view)
        else:
            self.agent_selection = self.possible_agents[view.mover]
        if self.render_mode == "human":
            self.render()

    def _end(self, view: _View) -> None:
        """Pays everybody; the player after the one that moved last leaves first."""
        agents, last = self.agents, self._number[self.agent_selection]
        self.rewards = dict(zip(agents, view.returns, strict=True))
        self._cumulative_rewards = self.rewards.copy()  # nothing was paid before
        self.terminations = dict.fromkeys(agents, True)
        self.agent_selection = agents[(last + 1) % len(agents)]

    def _leave(self, action: object) -> None:
        """A step of a player whose game is over."""
        self._moved = True
        if not self.agents:
            EnvLogger.warn_step_after_terminated_truncated()
            return
        if action is not None:
            who = f"{self.game.name}, {self.agent_selection}"
            number = whole_number(action, self.game.n_actions, who)
            raise IllegalActionError(f"{who}: got {number}, but the game is over: step(None)")
        self._was_dead_step(None)

    def _check_action(self, view: _View, action: object) -> int:
        who = f"{self.game.name}, {self.agent_selection}"
        number = whole_number(action, self.game.n_actions, who)
        if number not in view.after:
            raise IllegalActionError(
                f"{who}: got action {number}, which is not legal here, expected one of {list(view.after)}: "
                "sample with the action_mask of the observation"
            )
        return number

    def _check_begun(self, call: str) -> None:
        if not self._begun:
            raise OutOfOrderError(f"{self.game.name}: the game was not begun: call reset() before {call}()")

    def agent_iter(self, max_iter: int = 2**63) -> Iterator[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Yields the player whose turn it is until everybody has left, at most `max_iter` times.

        Raises:
            OutOfOrderError: Before the first `reset()`, and if neither `step()` nor `reset()` is called in the loop.
        """
        self._check_begun("agent_iter")
        return self._turns(max_iter)

    def _turns(self, max_iter: int) -> Iterator[str]:
        while self.agents and max_iter > 0:
            max_iter -= 1
            if not self._moved:
                raise OutOfOrderError(f"{self.game.name}: call step() or reset() in a loop over agent_iter()")
            self._moved = False
            yield self.agent_selection

    # Looks

    def _text(self) -> str:
        """The state as text; a subclass may draw it."""
        return f"{self.game.name}: state {self._state}"

    def render(self) -> Any:
        """The state as text: returned in mode `"ansi"`, printed in mode `"human"`."""
        self._check_begun("render")
        if self.render_mode == "human":
            print(self._text())
        return self._text() if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Nothing to close."""
