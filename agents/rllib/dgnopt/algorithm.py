"""The algorithm of DGNOpt: an iteration is so many steps of the teams, an evaluation measures every gap."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from strategic_envs.agents.rllib.dgnopt.config import DGNOptConfig
from strategic_envs.agents.rllib.dgnopt.learner import Move, advance, restore, save
from strategic_envs.agents.rllib.game_algorithm import REFUSED, GameAlgorithm
from strategic_envs.profile import Profile

__all__ = ["DGNOptAlgorithm"]


class DGNOptAlgorithm(GameAlgorithm):
    """Trains networks by DGNOpt: those of players who play, or the one whose layers are the players.

    See `GameAlgorithm` for what it reports. The outcome is `"running"` until a gradient is not finite (`"nonfinite"`)
    or DGNOpt refuses a step because its loss or its update would not be (`"diverged"`); `explain` says what it was.
    """

    config: DGNOptConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    @classmethod
    def get_default_config(cls) -> DGNOptConfig:
        return DGNOptConfig()

    def _begin(self) -> str:
        self._x = self.task.initial().to(self._device())
        self._reason = ""
        return "running"

    def point(self) -> Profile:
        return self._x

    def _advance(self, played: Profile) -> tuple[Profile, str]:
        draw, sample = self.oracle.drawn(played)
        x = played.detach().clone()
        move: Move = self._each_learner(partial(advance, x=x, draw=draw, sample=sample))[0]
        self.oracle.end()
        if move.outcome in REFUSED:
            self._reason = move.reason
        else:
            self._x = Profile(t.detach().clone() for t in move.point).to(played[0].device)
        return Profile(move.field), move.outcome

    def explain(self) -> str:
        return self._reason

    def about(self) -> dict[str, Any]:
        settings = {**self.config.optimizer_settings(), "objective": self.config.objective}
        return {**super().about(), "agent": "dgnopt", "dgnopt": settings}

    def own_state(self) -> dict[str, Any]:
        optimizers = self._each_learner(save)[0]
        return {
            "point": [t.detach().cpu().numpy() for t in self._x],
            "optimizers": pytree.tree_map(lambda x: x.numpy() if isinstance(x, torch.Tensor) else x, optimizers),
            "reason": self._reason,
        }

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        self._x = Profile(torch.as_tensor(t) for t in state["point"]).to(self._device())
        self._reason = state["reason"]
        states = pytree.tree_map(lambda x: torch.tensor(x) if isinstance(x, np.ndarray) else x, state["optimizers"])
        self._each_learner(partial(restore, states=states))
