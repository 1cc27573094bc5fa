"""The PettingZoo face of a Markov game: all players act at once, rewards are the payoffs of the period.

The face owns no rules. It looks outcomes and observations up in the game's own tables where these are small, and asks
the game otherwise; both ways give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from strategic_envs.envs.faces.aec import check_option, check_players, whole_number
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.seeding import numpy_stream

__all__ = ["MarkovParallelEnv"]

Observation = NDArray[np.float32]
Infos = dict[str, dict[str, Any]]

_LOOKUP_LIMIT = 2**18  # pairs of state and joint action that are tabulated for single steps


class _Lookup(NamedTuple):
    next_state: NDArray[np.int64]  # (S, J, K)
    probability: NDArray[np.float64]  # (S, J, K)
    payoff: NDArray[np.float64]  # (S, J, n)
    observation: list[Observation]  # one (S, obs) a player


class MarkovParallelEnv(ParallelEnv[str, Observation, int]):
    """A Markov game as a parallel environment with discrete actions.

    The game goes on for ever; after `max_cycles` periods all players are truncated together. The discount factor is the
    game's, not the environment's: rewards are not discounted.

    Args:
        game: The game.
        max_cycles: Periods in an episode.
        render_mode: `"ansi"` returns the period as text, `"human"` prints it.

    Raises:
        InvalidGameError: If an option has no meaning.
    """

    metadata: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        "name": "markov",
        "render_modes": ["human", "ansi"],
        "is_parallelizable": True,
        "render_fps": 4,
    }

    def __init__(self, game: MarkovGame, *, max_cycles: int = 100, render_mode: str | None = None) -> None:
        check_option(game.name, render_mode, self.metadata["render_modes"], max_cycles)
        self.game, self.max_cycles, self.render_mode = game, max_cycles, render_mode
        self.possible_agents = [f"player_{i}" for i in range(game.n_players)]
        self.agents: list[str] = []
        size = game.observe(torch.zeros(1, dtype=torch.int64), 0).shape[-1]
        self._observation_spaces = {a: spaces.Box(0.0, 1.0, (size,), np.float32) for a in self.possible_agents}
        self._action_spaces = {a: spaces.Discrete(k) for a, k in zip(self.possible_agents, game.n_actions, strict=True)}
        self.state_space = spaces.Box(0.0, 1.0, (size,), np.float32)
        self._rng = np.random.default_rng()
        self._state = 0
        self._cycle = 0
        self._last: tuple[list[int], list[float]] | None = None
        self._lookup: _Lookup | None = None

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.game.name})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lookup": None}  # it is built again when it is needed

    def action_space(self, agent: str) -> spaces.Discrete:
        return self._action_spaces[agent]

    def observation_space(self, agent: str) -> spaces.Box:
        return self._observation_spaces[agent]

    @property
    def state_row(self) -> int:
        """The state of the game: the row of policy tables."""
        return self._state

    def state(self) -> Observation:
        """The state as the first player observes it."""
        return self._observe(0)

    # Play

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], Infos]:
        """Draws an initial state; a seed decides it and every later draw, episodes without a seed of their own too."""
        del options
        if seed is not None:
            self._rng = numpy_stream(seed, "environment")
        self._begin(torch.Generator().manual_seed(int(self._rng.integers(2**63))))
        self.agents, self._cycle, self._last = list(self.possible_agents), 0, None
        return self._observations(), {a: {} for a in self.agents}

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Plays a period.

        Args:
            actions: One action a player.

        Raises:
            IllegalActionError: If an action is not one of the player's, or a player is missing; then nothing changes.
        """
        if not self.agents and not actions:
            return {}, {}, {}, {}, {}
        check_players(self.game.name, self.agents, actions)
        joint = [self.check_action(a, actions[a]) for a in self.agents]
        rewards = self._advance(joint)
        self._cycle += 1
        self._last = (joint, rewards)
        everyone, over = self.agents, self._cycle >= self.max_cycles
        observations, infos = self._observations(), self._infos(joint, rewards)
        if over:
            self.agents = []
        if self.render_mode == "human":
            self.render()
        return (
            observations,
            dict(zip(everyone, rewards, strict=True)),
            dict.fromkeys(everyone, False),
            dict.fromkeys(everyone, over),
            infos,
        )

    def check_action(self, agent: str, action: object) -> Any:
        """The action as an integer, if the agent may play it.

        Raises:
            IllegalActionError: If it may not; the message says what was got and what was expected.
        """
        return whole_number(action, int(self._action_spaces[agent].n), f"{self.game.name}, {agent}")

    def _begin(self, stream: torch.Generator) -> None:
        """Draws the initial state; a subclass may have states of another kind."""
        self._state = int(self.game.sample_initial(1, stream))

    def _advance(self, joint: list[Any]) -> list[float]:
        """Moves on to the next state, drawn where there are several, and pays; a subclass may draw payoffs too."""
        following, probability, payoff = self._outcome(joint)
        self._state = int(following[self._draw(probability) if len(following) > 1 else 0])
        return payoff.tolist()

    def _draw(self, probability: NDArray[np.float64]) -> int:
        """A number drawn with these probabilities."""
        drawn = int(np.searchsorted(probability.cumsum(), self._rng.random() * probability.sum(), side="right"))
        return min(drawn, len(probability) - 1)

    def _outcome(self, joint: list[int]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        lookup = self._tables()
        if lookup is not None:
            row = 0
            for action, k in zip(joint, self.game.n_actions, strict=True):
                row = row * k + action
            return (
                lookup.next_state[self._state, row],
                lookup.probability[self._state, row],
                lookup.payoff[self._state, row],
            )
        outcome = self.game.outcomes(torch.tensor(self._state), torch.tensor(joint))
        return tuple(t.numpy() for t in outcome)  # pyright: ignore[reportReturnType]  # three of them

    def _observe(self, player: int) -> Observation:
        lookup = self._tables()
        if lookup is not None:
            return lookup.observation[player][self._state].copy()
        return self.game.observe(torch.tensor(self._state), player).numpy().copy()

    def _observations(self) -> dict[str, Observation]:
        return {a: self._observe(i) for i, a in enumerate(self.possible_agents)}

    def _tables(self) -> _Lookup | None:
        if self._lookup is None and self.game.n_states * np.prod(self.game.n_actions, dtype=float) <= _LOOKUP_LIMIT:
            tables, states = self.game.tables(), torch.arange(self.game.n_states)
            self._lookup = _Lookup(
                tables.next_state.numpy(),
                tables.probability.numpy(),
                tables.payoff.numpy(),
                [self.game.observe(states, i).numpy() for i in range(self.game.n_players)],
            )
        return self._lookup

    # Looks

    def _infos(self, joint: list[Any], rewards: list[float]) -> Infos:
        """What is told beside the observations after a period; a subclass may say more."""
        del joint, rewards
        return {a: {} for a in self.possible_agents}

    def _describe(self, joint: list[Any], rewards: list[float]) -> list[str]:
        """A line a player about the last period; a subclass may say more."""
        return [
            f"  {a} played {k}, received {r:.6g}" for a, k, r in zip(self.possible_agents, joint, rewards, strict=True)
        ]

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The last period as text: returned in mode `"ansi"`, printed in mode `"human"`."""
        lines = [f"{self.game.name}: period {self._cycle} of {self.max_cycles}"]
        text = "\n".join(lines + (self._describe(*self._last) if self._last else []))
        if self.render_mode == "human":
            print(text)
        return text if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Nothing to close."""
