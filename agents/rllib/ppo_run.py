"""A run of stock PPO: train, judge, save, restore.

RLlib draws from the global generators of Python, NumPy and torch. A run keeps states of its own for them: they are put
in place while RLlib works and put back afterwards, so two runs in one process do not disturb each other, or anybody.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

from strategic_envs import registry
from strategic_envs.agents.rllib.checkpoint import read_metadata, write_metadata
from strategic_envs.agents.rllib.generators import put, states
from strategic_envs.agents.rllib.judge import judge
from strategic_envs.agents.rllib.ppo import ppo_config, ppo_task
from strategic_envs.agents.rllib.ppo_modules import policy_parameters
from strategic_envs.agents.rllib.tasks import Draw, Options
from strategic_envs.agents.rllib.tasks.gaussian import GaussianTask
from strategic_envs.agents.rllib.tasks.layers import LayersTask
from strategic_envs.errors import CheckpointError
from strategic_envs.evaluators.accumulator import FieldAccumulator
from strategic_envs.profile import Profile

__all__ = ["PPORun"]

_STATE, _ALGORITHM = "run.pkl", "ppo"


class PPORun:
    """Stock PPO on an environment, judged after every iteration. It needs a Ray session.

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

    def __init__(
        self, environment: str, env: Mapping[str, Any] | None = None, *, seed: int = 0, **settings: Any
    ) -> None:
        self.about = {"environment": environment, "env_options": dict(env or {}), "agent": "ppo", "seed": seed}
        self.settings = dict(settings)
        deviation = float(settings.get("deviation", 0.5))
        options = Options(seed=seed, hidden=tuple(settings.get("hidden", (64, 64))), minibatch=0)
        self.task = ppo_task(environment, self.about["env_options"], options, deviation)
        self.accumulator = FieldAccumulator()
        self.history: list[Profile] = []
        self.iteration = self.steps = 0
        self._generators = states()
        with self._own_generators():
            self.algorithm = ppo_config(environment, env, seed=seed, **settings).build_algo()
        self.start = self.parameters()

    def parameters(self) -> Profile:
        """The parameters of every player's policy, as the learner has them."""
        learners: Any = self.algorithm.learner_group
        with self._own_generators():
            weights = learners.get_weights(module_ids=list(self.task.players))
        parts = []
        for player in self.task.players:
            module: Any = self.algorithm.get_module(player)
            module.set_state(weights[player])  # the runner's copy is not always the newest
            parts.append(policy_parameters(module))
        return Profile(parts)

    def strategy(self) -> Profile:
        """What is judged, in the parameters of the task: see the top of `ppo.py`."""
        if isinstance(self.task, LayersTask):
            env = registry.make(self.about["environment"], **self.about["env_options"]).unwrapped
            reach = env.max_cycles * env.max_update
            means = [p.double().chunk(2)[0].clamp(-1, 1) for p in self.parameters()]
            return Profile(w + (reach * m).to(w) for w, m in zip(self.task.initial(), means, strict=True))
        return self.parameters()

    def step(self) -> None:
        """One iteration of PPO; the gradient at the policies it samples with goes into the accumulator."""
        played = self.strategy()
        modules = self.task.load(played)
        players = range(self.task.game.n_players)
        field = Profile(self.task.exact(modules, players, Draw(self.iteration)))
        self.accumulator.update(played, field)
        point = self.task.point(modules)
        self.history += [point] if point is not None else []
        with self._own_generators():
            result = self.algorithm.train()
        self.iteration += 1
        self.steps = int(result[ENV_RUNNER_RESULTS][NUM_ENV_STEPS_SAMPLED_LIFETIME])

    def row(self) -> dict[str, Any]:
        """The gaps at the present policies."""
        gaps = judge(self.task, self.strategy(), self.accumulator, self.history)
        if isinstance(self.task, GaussianTask):  # play is draws of what is really played
            gaps = {k: 0.0 if k.endswith("_exact") else v for k, v in gaps.items()}
        return {"iteration": self.iteration, "steps": self.steps, **gaps}

    def moved(self) -> bool:
        """Whether the policies have changed since the start."""
        return any(not a.equal(b) for a, b in zip(self.start, self.parameters(), strict=True))

    def save(self, path: str | Path) -> Path:
        """Writes a checkpoint; its files are pickles, so load only checkpoints that you trust."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        with self._own_generators():
            self.algorithm.save_to_path((folder / _ALGORITHM).resolve())
        state = {
            "accumulator": self.accumulator.state_dict(),
            "history": [tuple(p) for p in self.history],
            "iteration": self.iteration,
            "steps": self.steps,
            "generators": self._generators,
        }
        (folder / _STATE).write_bytes(pickle.dumps(state))
        write_metadata(folder, {**self.about, "iteration": self.iteration, "settings": self.settings})
        return folder

    @classmethod
    def restore(cls, path: str | Path) -> PPORun:
        """The run of a checkpoint. Episodes begin anew, so it does not go on exactly like a run that never stopped.

        Raises:
            CheckpointError: If the checkpoint is missing, damaged, or not one of PPO.
        """
        about = read_metadata(path)
        if about.get("agent") != "ppo" or not (Path(path) / _STATE).is_file():
            raise CheckpointError(f"{path}: the checkpoint is of agent {about.get('agent')!r}, expected one of 'ppo'")
        run = cls(about["environment"], about["env_options"], seed=about["seed"], **about["settings"])
        with run._own_generators():
            run.algorithm.restore_from_path((Path(path) / _ALGORITHM).resolve())
        state = pickle.loads((Path(path) / _STATE).read_bytes())
        run.accumulator.load_state_dict(state["accumulator"])
        run.history = [Profile(p) for p in state["history"]]
        run.iteration, run.steps, run._generators = state["iteration"], state["steps"], state["generators"]
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
