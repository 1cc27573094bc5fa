"""What the two faces of layers as players share: spaces, checks, initial weights and what is observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from strategic_envs.envs.faces.aec import check_option
from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError, UnknownNameError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.profile import Profile
from strategic_envs.seeding import numpy_stream

__all__ = ["METADATA", "LayersFace", "Observation", "Standing"]

Observation = NDArray[np.float32]
METADATA: dict[str, Any] = {"name": "layers", "render_modes": ["human", "ansi"], "render_fps": 4}

_OBSERVATIONS = ("features", "gradient")
_TOLERANCE = 1e-6  # of float32 rounding, relative to the bound


class Standing(NamedTuple):
    """Where training stands: weights, the data they are judged on, the loss, each player's utility and gradient."""

    weights: Profile
    judged: DynamicGame
    loss: float
    utilities: list[float]
    field: Profile


class LayersFace:
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
        self._standing: Standing | None = None

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

    def _now(self) -> Standing:
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

    def _judge(self, weights: Profile, judged: DynamicGame) -> Standing:
        loss, field = judged.loss_and_field(weights)
        decays = zip(self.game.weight_decay, weights, strict=True)
        utilities = [-float(loss) - (w / 2 * float(t.square().sum()) if w else 0.0) for w, t in decays]
        if not (np.isfinite(utilities).all() and bool(field.isfinite())):
            raise InvalidStrategyError(
                f"{self.game.name}: these updates make the loss {float(loss)}, which ends training: they were not "
                "made, play smaller ones"
            )
        return Standing(weights, judged, float(loss), utilities, field)

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
