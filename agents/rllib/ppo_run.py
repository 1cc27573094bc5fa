"""A run of stock PPO, judged after every iteration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from strategic_envs import registry
from strategic_envs.agents.rllib.judge import judge
from strategic_envs.agents.rllib.ppo import ppo_config, ppo_task
from strategic_envs.agents.rllib.ppo_modules import policy_parameters
from strategic_envs.agents.rllib.stock_run import StockRun
from strategic_envs.agents.rllib.tasks import Draw, Options, Task
from strategic_envs.agents.rllib.tasks.base import Play
from strategic_envs.agents.rllib.tasks.gaussian import GaussianTask
from strategic_envs.agents.rllib.tasks.layers import LayersTask
from strategic_envs.evaluators.accumulator import FieldAccumulator
from strategic_envs.profile import Profile

__all__ = ["PPORun"]


class PPORun(StockRun):
    """Stock PPO on an environment. It needs a Ray session.

    Args:
        environment: The id of the environment.
        env: Its options.
        seed: The seed; the same seed gives the same numbers when `runners` is 0.
        **settings: Those of `ppo_config`.

    Example:
        >>> from strategic_envs.agents.rllib import session
        >>> with session():  # doctest: +SKIP
        ...     run = PPORun("larger_number_v0")
        ...     run.step()
        ...     run.row()["exploitability"]
    """

    name: ClassVar[str] = "ppo"

    def __init__(
        self, environment: str, env: Mapping[str, Any] | None = None, *, seed: int = 0, **settings: Any
    ) -> None:
        self.accumulator = FieldAccumulator()
        self.history: list[Profile] = []
        super().__init__(environment, env, seed=seed, **settings)

    def _task(self) -> Task:
        deviation = float(self.settings.get("deviation", 0.5))
        hidden = tuple(self.settings.get("hidden", (64, 64)))
        options = Options(seed=self.about["seed"], hidden=hidden, minibatch=0)
        return ppo_task(self.about["environment"], self.about["env_options"], options, deviation)

    def _config(self) -> Any:
        about = self.about
        return ppo_config(about["environment"], about["env_options"], seed=about["seed"], **self.settings)

    def _policy(self, module: nn.Module) -> Tensor:
        return policy_parameters(module)

    def strategy(self) -> Profile:
        """What is judged, in the parameters of the task: see the top of `ppo.py`."""
        if isinstance(self.task, LayersTask):
            env = registry.make(self.about["environment"], **self.about["env_options"]).unwrapped
            reach = env.max_cycles * env.max_update
            means = [p.double().chunk(2)[0].clamp(-1, 1) for p in self.parameters()]
            return Profile(w + (reach * m).to(w) for w, m in zip(self.task.initial(), means, strict=True))
        return self.parameters()

    def play(self) -> Play:
        return self.task.play(self.task.load(self.strategy()))

    def step(self) -> None:
        """One iteration of PPO; the gradient at the policies it samples with goes into the accumulator."""
        played = self.strategy()
        modules = self.task.load(played)
        players = range(self.task.game.n_players)
        field = Profile(self.task.exact(modules, players, Draw(self.iteration)))
        self.accumulator.update(played, field)
        point = self.task.point(modules)
        self.history += [point] if point is not None else []
        super().step()

    def row(self) -> dict[str, Any]:
        gaps = judge(self.task, self.strategy(), self.accumulator, self.history)
        if isinstance(self.task, GaussianTask):  # play is draws of what is really played
            gaps = {k: 0.0 if k.endswith("_exact") else v for k, v in gaps.items()}
        return {"iteration": self.iteration, "steps": self.steps, **gaps}

    def _state(self) -> dict[str, Any]:
        history = [tuple(p) for p in self.history]
        return {**super()._state(), "accumulator": self.accumulator.state_dict(), "history": history}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        super()._set_state(state)
        self.accumulator.load_state_dict(state["accumulator"])
        self.history = [Profile(p) for p in state["history"]]
