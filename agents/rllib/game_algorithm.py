"""What all algorithms here share: an iteration is so many steps of a rule, an evaluation measures every gap.

They train, tune, checkpoint, restore and evaluate like any algorithm of RLlib. A checkpoint holds the state of the
rule, the sums of the accumulator and the counters from which all draws follow, so a run that is restored goes on bit
by bit.
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
from strategic_envs.agents.rllib.game_config import GameConfig
from strategic_envs.agents.rllib.judge import judge
from strategic_envs.agents.rllib.oracle import RLlibOracle
from strategic_envs.agents.rllib.tasks.base import Play
from strategic_envs.data.weights import INITIAL_FILE, WEIGHTS_FILE, write_weights
from strategic_envs.evaluators.accumulator import FieldAccumulator
from strategic_envs.profile import Profile

if TYPE_CHECKING:
    from strategic_envs.agents.rllib.learner import GameLearner
    from strategic_envs.agents.rllib.runner import BatchedEnvRunner

__all__ = ["REFUSED", "GameAlgorithm", "arrays", "tensors"]

_STATE = "strategic_envs"
REFUSED = ("nonfinite", "diverged")
"""Outcomes after a step that was not made."""


class GameAlgorithm(Algorithm):
    """Runs a rule on the oracle of an environment; subclasses say which.

    `train()` reports, beside what RLlib reports, `outcome`, `explain`, `field_calls`, `env_steps`, and in iterations
    with an evaluation the gaps of `judge`, at the top and under `evaluation`. Once the outcome is not `"running"` any
    more, the parameters stay as they are.

    A subclass writes `_begin`, `point`, `_advance`, `own_state` and `load_own_state`.
    """

    config: GameConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    @classmethod
    def _should_create_evaluation_env_runners(cls, eval_config: Any) -> bool:
        return False  # evaluation plays nothing

    def setup(self, config: Any) -> None:
        super().setup(config)
        self.task = self.config.task()
        self.oracle = RLlibOracle(self.task, self._each_learner, self._each_runner)
        self.accumulator = FieldAccumulator()
        self.history: list[Profile] = []
        self.outcome = self._begin()
        self._first = self.point()
        self._publish()

    # What a subclass writes

    def _begin(self) -> str:
        """Sets up the rule at the start of the task, `self.task.initial()`, and returns the outcome so far."""
        raise NotImplementedError

    def point(self) -> Profile:
        """The parameters that are played now, flat, one vector a player."""
        raise NotImplementedError

    def _advance(self, played: Profile) -> tuple[Profile, str]:
        """One step of the rule from `point()`, if it can be made; the field there, and the outcome after it.

        With the outcome `"nonfinite"`, or another that means the step was refused, the rule stays where it was.
        """
        raise NotImplementedError

    def own_state(self) -> dict[str, Any]:
        """The state of the rule, as arrays and numbers."""
        raise NotImplementedError

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Puts the rule into a state that `own_state` returned."""
        raise NotImplementedError

    def explain(self) -> str:
        """Why the rule gave up, if it did."""
        return ""

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
        """One step of the rule; the field at the profile played goes into the accumulator."""
        played = self.point()
        field, self.outcome = self._advance(played)
        if self.outcome not in REFUSED:
            point = self.task.point(self.task.load(played.detach().to("cpu")))
            self.history += [point] if point is not None else []
            self.accumulator.update(played.detach().to("cpu"), field.detach().to("cpu"))

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
            "parameterisation": self.task.parameterisation,
            "field": self.task.field,
            "seed": self.config.options().seed,
            "iteration": self.iteration,
            "algorithm": type(self).__name__,
        }

    @classmethod
    def from_checkpoint(cls, path: Any, filesystem: Any = None, **kwargs: Any) -> Any:
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
        return super().from_checkpoint(folder, filesystem, **kwargs)

    def save_to_path(self, path: str | Path | None = None, **kwargs: Any) -> str:
        """Writes a checkpoint and its description, a network's weights also by name; returns the folder."""
        folder = super().save_to_path(path, **kwargs)
        if kwargs.get("filesystem") is None and Path(folder).is_dir():
            for name, x in ((WEIGHTS_FILE, self.point()), (INITIAL_FILE, self._first)):
                weights = self.task.named_weights(x)
                if weights:
                    write_weights(Path(folder) / name, weights)
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
            **self.own_state(),
            "accumulator": arrays(self.accumulator.state_dict()),
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
        self.load_own_state(own)
        self.accumulator.load_state_dict(tensors(own["accumulator"], torch.device("cpu")))
        columns = [torch.as_tensor(t) for t in own["history"]]
        self.history = [Profile(row) for row in zip(*columns, strict=True)]
        self.outcome = own["outcome"]
        self.oracle.iteration, self.oracle.call, self.oracle.steps = own["iteration"], own["call"], own["steps"]
        self.oracle.draws = own.get("draws", 0)
        self.oracle.calls = Counter(own["calls"])
        self._publish()


def arrays(named: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Tensors as arrays, to be written."""
    return {name: t.detach().cpu().numpy() for name, t in named.items()}


def tensors(named: Mapping[str, Any], device: torch.device) -> dict[str, torch.Tensor]:
    """The same back, on a device."""
    return {name: torch.as_tensor(a, device=device) for name, a in named.items()}
