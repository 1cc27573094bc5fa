"""The algorithm: an iteration is one step of a dynamic, an evaluation measures every gap.

It trains, tunes, checkpoints, restores and evaluates like any algorithm of RLlib. A checkpoint holds the state of the
dynamic, the sums of the accumulator and the counters from which all draws follow, so a run that is restored goes on
bit by bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.utils import force_list
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    EVALUATION_RESULTS,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
)

from strategic_envs.agents.checkpoint import check_belongs, read_metadata, write_metadata
from strategic_envs.agents.dynamics import Outcome, state_from_dict, state_to_dict
from strategic_envs.agents.rllib.config import GameDynamicsConfig
from strategic_envs.agents.rllib.judge import judge
from strategic_envs.agents.rllib.oracle import RLlibOracle
from strategic_envs.agents.rllib.tasks.base import Play
from strategic_envs.evaluators.accumulator import FieldAccumulator
from strategic_envs.profile import Profile

if TYPE_CHECKING:
    from strategic_envs.agents.rllib.learner import GameLearner
    from strategic_envs.agents.rllib.runner import BatchedEnvRunner

__all__ = ["GameDynamics"]

_STATE = "strategic_envs"


class GameDynamics(Algorithm):
    """Runs a dynamic of this project on the oracle of an environment.

    `train()` reports, beside what RLlib reports, `outcome`, `explain`, `field_calls`, `env_steps`, and in iterations
    with an evaluation the gaps of `judge`, at the top and under `evaluation`. The outcome is `"running"` until a
    gradient or a strategy would not be finite (`"nonfinite"`), or the method itself has come to its end (`"converged"`)
    or gave up (`"failed"`, and `explain` says why): from then on the parameters stay as they are.
    """

    config: GameDynamicsConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    @classmethod
    def get_default_config(cls) -> GameDynamicsConfig:
        return GameDynamicsConfig()

    @classmethod
    def _should_create_evaluation_env_runners(cls, eval_config: Any) -> bool:
        return False  # evaluation plays nothing

    def setup(self, config: Any) -> None:
        super().setup(config)
        self.task = self.config.task()
        self.dynamic = self.config.make_dynamic(self.task)
        self.oracle = RLlibOracle(self.task, self._each_learner, self._each_runner)
        self.accumulator = FieldAccumulator()
        self.history: list[Profile] = []
        self.state = self.dynamic.init(self.task.initial().to(self._device()), self.oracle)
        self.outcome = self._status()
        self._first = self.point()
        self._publish()

    def _device(self) -> torch.device:
        group: Any = self.learner_group
        learner = group._learner
        return torch.device("cpu" if learner is None else learner.device)

    def _each_learner(self, function: Callable[[GameLearner], Any]) -> list[Any]:
        group: Any = self.learner_group
        return [result.get() for result in group.foreach_learner(function)]

    def _each_runner(self, function: Callable[[BatchedEnvRunner], Any]) -> list[Any]:
        group: Any = self.env_runner_group
        return group.foreach_env_runner(function, local_env_runner=group.num_remote_env_runners() == 0)

    def point(self) -> Profile:
        """The parameters that are played now, flat, one vector a player."""
        return self.dynamic.point(self.state)

    def play(self) -> Play | None:
        """What everybody plays now, as evaluators take it; None where no play of the game's kind is the same."""
        return self.task.play(self.task.load(self.point().detach().to("cpu")))

    def moved(self) -> bool:
        """Whether the parameters are others than at the start."""
        return any(not a.equal(b) for a, b in zip(self._first, self.point(), strict=True))

    def path(self) -> Profile | None:
        """The points played so far and the present one, tensors `(T + 1, d_i)`.

        None where strategies are not points of the game's own sets, as weights of networks are not.
        """
        now = self.task.point(self.task.load(self.point().detach().to("cpu")))
        return None if now is None else Profile(torch.stack(t) for t in zip(*self.history, now, strict=True))

    def _publish(self) -> None:
        """Writes the point of the dynamic's state into all modules, the local runner's included."""
        point = self.point()
        self.oracle.load(point)
        local: Any = self.env_runner
        if local is not None:
            local.load(point)

    def _status(self) -> str:
        """Where the method says it is: only methods of one start come to an end of their own."""
        status = Outcome.MAX_STEPS if self.dynamic.batched else self.dynamic.status(self.state)
        return "running" if status is Outcome.MAX_STEPS else str(status)

    def training_step(self) -> None:
        steps = self.oracle.steps
        for _ in range(self.config.steps_per_iteration):
            if self.outcome == "running":
                self._step()
        self._publish()
        made = self.oracle.steps - steps
        self.metrics.log_value((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED), made, reduce="sum")
        self.metrics.log_value((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), made, reduce="lifetime_sum")

    def _step(self) -> None:
        """One step of the dynamic; the field at the profile played goes into the accumulator."""
        played = self.point()
        self.oracle.begin(watch=played)
        state = self.dynamic.step(self.state, self.oracle)
        field = self.oracle.seen()
        self.oracle.end()
        if self.oracle.finite and all(bool(t.isfinite().all()) for t in state_to_dict(state).values()):
            point = self.task.point(self.task.load(played.detach().to("cpu")))
            self.history += [point] if point is not None else []
            self.accumulator.update(played.detach().to("cpu"), field.detach().to("cpu"))
            self.state = state
            self.outcome = self._status()
        else:
            self.outcome = "nonfinite"

    def explain(self) -> str:
        """Why the method gave up, if it did."""
        return self.dynamic.explain(self.state) if self.outcome == "failed" else ""

    def step(self) -> dict[str, Any]:
        result = super().step()
        return {
            **result,
            **result.get(EVALUATION_RESULTS, {}),
            "outcome": self.outcome,
            "explain": self.explain(),
            "env_steps": self.oracle.steps,
            "field_calls": sum(self.oracle.calls.values()),
        }

    def evaluate(self, parallel_train_future: Any = None) -> dict[str, Any]:
        """Measures every gap at the present parameters, exactly where the kind of game allows it.

        It draws nothing, so evaluating more or less often does not change a run.
        """
        callbacks: Any = force_list(self.callbacks)
        for callback in callbacks:
            callback.on_evaluate_start(algorithm=self, metrics_logger=self.metrics)
        gaps = judge(self.task, self.point(), self.accumulator, self.history)
        for callback in callbacks:
            callback.on_evaluate_end(algorithm=self, metrics_logger=self.metrics, evaluation_metrics=gaps)
        return gaps

    def about(self) -> dict[str, Any]:
        """What a checkpoint says of itself: environment, options, agent, seed, iteration and settings."""
        return {
            "environment": self.config.env if self.config.game is None else f"game {self.task.game.name}",
            "env_options": dict(self.config.env_config),
            "agent": self.dynamic.name,
            "dynamic": repr(self.dynamic),
            "parameterisation": self.task.parameterisation,
            "field": self.task.field,
            "seed": self.config.options().seed,
            "iteration": self.iteration,
            "algorithm": type(self).__name__,
        }

    @classmethod
    def from_checkpoint(cls, path: Any, filesystem: Any = None, **kwargs: Any) -> GameDynamics:
        """Builds the algorithm that wrote a checkpoint, where it stood.

        Args:
            path: The folder, or a checkpoint of Tune.
            filesystem: Where the folder is, if not on this machine; a checkpoint elsewhere is not examined first.
            **kwargs: Those of `Algorithm.from_checkpoint`.

        Raises:
            CheckpointError: If the checkpoint is missing or damaged; nothing of it is loaded then.
        """
        folder = str(getattr(path, "path", path))
        if filesystem is None:
            read_metadata(folder)
        return super().from_checkpoint(folder, filesystem, **kwargs)  # pyright: ignore[reportReturnType]

    def save_to_path(self, path: str | Path | None = None, **kwargs: Any) -> str:
        """Writes a checkpoint and its description; returns the folder."""
        folder = super().save_to_path(path, **kwargs)
        if kwargs.get("filesystem") is None and Path(folder).is_dir():
            write_metadata(folder, self.about())
        return folder

    def restore_from_path(self, path: str | Path, *args: Any, **kwargs: Any) -> None:
        """Goes on from a checkpoint of the same environment.

        Raises:
            CheckpointError: If it is missing, damaged or of another environment; nothing is changed then.
        """
        if kwargs.get("filesystem") is None and kwargs.get("component") is None:
            about = self.about()
            check_belongs(path, read_metadata(path), str(about["environment"]), about["env_options"])
        super().restore_from_path(path, *args, **kwargs)
        self._publish()

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        state = super().get_state(components, not_components=not_components, **kwargs)
        state[_STATE] = {
            "dynamic": _arrays(state_to_dict(self.state)),
            "on_cpu": [name for name, t in state_to_dict(self.state).items() if t.device.type == "cpu"],
            "accumulator": _arrays(self.accumulator.state_dict()),
            "history": [torch.stack(t).numpy() for t in zip(*self.history, strict=True)],
            "outcome": self.outcome,
            "iteration": self.oracle.iteration,
            "call": self.oracle.call,
            "steps": self.oracle.steps,
            "draws": self.oracle.draws,
            "calls": dict(self.oracle.calls),
        }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if _STATE not in state:
            return
        own = state[_STATE]
        parts, cpu = _tensors(own["dynamic"], self._device()), torch.device("cpu")
        if self._device() != cpu:  # what a method keeps on the CPU stays there; profiles go where the learner is
            kept = [name for name in own.get("on_cpu", []) if not name.startswith("x.")]
            parts |= _tensors({name: own["dynamic"][name] for name in kept}, cpu)
        self.state = state_from_dict(self.dynamic.state_type, parts)
        self.accumulator.load_state_dict(_tensors(own["accumulator"], torch.device("cpu")))
        columns = [torch.as_tensor(t) for t in own["history"]]
        self.history = [Profile(row) for row in zip(*columns, strict=True)]
        self.outcome = own["outcome"]
        self.oracle.iteration, self.oracle.call, self.oracle.steps = own["iteration"], own["call"], own["steps"]
        self.oracle.draws = own.get("draws", 0)
        self.oracle.calls = Counter(own["calls"])
        self._publish()


def _arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return {name: t.detach().cpu().numpy() for name, t in tensors.items()}


def _tensors(arrays: Mapping[str, Any], device: torch.device) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(a, device=device) for name, a in arrays.items()}
