"""The PettingZoo face of a Markov game in which one player decides at a time: only the player whose turn it is acts.

Every step is a period of the game and pays everybody. The rules are those of the parallel face, which is given any
action for the players whose turn it is not; the game does not look at those.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv

from strategic_envs.envs.faces.aec import check_option
from strategic_envs.envs.faces.markov import MarkovParallelEnv
from strategic_envs.errors import IllegalActionError, InvalidGameError
from strategic_envs.games.kinds.markov import MarkovGame

__all__ = ["AlternatingEnv"]


class AlternatingEnv(AECEnv[str, NDArray[np.float32], Any]):
    """A Markov game with turns as a turn-based environment.

    After `max_cycles` moves of every player all are truncated together. Rewards are not discounted.

    Args:
        game: The game; its method `mover(state)` says whose turn it is. Players must move one after the other.
        max_cycles: How often each player moves in an episode.
        render_mode: `"ansi"` returns the period as text, `"human"` prints it.

    Raises:
        InvalidGameError: If the game has no turns, or an option has no meaning.
    """

    metadata: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        "name": "alternating",
        "render_modes": ["human", "ansi"],
        "is_parallelizable": False,
        "render_fps": 4,
    }

    def __init__(self, game: MarkovGame, *, max_cycles: int = 100, render_mode: str | None = None) -> None:
        super().__init__()
        if not hasattr(game, "mover"):
            raise InvalidGameError(f"{game.name}: nobody's turn: expected a game with a method mover(state)")
        check_option(game.name, render_mode, self.metadata["render_modes"], max_cycles)
        self.game, self.max_cycles, self.render_mode = game, max_cycles, render_mode
        self._periods = MarkovParallelEnv(game, max_cycles=max_cycles * game.n_players)
        self._movers: list[int] = self._mover_of(torch.arange(game.n_states)).tolist()
        self.possible_agents = self._periods.possible_agents
        self.agents: list[str] = []
        self.state_space = self._periods.state_space
        self._last: tuple[str, int, list[float]] | None = None

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.game.name})"

    def _mover_of(self, state: torch.Tensor) -> torch.Tensor:
        return self.game.mover(state)  # pyright: ignore[reportAttributeAccessIssue]  # checked in __init__

    def action_space(self, agent: str) -> spaces.Discrete:
        return self._periods.action_space(agent)

    def observation_space(self, agent: str) -> spaces.Box:
        return self._periods.observation_space(agent)

    @property
    def state_row(self) -> int:
        """The state of the game: the row of policy tables."""
        return self._periods.state_row

    def state(self) -> NDArray[np.float32]:
        """The state as the first player observes it."""
        return self._periods.state()

    def observe(self, agent: str) -> NDArray[np.float32]:
        return self._periods._observe(self.possible_agents.index(agent))

    # Play

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Draws an initial state; a seed decides it and every later draw, episodes without a seed of their own too."""
        self._periods.reset(seed, options)
        self.agents, self._last = self.possible_agents.copy(), None
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
        self.infos = {a: {} for a in self.agents}
        self.agent_selection = self.possible_agents[self._movers[self.state_row]]

    def step(self, action: Any) -> None:
        """Plays a period with the action of the player whose turn it is; at the end each player steps with None.

        Raises:
            IllegalActionError: If the player may not play the action, or the episode is over; nothing has changed then.
        """
        if not self.agents:
            raise IllegalActionError(f"{self.game.name}: the episode is over or was not begun: call reset() first")
        agent = self.agent_selection
        if self.truncations[agent]:
            if action is not None:
                raise IllegalActionError(
                    f"{self.game.name}, {agent}: got {action!r}, but the episode is over: step(None)"
                )
            self._was_dead_step(None)
            return
        chosen = self._periods.check_action(agent, action)
        _, rewards, _, truncations, _ = self._periods.step({**dict.fromkeys(self.agents, 0), agent: chosen})
        self._cumulative_rewards[agent] = 0.0
        self.rewards, self.truncations = rewards, truncations
        self._last = (agent, chosen, list(rewards.values()))
        self.infos = self._infos(*self._last)
        self._accumulate_rewards()
        self.agent_selection = self.possible_agents[self._movers[self.state_row]]
        if self.render_mode == "human":
            self.render()

    # Looks

    def _infos(self, agent: str, action: int, rewards: list[float]) -> dict[str, dict[str, Any]]:
        """What is told beside the observations after a period; a subclass may say more."""
        del agent, action, rewards
        return {a: {} for a in self.possible_agents}

    def _describe(self, agent: str, action: int, rewards: list[float]) -> list[str]:
        """Lines about the last period; a subclass may say more."""
        lines = [f"  {a} received {r:.6g}" for a, r in zip(self.possible_agents, rewards, strict=True)]
        return [f"  {agent} played {action}", *lines]

    def render(self) -> str | None:
        """The last period as text: returned in mode `"ansi"`, printed in mode `"human"`."""
        lines = [f"{self.game.name}: period {self._periods._cycle} of {self._periods.max_cycles}"]
        text = "\n".join(lines + (self._describe(*self._last) if self._last else []))
        if self.render_mode == "human":
            print(text)
        return text if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Nothing to close."""
