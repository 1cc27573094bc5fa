"""A run of a stock algorithm of RLlib: train, judge, save, restore.

RLlib draws from the global generators of Python, NumPy and torch. A run keeps states of its own for them: they are put
in place while RLlib works and put back afterwards, so two runs in one process do not disturb each other, or anybody.
"""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME
from torch import Tensor, nn

from strategic_envs.agents.checkpoint import read_metadata, write_metadata
from strategic_envs.agents.rllib.generators import put, states
from strategic_envs.agents.rllib.tasks import Task
from strategic_envs.agents.rllib.tasks.base import Play
from strategic_envs.errors import CheckpointError
from strategic_envs.profile import Profile

__all__ = ["StockRun"]

_STATE = "run.pkl"


class StockRun(ABC):
    """A stock algorithm on an environment, judged as often as one likes. It needs a Ray session.

    A subclass says its `name`, which is also the folder of RLlib's own files in a checkpoint.

    Args:
        environment: The id of the environment.
        env: Its options.
        seed: The seed; the same seed gives the same numbers when everything is sampled in this process.
        **settings: Those of the algorithm's configuration.
    """

    name: ClassVar[str]
    task: Task

    def __init__(
        self, environment: str, env: Mapping[str, Any] | None = None, *, seed: int = 0, **settings: Any
    ) -> None:
        self.about = {"environment": environment, "env_options": dict(env or {}), "agent": self.name, "seed": seed}
        self.settings = dict(settings)
        self.task = self._task()
        self.iteration = self.steps = 0
        self._generators = states()
        with self._own_generators():
            self.algorithm: Any = self._config().build_algo()
        self.start = self.parameters()

    @abstractmethod
    def _task(self) -> Task:
        """How the policies are judged."""

    @abstractmethod
    def _config(self) -> Any:
        """The configuration of the algorithm."""

    @abstractmethod
    def _policy(self, module: nn.Module) -> Tensor:
        """The parameters of a player's policy."""

    @abstractmethod
    def row(self) -> dict[str, Any]:
        """The gaps at the present policies."""

    @abstractmethod
    def play(self) -> Play:
        """What everybody plays now, as evaluators take it."""

    def parameters(self) -> Profile:
        """The parameters of every player's policy, as the learner has them."""
        learners: Any = self.algorithm.learner_group
        with self._own_generators():
            weights = learners.get_weights(module_ids=list(self.task.players))
        parts = []
        for player in self.task.players:
            module: Any = self.algorithm.get_module(player)
            module.set_state(weights[player])  # the runner's copy is not always the newest
            parts.append(self._policy(module))
        return Profile(parts)

    def step(self) -> None:
        """One iteration of the algorithm."""
        with self._own_generators():
            result = self.algorithm.train()
        self.iteration += 1
        self.steps = int(result[ENV_RUNNER_RESULTS][NUM_ENV_STEPS_SAMPLED_LIFETIME])

    def moved(self) -> bool:
        """Whether the policies have changed since the start."""
        return any(not a.equal(b) for a, b in zip(self.start, self.parameters(), strict=True))

    def _state(self) -> dict[str, Any]:
        """What a checkpoint holds beside RLlib's own files."""
        return {"iteration": self.iteration, "steps": self.steps, "generators": self._generators}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self.iteration, self.steps, self._generators = state["iteration"], state["steps"], state["generators"]

    def save(self, path: str | Path) -> Path:
        """Writes a checkpoint; its files are pickles, so load only checkpoints that you trust."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        with self._own_generators():
            self.algorithm.save_to_path((folder / self.name).resolve())
        (folder / _STATE).write_bytes(pickle.dumps(self._state()))
        write_metadata(folder, {**self.about, "iteration": self.iteration, "settings": self.settings})
        return folder

    @classmethod
    def restore(cls, path: str | Path) -> Any:
        """The run of a checkpoint. Episodes begin anew, so it does not go on exactly like a run that never stopped.

        Raises:
            CheckpointError: If the checkpoint is missing, damaged, or not one of this algorithm.
        """
        about = read_metadata(path)
        if about.get("agent") != cls.name or not (Path(path) / _STATE).is_file():
            raise CheckpointError(
                f"{path}: the checkpoint is of agent {about.get('agent')!r}, expected one of {cls.name!r}"
            )
        run = cls(about["environment"], about["env_options"], seed=about["seed"], **about["settings"])
        with run._own_generators():
            run.algorithm.restore_from_path((Path(path) / cls.name).resolve())
        run._set_state(pickle.loads((Path(path) / _STATE).read_bytes()))
        return run

    def stop(self) -> None:
        """Frees what RLlib holds."""
        with self._own_generators():
            self.algorithm.stop()

    @contextmanager
    def _own_generators(self) -> Iterator[None]:
        others = states()
        put(self._generators)
        try:
            yield
        finally:
            self._generators = states()
            put(others)
