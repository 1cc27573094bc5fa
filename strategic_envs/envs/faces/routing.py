"""The PettingZoo face of a congestion game: players choose ways, and see what these cost at everybody's choices.

A player is a population that acts with the shares of its paths, or an atomic player that takes one of them. Its reward
is minus its (mean) cost. What it observes is its own: the last action, what each of its paths would have cost, and a
flag that is 1 before anything was played. The state is the load and the cost of every link, and the flag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from strategic_envs.envs.faces.one_shot import Observation, OneShotParallelEnv
from strategic_envs.envs.faces.traffic import Traffic, bounds_of, traffic
from strategic_envs.envs.faces.window import Window
from strategic_envs.errors import InvalidGameError, require
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.congestion.atomic import AtomicCongestionGame
from strategic_envs.games.routing.network import Network
from strategic_envs.games.routing.picture import draw_network, picture_of, places

__all__ = ["RoutingParallelEnv"]

_TOLD = 12  # links and players that a text lists
_DRAWING = ("figure", "backends.backend_agg")
_INCHES, _DOTS = (6.4, 4.8), 100  # of a frame


class RoutingParallelEnv(OneShotParallelEnv):
    """A congestion game as a parallel environment.

    Every info holds the `loads` and `costs` of all links, float64 `(E,)`, the `excess` of all players together, the
    `regret` of this one (its cost minus that of its cheapest path), and `total_cost`. See `Traffic`.

    Args:
        game: Populations on resources, or atomic players.
        observation: `"costs"`: one's own last action, one number a path, what one's paths cost then, and the flag.
            `"actions"`: everybody's last actions and the flag.
        max_cycles: How often the game is played before all players are truncated together.
        render_mode: `"ansi"` returns the traffic as text; `"rgb_array"` a picture of the network with its flows, which
            `"human"` shows in a window. Pictures are of games on a network.

    Raises:
        InvalidGameError: If the game is of another kind, or an option has no meaning for it.
        MissingExtraError: If a picture is asked for, and matplotlib or, for the window, pygame is not installed.

    Example:
        >>> from strategic_envs.games.catalogue import game
        >>> env = RoutingParallelEnv(game("pigou"))
        >>> _ = env.reset(seed=0)
        >>> observations, rewards, _, _, infos = env.step({"player_0": np.array([0.5, 0.5], dtype=np.float32)})
        >>> observations["player_0"].tolist(), rewards["player_0"], infos["player_0"]["excess"]
        ([0.5, 0.5, 1.0, 0.5, 0.0], -0.75, 0.25)
    """

    metadata: ClassVar[dict[str, Any]] = {
        **OneShotParallelEnv.metadata,
        "name": "routing",
        "render_modes": ["human", "ansi", "rgb_array"],
    }
    game: CongestionGame | AtomicCongestionGame

    def __init__(
        self,
        game: CongestionGame | AtomicCongestionGame,
        *,
        observation: str = "costs",
        max_cycles: int = 1,
        render_mode: str | None = None,
    ) -> None:
        if not isinstance(game, CongestionGame | AtomicCongestionGame):
            raise InvalidGameError(
                f"got a {type(game).__name__}, expected a CongestionGame or an AtomicCongestionGame: other games have "
                "continuous_game_v0"
            )
        if observation not in ("costs", "actions"):
            raise InvalidGameError(f"{game.name}: got observation={observation!r}, expected 'costs' or 'actions'")
        self.observation = observation
        self._bounds = bounds_of(game)
        self._traffic: Traffic | None = None  # of what was last played
        self._points: Sequence[Tensor] = ()
        super().__init__(game, max_cycles=max_cycles, render_mode=render_mode)
        self._numbers = {a: i for i, a in enumerate(self.possible_agents)}
        self._window = self._check_pictures(render_mode)
        self._places: NDArray[np.float64] | None = None

    def _check_pictures(self, render_mode: str | None) -> Window | None:
        if render_mode not in ("human", "rgb_array"):
            return None
        if self.network is None:
            raise InvalidGameError(
                f"{self.game.name}: got render_mode={render_mode!r}, but there is no network to draw: use 'ansi', or "
                "play a RoutingGame"
            )
        require("matplotlib.figure", "plots", "The picture of a network")
        return Window(str(self.metadata["name"])) if render_mode == "human" else None

    @property
    def network(self) -> Network | None:
        """The network that the game is played on, if there is one."""
        return getattr(self.game, "network", None)

    # Spaces and observations

    def _make_observation_space(self, player: int) -> spaces.Box:
        if self.observation == "actions":
            return super()._make_observation_space(player)
        own, most, least = (
            self.game.dims[player],
            self._bounds.path_costs[player],
            self._bounds.least_path_costs[player],
        )
        return _box([np.zeros(own), least, [0.0]], [np.ones(own), most, [1.0]])

    def _make_state_space(self) -> spaces.Box:
        none = np.zeros_like(self._bounds.loads)
        return _box([none, self._bounds.least_costs, [0.0]], [self._bounds.loads, self._bounds.costs, [1.0]])

    def state(self) -> Observation:
        """The loads of all links, their costs, and the flag, `(2E + 1,)`; zeros and 1 before anything was played."""
        if self._traffic is None:
            return _nothing(self.state_space)
        return _within(self.state_space, [self._traffic.loads, self._traffic.costs, [0.0]])

    def _observe(self, agent: str) -> Observation:
        if self.observation == "actions":
            return self._state.copy()
        space, player = self._observation_spaces[agent], self._numbers[agent]
        if self._traffic is None:
            return _nothing(space)
        return _within(space, [self._points[player].numpy(), self._traffic.path_costs[player], [0.0]])

    def _info(self, agent: str) -> dict[str, Any]:
        seen = self._traffic
        if seen is None:
            return {}
        regret = float(seen.regrets[self._numbers[agent]])
        whole = {"loads": seen.loads, "costs": seen.costs, "excess": seen.excess, "total_cost": seen.total_cost}
        return {**whole, "regret": regret}

    # Play

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        self._traffic, self._points = None, ()
        return super().reset(seed, options)

    def _encode(self, played: Mapping[str, NDArray[Any]]) -> Observation:
        actions = [torch.from_numpy(np.asarray(action)) for action in played.values()]
        if self._discrete():
            self._points = [one_hot(a.long(), n).double() for a, n in zip(actions, self.game.dims, strict=True)]
        else:
            self._points = self.game.project([a.double() for a in actions])
        self._traffic = traffic(self.game, self._points)
        return super()._encode(played)

    # Looks

    def render(self) -> str | NDArray[np.uint8] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The last traffic: text in mode `"ansi"`, a picture `(480, 640, 3)` in `"rgb_array"`, or a window."""
        if self.render_mode == "ansi":
            return self._text()
        if self.render_mode == "rgb_array":
            return self._image()
        if self.render_mode == "human":
            assert self._window is not None, "it was made at the start"
            self._window.show(self._image())
        return None

    def _text(self) -> str:
        seen, lines = self._traffic, [f"{self.game.name}: {self._cycle} of {self.max_cycles} played"]
        if seen is None:
            return lines[0]
        lines[0] += f", total cost {seen.total_cost:g}, excess {seen.excess:g}"
        names = [f"resource {e}" for e in range(len(seen.loads))] if self.network is None else self.network.names
        busiest = sorted(np.argsort(-seen.loads, kind="stable")[:_TOLD].tolist())
        lines += [f"  {names[e]}: load {seen.loads[e]:g}, cost {seen.costs[e]:g}" for e in busiest]
        lines += ["  ..."] if len(names) > _TOLD else []
        who = list(self._last.items())
        lines += [f"  {a} pays {-reward:g}" for a, (_, reward) in who[:_TOLD]]
        return "\n".join(lines + (["  ..."] if len(who) > _TOLD else []))

    def _image(self) -> NDArray[np.uint8]:
        """The picture of the network; without any flow before anything was played."""
        figures, agg = (require(f"matplotlib.{m}", "plots", "The picture of a network") for m in _DRAWING)
        network, seen = self.network, self._traffic
        assert network is not None, "it was checked at the start"
        trips = list(dict.fromkeys(getattr(self.game, "pairs", ())))
        if self._places is None:
            self._places = places(network, trips)
        empty = network.costs.value(torch.zeros(len(network.tails), dtype=torch.float64)).numpy()
        loads, costs = (np.zeros_like(empty), empty) if seen is None else (seen.loads, seen.costs)
        figure = figures.Figure(figsize=_INCHES, dpi=_DOTS, layout="constrained")
        canvas = agg.FigureCanvasAgg(figure)
        axes = figure.subplots()
        picture = picture_of(network, loads, costs, trips=trips, positions=self._places)
        colours = draw_network(axes, picture, limits=self._limits(empty))
        figure.colorbar(colours, ax=axes, shrink=0.7, label="cost of a link").outline.set_visible(False)
        axes.set_title(self._text().partition("\n")[0], fontsize=9, loc="left")
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def _limits(self, empty: NDArray[np.float64]) -> tuple[float, float]:
        """The same colours in every frame: from the cheapest empty link to the dearest when paths are used alike."""
        alike = traffic(self.game, [s.centre() for s in self.game.sets]) if not self._discrete() else None
        most = self._bounds.costs if alike is None else alike.costs
        return float(empty.min()), float(max(most.max(), empty.max()))

    def close(self) -> None:
        """Closes the window, if there is one."""
        if self._window is not None:
            self._window.close()


def _box(low: Sequence[Any], high: Sequence[Any]) -> spaces.Box:
    """The box around such numbers and zero, which stands for nothing played."""
    least, most = (np.concatenate(parts).astype(np.float32) for parts in (low, high))
    least, most = np.minimum(least, 0), np.maximum(most, 0)
    most = np.where(most > least, most, least + 1)  # a link that always costs nothing leaves room too, as checkers want
    return spaces.Box(least, most, dtype=np.float32)


def _nothing(space: spaces.Box) -> Observation:
    """Zeros, and the flag that says so."""
    seen = np.zeros(space.shape, dtype=np.float32)
    seen[-1] = 1.0
    return seen


def _within(space: spaces.Box, parts: Sequence[Any]) -> Observation:
    """Numbers as float32, which rounds them, inside their space."""
    return np.clip(np.concatenate(parts).astype(np.float32), space.low, space.high)
