"""The PettingZoo faces of a network whose layers are players: an action is what a layer adds to its weights.

Rewards are the utilities of the game after the update: minus the loss (minus the layer's own weight decay), on all data
or, with `batch`, on a fresh minibatch every cycle; the next observation is about the same data. In the parallel face
all layers move at once. In the turn-based face they move stage by stage: a layer sees the network with the earlier
stages of this sweep already moved (players of one stage do not see each other), and rewards come at the sweep's end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv

from strategic_envs.envs.faces.aec import check_option, check_players
from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError, UnknownNameError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.profile import Profile
from strategic_envs.seeding import numpy_stream

__all__ = ["LayersParallelEnv", "LayersTurnEnv"]

Observation = NDArray[np.float32]

_OBSERVATIONS = ("features", "gradient")
_TOLERANCE = 1e-6  # of float32 rounding, relative to the bound


class _Standing(NamedTuple):
    """Where training stands: weights, the data they are judged on, the loss, each player's utility and gradient."""

    weights: Profile
    judged: DynamicGame
    loss: float
    utilities: list[float]
    field: Profile


class _Face:
    """What both faces share: spaces, checks, initial weights and what is observed."""

    def __init__(
        self,
        game: DynamicGame,
        *,
        max_cycles: int = 20,
        max_update: float = 0.1,
        batch: int | None = None,
        observation: str = "features",
        render_mode: str | None = None,
    ) -> None:
        check_option(game.name, render_mode, ["human", "ansi"], max_cycles)
        if observation not in _OBSERVATIONS:
            raise UnknownNameError("observation", observation, _OBSERVATIONS)
        if not (np.isfinite(max_update) and max_update > 0):
            raise InvalidGameError(f"{game.name}: got max_update={max_update}, expected a finite number > 0")
        samples = len(game.inputs)
        if batch is not None and (type(batch) is not int or not 1 <= batch <= samples):
            raise InvalidGameError(f"{game.name}: got batch={batch!r}, expected None or a whole number in 1..{samples}")
        self.game, self.max_cycles, self.render_mode = game, max_cycles, render_mode
        self.max_update, self.batch, self.observation = float(max_update), batch, observation
        self.possible_agents = [f"player_{i}" for i in range(game.n_players)]
        self.agents: list[str] = []
        self._index = {a: i for i, a in enumerate(self.possible_agents)}
        bound = np.float32(max_update)
        self._action_spaces = {
            a: spaces.Box(-bound, bound, (d,), np.float32) for a, d in zip(self.possible_agents, game.dims, strict=True)
        }
        features = spaces.Box(np.array([0, 0, 0, 0], np.float32), np.array([np.inf, 1, np.inf, np.inf], np.float32))
        self._observation_spaces = {
            a: features if observation == "features" else spaces.Box(-np.inf, np.inf, (d,), np.float32)
            for a, d in zip(self.possible_agents, game.dims, strict=True)
        }
        self.state_space = spaces.Box(-np.inf, np.inf, (sum(game.dims),), np.float32)
        self._rng = np.random.default_rng()
        self._data_seed = 0
        self._cycle = 0
        self._standing: _Standing | None = None

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.game.name})"

    def action_space(self, agent: str) -> spaces.Box:
        """Updates of the agent's weights, float32 `(d,)`."""
        return self._action_spaces[agent]

    def observation_space(self, agent: str) -> spaces.Box:
        """What the agent sees, a float32 vector."""
        return self._observation_spaces[agent]

    def state(self) -> Observation:
        """All weights of the network, players in order."""
        return self._now().weights.flat().cpu().numpy().copy()

    def check_action(self, agent: str, action: object) -> NDArray[np.float32]:
        """The action as a float32 array, if the agent may play it.

        Raises:
            InvalidStrategyError: For a wrong dtype or shape, or a number that is not finite.
            IllegalActionError: For an update beyond `max_update`.
        """
        who, shape = f"{self.game.name}, {agent}", self._action_spaces[agent].shape
        try:
            array = np.asarray(action)
        except (ValueError, TypeError, RuntimeError) as error:
            raise InvalidStrategyError(f"{who}: got {action!r}, which is no array: {error}") from error
        if array.dtype.kind != "f" or array.shape != shape:
            raise InvalidStrategyError(
                f"{who}: got an update of dtype {array.dtype} and shape {array.shape}, expected float32 and {shape}: "
                "one number a weight"
            )
        size = float(np.abs(array).max())
        if not np.isfinite(size):
            raise InvalidStrategyError(
                f"{who}: got a value that is NaN or infinite, expected finite numbers: check the learner"
            )
        if size > self.max_update * (1 + _TOLERANCE):
            raise IllegalActionError(
                f"{who}: got an update of size {size:g}, expected at most max_update={self.max_update:g} in every "
                "weight: clip it first, or make the environment with a larger max_update"
            )
        return array.astype(np.float32)

    def _now(self) -> _Standing:
        if self._standing is None:
            raise IllegalActionError(f"{self.game.name}: no episode was begun: call reset() first")
        return self._standing

    def _begin(self, seed: int | None) -> None:
        if seed is not None:
            self._rng = numpy_stream(seed, "environment")
        start, self._data_seed = (int(s) for s in self._rng.integers(2**63, size=2))
        self.agents, self._cycle = list(self.possible_agents), 0
        self._standing = self._judge(self.game.initial(start, dtype=torch.float32), self._data(0))

    def _data(self, cycle: int) -> DynamicGame:
        """The game on the data of a cycle; the same in every episode unless there are minibatches."""
        return self.game if self.batch is None else self.game.minibatch(cycle, self.batch, self._data_seed)

    def _judge(self, weights: Profile, judged: DynamicGame) -> _Standing:
        loss, field = judged.loss_and_field(weights)
        decays = zip(self.game.weight_decay, weights, strict=True)
        utilities = [-float(loss) - (w / 2 * float(t.square().sum()) if w else 0.0) for w, t in decays]
        if not (np.isfinite(utilities).all() and bool(field.isfinite())):
            raise InvalidStrategyError(
                f"{self.game.name}: these updates make the loss {float(loss)}, which ends training: they were not "
                "made, play smaller ones"
            )
        return _Standing(weights, judged, float(loss), utilities, field)

    def _moved(self, updates: Mapping[str, NDArray[np.float32]]) -> Profile:
        weights = self._now().weights
        for agent, update in updates.items():
            i = self._index[agent]
            weights = weights.replace(i, weights[i] + torch.from_numpy(update).to(weights[i].device))
        return weights

    def _observe(self, agent: str) -> Observation:
        now, i = self._now(), self._index[agent]
        if self.observation == "gradient":
            return now.field[i].cpu().numpy().astype(np.float32)
        share = min(self._cycle / self.max_cycles, 1.0)
        values = [now.loss, share, float(now.weights[i].norm()), float(now.field[i].norm())]
        return np.array(values, dtype=np.float32)

    def render(self) -> str | None:
        """Loss, accuracy and weights as text: returned in mode `"ansi"`, printed in mode `"human"`."""
        now = self._now()
        head = f"{self.game.name}: cycle {self._cycle} of {self.max_cycles}, loss {now.loss:.6f}"
        if not self.game.targets.is_floating_point():
            head += f", accuracy {float(now.judged.accuracy(now.weights)):.4f}"
        rows = zip(self.possible_agents, now.weights, now.field, strict=True)
        lines = [f"  {a}: {len(w)} weights of norm {w.norm():.4f}, gradient of norm {g.norm():.4f}" for a, w, g in rows]
        text = "\n".join([head, *lines])
        if self.render_mode == "human":
            print(text)
        return text if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Nothing to close."""


_METADATA: dict[str, Any] = {"name": "layers", "render_modes": ["human", "ansi"], "render_fps": 4}


class LayersParallelEnv(_Face, ParallelEnv[str, Observation, Any]):
    """All layers move at once.

    Args:
        game: The network and its data.
        max_cycles: Updates in an episode; then all players are truncated together.
        max_update: How far a weight may move in one update.
        batch: The size of the minibatch of a cycle; None means all data.
        observation: `"features"`: the loss, the share of the episode that is over, the norm of the layer's weights and
            of its gradient; `"gradient"`: the layer's part of the ascent field, so that `action = lr * observation`
            is gradient descent.
        render_mode: `"ansi"` returns text, `"human"` prints it.

    Raises:
        InvalidGameError: If an option has no meaning.
        UnknownNameError: If there is no such observation.

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
        **_METADATA,
        "is_parallelizable": True,
    }

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
            actions: One update a player.

        Raises:
            InvalidStrategyError: If an update is refused, or players are missing; nothing has changed then.
        """
        if not self.agents and not actions:
            return {}, {}, {}, {}, {}
        check_players(self.game.name, self.agents, actions)
        updates = {a: self.check_action(a, actions[a]) for a in self.agents}
        self._standing = now = self._judge(self._moved(updates), self._data(self._cycle + 1))
        self._cycle += 1
        everyone, over = self.agents, self._cycle >= self.max_cycles
        if over:
            self.agents = []
        if self.render_mode == "human":
            self.render()
        return (
            {a: self._observe(a) for a in everyone},
            dict(zip(everyone, now.utilities, strict=True)),
            dict.fromkeys(everyone, False),
            dict.fromkeys(everyone, over),
            {a: {"loss": now.loss} for a in everyone},
        )


class LayersTurnEnv(_Face, AECEnv[str, Observation, Any]):
    """The layers move stage by stage, the first stage first; `max_cycles` counts sweeps. Options as of the other face.

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
        **_METADATA,
        "is_parallelizable": False,
    }

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
        """Takes the update of the layer whose turn it is.

        Raises:
            InvalidStrategyError: If the update is refused; nothing has changed then.
        """
        if not self.agents:
            raise IllegalActionError(f"{self.game.name}: the episode is over or was not begun: call reset() first")
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        pending = {**self._pending, agent: self.check_action(agent, action)}
        i, stages = self._index[agent], self.game.players
        sweep_ends = i + 1 == len(stages)
        stage_ends = sweep_ends or stages[i + 1][0] != stages[i][0]
        if stage_ends:
            judged = self._data(self._cycle + 1) if sweep_ends else self._now().judged
            self._standing, pending = self._judge(self._moved(pending), judged), {}
        self._pending = pending
        self._cumulative_rewards[agent] = 0.0
        self._clear_rewards()
        if sweep_ends:
            self._cycle += 1
            self.rewards = dict(zip(self.agents, self._now().utilities, strict=True))
            self.truncations = dict.fromkeys(self.agents, self._cycle >= self.max_cycles)
        self.infos = {a: {"loss": self._now().loss} for a in self.agents}
        self._accumulate_rewards()
        self.agent_selection = self.agents[(i + 1) % len(stages)]
        if self.render_mode == "human" and sweep_ends:
            self.render()
