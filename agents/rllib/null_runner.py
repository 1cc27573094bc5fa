"""The env runner of games without episodes, whose gradients are exact: RLlib asks for one, and it plays nothing."""

from __future__ import annotations

from typing import Any

from strategic_envs.agents.rllib.runner import BatchedEnvRunner
from strategic_envs.agents.rllib.tasks.base import Draw, Sample

__all__ = ["NullEnvRunner"]


class NullEnvRunner(BatchedEnvRunner):
    """Holds the modules, as `Algorithm.get_module` expects, and samples nothing."""

    def sample(self, *, draw: Draw | None = None, **kwargs: Any) -> Sample:
        return Sample([], 0)
