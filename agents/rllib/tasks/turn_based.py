"""Turn-based games: a masked network, or a table of logits, over what the mover sees; sampled or exact gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box as BoxSpace
from gymnasium.spaces import Dict as DictSpace
from gymnasium.spaces import Discrete
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.rllib.exact_turn_based import regularised_fields
from strategic_envs.agents.rllib.modules import MaskedNetwork, TableOfLogits, observation_keys
from strategic_envs.agents.rllib.rollout_turn_based import rollout_turn_based
from strategic_envs.agents.rllib.sampling import Scores, softmax_slope
from strategic_envs.agents.rllib.seats import MaskedPolicy, policy_tables, seats
from strategic_envs.agents.rllib.tasks.base import Draw, Options, Sample, Task, flat_gradient
from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.tabular import tabular_fields
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.play import TabularPlay

__all__ = ["TurnBasedTask"]

_GAMES, _HIDDEN = 1024, (64, 64)
_CPU = torch.device("cpu")


class TurnBasedTask(Task):
    """A `TurnBasedGame` whose players learn masked networks, or with `strategy="logits"` a table of logits each.

    Sampled gradients come from whole games; exact ones from one sweep over all states and back.
    """

    step_size: ClassVar[float] = 1.0
    fields: tuple[str, ...] = ("sampled", "exact")
    regularises: ClassVar[bool] = True
    game: TurnBasedGame

    def __init__(self, game: TurnBasedGame, options: Options) -> None:
        if options.strategy == "coordinates":
            raise InvalidSettingError(
                f"{game.name}: got strategy='coordinates', expected 'logits', one for each action at each state, or "
                "None for a network"
            )
        self.tabular = options.strategy == "logits"
        if self.tabular and options.hidden is not None:
            raise InvalidSettingError(
                f"{game.name}: got hidden={options.hidden} and strategy='logits', but a table has no hidden layers: "
                "give strategy=None for a network, or leave out hidden"
            )
        super().__init__(game, options)

    @property
    def parameterisation(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return "logits" if self.tabular else "network"

    def specs(self) -> tuple[RLModuleSpec, ...]:
        return tuple(self._spec(i) for i in range(self.game.n_players))

    def _spec(self, player: int) -> RLModuleSpec:
        actions, seat = self.game.n_actions, seats(self.game, _CPU)[player]
        hidden = _HIDDEN if self.options.hidden is None else tuple(self.options.hidden)
        network = {"hidden": hidden, "seed": self.options.seed, "player": player}
        seen = BoxSpace(-np.inf, np.inf, (seat.obs.shape[-1],), np.float32)
        return RLModuleSpec(
            TableOfLogits if self.tabular else MaskedNetwork,
            observation_space=DictSpace({"observation": seen, "action_mask": BoxSpace(0, 1, (actions,), np.int8)}),
            action_space=Discrete(actions),
            model_config={"keys": observation_keys(seat.obs).unique().numpy()} if self.tabular else network,
        )

    def sample(self, modules: Sequence[TorchRLModule], generator: torch.Generator, draw: Draw | None = None) -> Sample:
        policies = [_inference(m) for m in modules]
        games, shaped = self.options.games or _GAMES, self._shaping(draw)
        return Sample(*rollout_turn_based(self.paid, policies, games, generator, **shaped))

    def scores(self, module: TorchRLModule, scores: Scores) -> Tensor:
        seen = {"observation": scores.obs, "action_mask": scores.mask}
        return module.forward_train({Columns.OBS: seen})[Columns.ACTION_DIST_INPUTS]

    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        logits = self._logits(modules)
        slopes = self._slopes(logits, self.game, draw)
        gradients = []
        for i in players:
            slope = slopes[i][seats(self.game, _CPU)[i].rows].to(logits[i].device)
            gradients.append(flat_gradient(logits[i].double().softmax(-1), modules[i], slope))
        return gradients

    def exact_scores(self, modules: Sequence[TorchRLModule], draw: Draw | None) -> Sample:
        with torch.no_grad():
            logits = self._logits(modules)
        slopes, own = self._slopes(logits, self.paid, draw), seats(self.game, logits[0].device)
        scores = []
        for z, slope, seat in zip(logits, slopes, own, strict=True):
            here = slope.to(z.device)[seat.rows]
            scores.append(Scores(seat.obs, seat.mask, softmax_slope(z.double().softmax(-1), here)))
        return Sample(scores, 0)

    def _slopes(self, logits: Sequence[Tensor], game: TurnBasedGame, draw: Draw | None) -> Sequence[Tensor]:
        """Every player's gradient in the entries of its policy table, on the CPU."""
        tables = policy_tables(game, [t.detach().cpu() for t in logits])
        shaping = self._shaping(draw)
        if any(shaping.values()):
            return regularised_fields(game, tables, **shaping)
        return tabular_fields(game, TabularPlay(tables))

    def _shaping(self, draw: Draw | None) -> dict[str, float]:
        """What is ascended beside the player's own utility in a step; nothing in a measurement, which has no draw."""
        if draw is None:
            return {"temperature": 0.0, "exploring_starts": 0.0}
        own = self.regularisation
        return {"temperature": own.temperature(draw.iteration), "exploring_starts": own.exploring_starts}

    def _logits(self, modules: Sequence[TorchRLModule]) -> list[Tensor]:
        """Every player's logits `(K, A)` at the states where it moves, differentiable."""
        rows = []
        for i, module in enumerate(modules):
            seat = seats(self.game, next(module.parameters()).device)[i]
            rows.append(self.scores(module, Scores(seat.obs, seat.mask, seat.mask)))
        return rows

    def play(self, modules: Sequence[TorchRLModule]) -> TabularPlay:
        with torch.no_grad():
            return TabularPlay(policy_tables(self.game, [t.cpu() for t in self._logits(modules)]))


def _inference(module: TorchRLModule) -> MaskedPolicy:
    def policy(obs: Tensor, mask: Tensor) -> Tensor:
        seen = {"observation": obs, "action_mask": mask}
        return module.forward_inference({Columns.OBS: seen})[Columns.ACTION_DIST_INPUTS]

    return policy
