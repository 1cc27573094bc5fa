"""A run of stock DQN: the greedy policies of its value networks are judged."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from strategic_envs.agents.rllib.dqn import dqn_config, dqn_task
from strategic_envs.agents.rllib.psro.stock_modules import policy_of
from strategic_envs.agents.rllib.stock_run import StockRun
from strategic_envs.agents.rllib.tasks import Options, Task
from strategic_envs.evaluators.figures import figures
from strategic_envs.evaluators.report import evaluate
from strategic_envs.play import Independent, TabularPlay

__all__ = ["DQNRun", "greedy"]


def greedy(play: Any) -> Independent | TabularPlay:
    """The pure play of each player's most likely action, the lowest of equally likely ones.

    Example:
        >>> greedy(TabularPlay((torch.tensor([[0.2, 0.8], [0.5, 0.5]]),))).policies[0].tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    if isinstance(play, TabularPlay):
        return TabularPlay(tuple(_pure(table) * (table.sum(-1, keepdim=True) > 0) for table in play.policies))
    return Independent.pure([_pure(x) for x in play.mean()])


class DQNRun(StockRun):
    """Stock DQN on an environment. It needs a Ray session.

    Args:
        environment: The id of the environment.
        env: Its options.
        seed: The seed; the same seed gives the same numbers.
        **settings: Those of `dqn_config`.
    """

    name: ClassVar[str] = "dqn"

    def _task(self) -> Task:
        options = Options(seed=self.about["seed"], hidden=self._hidden())
        return dqn_task(self.about["environment"], self.about["env_options"], options)

    def _hidden(self) -> tuple[int, ...]:
        return tuple(self.settings.get("hidden", (64, 64)))

    def _config(self) -> Any:
        about = self.about
        return dqn_config(about["environment"], about["env_options"], seed=about["seed"], **self.settings)

    def _policy(self, module: nn.Module) -> Tensor:
        return policy_of(module)

    def play(self) -> Independent | TabularPlay:
        return greedy(self.task.play(self.task.load(self.parameters())))

    def row(self) -> dict[str, Any]:
        play = self.play()
        report = evaluate(self.task.game, play)
        told = {"local_gap_by": "policy tables", "cce_gap_of": "present play"}
        where = {"iteration": self.iteration, "steps": self.steps}
        return {**where, **report.row(), **told, **figures(self.task.game, play)}


def _pure(table: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(table.argmax(-1), table.shape[-1]).double()
