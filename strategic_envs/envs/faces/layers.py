"""The PettingZoo faces of a network whose layers are players: an action is what a layer adds to its weights.

Rewards are the utilities of the game after the update: minus the loss (minus the layer's own weight decay), on all data
or, with `batch`, on a fresh minibatch every cycle; the next observation is about the same data. In the parallel face
all layers move at once. In the turn-based face they move stage by stage: a layer sees the network with the earlier
stages of this sweep already moved (players of one stage do not see each other), and rewards come at the sweep's end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv

from strategic_envs.envs.faces.aec import check_players
from strategic_envs.envs.faces.layers_base import METADATA, LayersFace, Observation
from strategic_envs.errors import IllegalActionError, InvalidGameError
from strategic_envs.games.kinds.dynamic import DynamicGame

__all__ = ["LayersParallelEnv", "LayersTurnEnv"]


class LayersParallelEnv(LayersFace, ParallelEnv[str, Observation, Any]):
    """All layers move at once.

    Args:
        game: The network and its data.
        max_cycles: Updates in an episode; then all players are truncated together.
        max_update: How far a weight may move in one update.
        batch: The size of the minibatch of a cycle; None means all data.
        observation: `"features"`: the loss, the share of the episode that is over, the norm of the layer's weights and
            of its gradient; `"gradient"`: the layer's part of the ascent field, so that `action = lr * observation`
            is gradient descent; `"states"`: the features and how far the states that reach the layer have moved.
        information: `"open_loop"`, `"closed_loop"` (only turn by turn) or `"cooperative"`; see
            `strategic_envs.envs.faces.layers_information`.
        actions: `"updates"` of all weights, or `"step_sizes"`; see `strategic_envs.envs.faces.layers_actions`.
        max_step: The largest step size.
        direction: What a step size multiplies: `"gradient"` or `"rms"`.
        render_mode: `"ansi"` returns text, `"human"` prints it.

    Raises:
        InvalidGameError: If an option has no meaning.
        UnknownNameError: If there is no such observation, information, kind of actions or direction.

    Example:
        >>> from strategic_envs.games.layers import layers
        >>> env = LayersParallelEnv(layers(samples=100), observation="gradient")
        >>> seen, _ = env.reset(seed=0)
        >>> seen, rewards, *_ = env.step({agent: 0.1 * gradient for agent, gradient in seen.items()})
        >>> later = env.step({agent: 0.1 * gradient for agent, gradient in seen.items()})[1]
        >>> later["player_0"] > rewards["player_0"]
        True
    """

    metadata: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        **METADATA,
        "is_parallelizable": True,
    }

    def __init__(self, game: DynamicGame, **options: Any) -> None:
        if options.get("information") == "closed_loop":
            raise InvalidGameError(
                f"{game.name}: got information='closed_loop' where all layers move at once, so that none can see "
                "another's move: play turn by turn, with env() or LayersTurnEnv, or take 'open_loop' or 'cooperative'"
            )
        super().__init__(game, **options)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Draws new weights; a seed decides them and all later draws, episodes without a seed of their own too."""
        del options
        self._begin(seed)
        return {a: self._observe(a) for a in self.agents}, {a: {"loss": self._now().loss} for a in self.agents}

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Moves all weights.

        Args:
            actions: One update, or one step size, a player.

        Raises:
            InvalidStrategyError: If an update is refused, or players are missing; nothing has changed then.
        """
        if not self.agents and not actions:
            return {}, {}, {}, {}, {}
        check_players(self.game.name, self.agents, actions)
        updates = {a: self._update(a, actions[a]) for a in self.agents}
        before, now = self._now(), self._judge(self._moved(updates), self._data(self._cycle + 1))
        self._standing, self._last = now, list(updates.values())
        for i, field in enumerate(before.field):
            self.actions.accept(i, field)
        self._cycle += 1
        self._begin_cycle()
        everyone, over = self.agents, self._cycle >= self.max_cycles
        if over:
            self.agents = []
        if self.render_mode == "human":
            self.render()
        return (
            {a: self._observe(a) for a in everyone},
            dict(zip(everyone, self._rewards(), strict=True)),
            dict.fromkeys(everyone, False),
            dict.fromkeys(everyone, over),
            {a: {"loss": now.loss} for a in everyone},
        )


class LayersTurnEnv(LayersFace, AECEnv[str, Observation, Any]):
    """The layers move stage by stage, the first stage first; `max_cycles` counts sweeps. Options as of the other face.

    In the closed loop, the default, and in cooperation every stage sees the earlier ones moved; players of one stage
    move at once. In the open loop all weights move when the sweep ends, as if at once.

    Example:
        >>> from strategic_envs.games.layers import layers
        >>> env = LayersTurnEnv(layers(samples=100))
        >>> env.reset(seed=0)
        >>> before = env.observe("player_1")[0]
        >>> env.step(np.full(1040, 0.1, dtype=np.float32))
        >>> env.agent_selection, bool(env.observe("player_1")[0] != before), env.rewards["player_0"]
        ('player_1', True, 0)
    """

    metadata: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        **METADATA,
        "is_parallelizable": False,
    }

    def __init__(self, game: DynamicGame, *, information: str = "closed_loop", **options: Any) -> None:
        super().__init__(game, information=information, **options)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Draws new weights; a seed decides them and all later draws, episodes without a seed of their own too."""
        del options
        self._begin(seed)
        self._pending: dict[str, NDArray[np.float32]] = {}
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
        self.infos = {a: {"loss": self._now().loss} for a in self.agents}
        self.agent_selection = self.agents[0]

    def observe(self, agent: str) -> Observation:
        """What the agent sees of the network as it is now."""
        return self._observe(agent)

    def step(self, action: Any) -> None:
        """Takes the action of the layer whose turn it is.

        Raises:
            InvalidStrategyError: If the update is refused; nothing has changed then.
        """
        if not self.agents:
            raise IllegalActionError(f"{self.game.name}: the episode is over or was not begun: call reset() first")
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        i, stages = self._index[agent], self.game.players
        update, field = self._update(agent, action), self._now().field[i]
        pending = {**self._pending, agent: update}
        sweep_ends = i + 1 == len(stages)
        stage_ends = sweep_ends or (stages[i + 1][0] != stages[i][0] and self.views.information != "open_loop")
        if stage_ends:
            judged = self._data(self._cycle + 1) if sweep_ends else self._now().judged
            self._standing, pending = self._judge(self._moved(pending), judged), {}
        self._pending, self._last[i] = pending, update
        self.actions.accept(i, field)
        self._cumulative_rewards[agent] = 0.0
        self._clear_rewards()
        if sweep_ends:
            self._cycle += 1
            self._begin_cycle()
            self.rewards = dict(zip(self.agents, self._rewards(), strict=True))
            self.truncations = dict.fromkeys(self.agents, self._cycle >= self.max_cycles)
        self.infos = {a: {"loss": self._now().loss} for a in self.agents}
        self._accumulate_rewards()
        self.agent_selection = self.agents[(i + 1) % len(stages)]
        if self.render_mode == "human" and sweep_ends:
            self.render()
