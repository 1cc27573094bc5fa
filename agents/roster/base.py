"""What every agent of the roster is: a name, a preset for each environment, and a way to train."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from strategic_envs.errors import CheckpointError, InvalidSettingError, UnknownNameError
from strategic_envs.results import FIGURE_COLUMNS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GAPS", "Agent", "Job", "Result", "Rows"]

GAPS = ("exploitability", "exploitability_exact", "nash_conv", "cce_gap", "local_nash_gap", "local_cce_gap")
"""The numbers of a row beside `environment`, `agent`, `seed`, `iteration`, `steps` and `seconds`.

`steps` are the environment steps that were sampled, or the gradients that were taken where these are exact.
"""

_TOLD = ("local_gap_by", "cce_gap_of", "judged", "exploitability_lower", "outcome")  # beside these numbers
_BESIDE = (*_TOLD, *FIGURE_COLUMNS)
_COUNTED = ("utility_", "population_", "support_")  # one a player


@dataclass(frozen=True)
class Job:
    """One training run that is asked for.

    Args:
        environment: The id of the environment.
        env: Its options.
        agent: Hyper-parameters of the agent that replace those of its preset.
        seed: The seed: the same one gives the same numbers.
        iterations: How many iterations; None leaves it to the preset.
        device: `"auto"`, `"cpu"` or `"cuda"`.
        out: The folder for the checkpoint; None for no checkpoint.
        checkpoint_every: Writes the checkpoint every so many iterations, and at the end; None: only at the end.
    """

    environment: str
    env: dict[str, Any] = field(default_factory=dict)
    agent: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    iterations: int | None = None
    device: str = "auto"
    out: Path | None = None
    checkpoint_every: int | None = None


@dataclass(frozen=True)
class Result:
    """What a run left behind.

    Args:
        rows: The rows in order, the last being `final`.
        final: The gaps at the end.
        settings: The hyper-parameters that were used, all of them.
        checkpoint: The checkpoint's folder, if one was written.
        parameters_moved: Whether training changed the parameters; None for an agent that has none.
        path: The points played, one profile after the other, as tensors `(T, d_i)`, where strategies are points of the
            game's own sets; None elsewhere.
    """

    rows: list[dict[str, Any]]
    final: dict[str, Any]
    settings: dict[str, Any]
    checkpoint: Path | None
    parameters_moved: bool | None
    path: Sequence[Tensor] | None = None


class Agent(ABC):
    """One way to play, one file in this folder.

    A file defines `AGENT`, an object of a subclass, or several in `AGENTS`. Files import neither ray nor torch when
    they are imported, so the roster can be listed at once and without the extra.
    """

    name: str
    summary: str
    needs_ray: ClassVar[bool]

    def own(self) -> dict[str, Any]:
        """The hyper-parameters that only this agent has, with their defaults; lists show them once, not a preset."""
        return {}

    def check(self, job: Job) -> None:
        """Refuses a job that cannot be trained, before anything is made or started.

        Raises:
            UnknownNameError: If there is no such environment or hyper-parameter.
            InvalidSettingError: If a hyper-parameter makes no sense, or the agent refuses the environment.
            OracleError: If the agent needs derivatives that the game does not give.
        """
        self.resolve(job)

    def refuses(self, environment: str) -> str | None:
        """Why this agent does not play an environment, in one line; None when it does."""
        return None

    @abstractmethod
    def preset(self, environment: str) -> dict[str, Any]:
        """The hyper-parameters for an environment; `iterations` is one of them."""

    @abstractmethod
    def train(self, job: Job, on_row: Callable[[dict[str, Any]], None]) -> Result:
        """Trains, and judges what was learnt.

        Args:
            job: What to do.
            on_row: Called with each row as soon as it is measured.

        Raises:
            UnknownNameError: If there is no such environment or hyper-parameter.
            InvalidSettingError: If a hyper-parameter makes no sense, or the agent refuses the environment.
        """

    def judged_again(self, folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
        """The row of a checkpoint that this agent wrote without Ray, measured anew.

        Args:
            folder: The folder, which is known to be whole.
            about: What it says of itself.

        Raises:
            CheckpointError: If it cannot be read, or the agent writes none.
        """
        raise CheckpointError(f"{folder}: {self.name} learns nothing and so leaves no checkpoint")

    def played_again(self, folder: Path, about: Mapping[str, Any]) -> tuple[Any, Any]:
        """The game of such a checkpoint, and what everybody plays in it; arguments and errors as of `judged_again`."""
        raise CheckpointError(f"{folder}: {self.name} learns nothing and so leaves no checkpoint")

    def resolve(self, job: Job) -> dict[str, Any]:
        """The preset with the job's own hyper-parameters in place.

        Raises:
            UnknownNameError: If a hyper-parameter is not one of the preset.
            InvalidSettingError: If the agent refuses the environment, or there would be no iteration.
        """
        reason = self.refuses(job.environment)
        if reason is not None:
            raise InvalidSettingError(f"{self.name} does not play {job.environment}: {reason}")
        settings = dict(self.preset(job.environment))
        for key, value in job.agent.items():
            if key not in settings:
                raise UnknownNameError(f"hyper-parameter of {self.name} on {job.environment}", key, settings)
            settings[key] = value
        if job.iterations is not None:
            settings["iterations"] = job.iterations
        for name in ("iterations", "evaluate_every"):
            count = settings.get(name, 1)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise InvalidSettingError(f"{self.name}: got {name}={count!r}, expected a whole number >= 1")
        return settings


class Rows:
    """Collects a run's rows, stamps them, and hands each on.

    Example:
        >>> rows = Rows(Job("tic_tac_toe_v0"), "ppo", on_row=lambda row: None)
        >>> gaps = dict.fromkeys(GAPS, 0.5)
        >>> rows.add(1, 512, gaps)["exploitability"]
        0.5
    """

    def __init__(self, job: Job, agent: str, on_row: Callable[[dict[str, Any]], None]) -> None:
        self.all: list[dict[str, Any]] = []
        self._stamp = {"environment": job.environment, "agent": agent, "seed": job.seed}
        self._on_row = on_row
        self._began = time.perf_counter()

    def add(self, iteration: int, steps: int, gaps: Mapping[str, Any]) -> dict[str, Any]:
        """Adds the row of an iteration and returns it."""
        row = {
            **self._stamp,
            "iteration": iteration,
            "steps": steps,
            "seconds": time.perf_counter() - self._began,
            **{name: float(gaps[name]) for name in GAPS},
            **{k: v for k, v in gaps.items() if k.startswith(_COUNTED) or k in _BESIDE or (k == "explain" and v)},
        }
        self.all.append(row)
        self._on_row(row)
        return row
