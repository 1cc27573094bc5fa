"""What the two faces of layers as players share: spaces, checks, initial weights and what is observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from strategic_envs.envs.faces.aec import check_option
from strategic_envs.envs.faces.layers_actions import checked, layer_actions
from strategic_envs.envs.faces.layers_information import Views, state_changes
from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.stages import State
from strategic_envs.profile import Profile
from strategic_envs.seeding import numpy_stream

__all__ = ["METADATA", "LayersFace", "Observation", "Standing"]

Observation = NDArray[np.float32]
METADATA: dict[str, Any] = {"name": "layers", "render_modes": ["human", "ansi"], "render_fps": 4}


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
        information: str = "open_loop",
        actions: str = "updates",
        max_step: float = 1.0,
        direction: str = "gradient",
        render_mode: str | None = None,
    ) -> None:
        check_option(game.name, render_mode, ["human", "ansi"], max_cycles)
        self.views = Views(game, observation, information)
        self.actions = layer_actions(game.name, game.dims, actions, max_update, max_step, direction)
        self.observation, self.max_update, self.max_step = observation, float(max_update), float(max_step)
        samples = len(game.inputs)
        if batch is not None and (type(batch) is not int or not 1 <= batch <= samples):
            raise InvalidGameError(f"{game.name}: got batch={batch!r}, expected None or a whole number in 1..{samples}")
        self.game, self.max_cycles, self.render_mode, self.batch = game, max_cycles, render_mode, batch
        self.possible_agents = [f"player_{i}" for i in range(game.n_players)]
        self.agents: list[str] = []
        self._index = {a: i for i, a in enumerate(self.possible_agents)}
        self.state_space = spaces.Box(-np.inf, np.inf, (sum(game.dims),), np.float32)
        self._rng = np.random.default_rng()
        self._data_seed = 0
        self._cycle = 0
        self._standing: Standing | None = None
        self._nominal: tuple[State, ...] | None = None
        self._last: list[NDArray[np.float32]] = []

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.game.name})"

    def action_space(self, agent: str) -> spaces.Box:
        """Updates of the agent's weights, float32 `(d,)`, or step sizes, float32 `(1,)`."""
        return self.actions.spaces[self._index[agent]]

    def observation_space(self, agent: str) -> spaces.Box:
        """What the agent sees, a float32 vector."""
        return self.views.spaces[self._index[agent]]

    def state(self) -> Observation:
        """All weights of the network, players in order."""
        return self._now().weights.flat().cpu().numpy().copy()

    def check_action(self, agent: str, action: object) -> NDArray[np.float32]:
        """The action as a float32 array, if the agent may play it.

        Raises:
            InvalidStrategyError: For a wrong dtype or shape, or a number that is not finite.
            IllegalActionError: For an update beyond `max_update`, or a step size beyond `max_step`.
        """
        return checked(self.game.name, agent, self._index[agent], self.actions, action)

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
        self._last = [np.zeros(d, dtype=np.float32) for d in self.game.dims]
        self.actions.begin()
        self._begin_cycle()

    def _begin_cycle(self) -> None:
        """Keeps the states that later changes are counted from."""
        if self.views.observation == "states":
            now = self._now()
            self._nominal = now.judged.trace(now.weights)

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

    def _update(self, agent: str, action: object) -> NDArray[np.float32]:
        """The change of the agent's weights that its action means."""
        i = self._index[agent]
        return self.actions.update(i, self.check_action(agent, action), self._now().field[i])

    def _observe(self, agent: str) -> Observation:
        now, changes = self._now(), []
        if self._nominal is not None:
            changes = state_changes(now.judged.trace(now.weights), self._nominal)
        return self.views.see(
            self._index[agent],
            loss=now.loss,
            share=min(self._cycle / self.max_cycles, 1.0),
            weights=now.weights,
            field=now.field,
            changes=changes,
            last=self._last,
        )

    def _rewards(self) -> list[float]:
        """What each player is paid where training stands."""
        now = self._now()
        return self.views.rewards(now.loss, now.utilities)

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
