"""The algorithm of dynamics: an iteration is one step of a dynamic, or several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from strategic_envs.agents.dynamics import Outcome, state_from_dict, state_to_dict
from strategic_envs.agents.rllib.config import GameDynamicsConfig
from strategic_envs.agents.rllib.game_algorithm import GameAlgorithm, arrays, tensors
from strategic_envs.profile import Profile

__all__ = ["GameDynamics"]


class GameDynamics(GameAlgorithm):
    """Runs a dynamic of this project on the oracle of an environment.

    See `GameAlgorithm` for what it reports. The outcome is `"running"` until a gradient or a strategy would not be
    finite (`"nonfinite"`), or the method itself has come to its end (`"converged"`) or gave up (`"failed"`, and
    `explain` says why).
    """

    config: GameDynamicsConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    @classmethod
    def get_default_config(cls) -> GameDynamicsConfig:
        return GameDynamicsConfig()

    def _begin(self) -> str:
        self.dynamic = self.config.make_dynamic(self.task)
        self.state = self.dynamic.init(self.task.initial().to(self._device()), self.oracle)
        return self._status()

    def point(self) -> Profile:
        return self.dynamic.point(self.state)

    def _status(self) -> str:
        """Where the method says it is: only methods of one start come to an end of their own."""
        status = Outcome.MAX_STEPS if self.dynamic.batched else self.dynamic.status(self.state)
        return "running" if status is Outcome.MAX_STEPS else str(status)

    def _advance(self, played: Profile) -> tuple[Profile, str]:
        self.oracle.begin(watch=played)
        state = self.dynamic.step(self.state, self.oracle)
        field = self.oracle.seen()
        self.oracle.end()
        if not (self.oracle.finite and all(bool(t.isfinite().all()) for t in state_to_dict(state).values())):
            return field, "nonfinite"
        self.state = state
        return field, self._status()

    def explain(self) -> str:
        return self.dynamic.explain(self.state) if self.outcome == "failed" else ""

    def about(self) -> dict[str, Any]:
        return {**super().about(), "agent": self.dynamic.name, "dynamic": repr(self.dynamic)}

    def own_state(self) -> dict[str, Any]:
        parts = state_to_dict(self.state)
        return {
            "dynamic": arrays(parts),
            "on_cpu": [name for name, t in parts.items() if t.device.type == "cpu"],
        }

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        parts, cpu = tensors(state["dynamic"], self._device()), torch.device("cpu")
        if self._device() != cpu:  # what a method keeps on the CPU stays there; profiles go where the learner is
            kept = [name for name in state.get("on_cpu", []) if not name.startswith("x.")]
            parts |= tensors({name: state["dynamic"][name] for name in kept}, cpu)
        self.state = state_from_dict(self.dynamic.state_type, parts)
