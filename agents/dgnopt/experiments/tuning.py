"""Tuning with the same number of trials for every method, and no setting that ever diverges.

Choosing by the best of a few runs picks second-order methods at the edge of stability: a setting with any divergence is
rejected, and every setting is tried with several seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from strategic_envs.agents.dgnopt.experiments.methods import Method, Settings, method
from strategic_envs.agents.dgnopt.experiments.training import Run
from strategic_envs.errors import InvalidSettingError

__all__ = ["Trial", "Tuning", "tune"]


@dataclass(frozen=True)
class Trial:
    """One setting of a method, over the seeds it was tried with.

    Args:
        settings: The setting, without the defaults.
        runs: One a seed.
    """

    settings: Settings
    runs: tuple[Run, ...]

    @property
    def rejected(self) -> bool:
        """Whether a run diverged."""
        return any(run.diverged for run in self.runs)

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the seeds; NaN if a run diverged."""
        return sum(run.accuracy for run in self.runs) / len(self.runs)

    @property
    def loss(self) -> float:
        """Mean training loss of the last epoch over the seeds; NaN if a run diverged."""
        return sum(run.loss for run in self.runs) / len(self.runs)


@dataclass(frozen=True)
class Tuning:
    """All trials of a method, and the one that is chosen.

    Args:
        method: The method's name.
        trials: As they were tried.
    """

    method: str
    trials: tuple[Trial, ...] = field(default=())

    @property
    def best(self) -> Trial | None:
        """The trial of the highest accuracy, then of the lowest loss, of those without a divergence; None if none."""
        sound = [trial for trial in self.trials if not trial.rejected]
        return max(sound, key=lambda trial: (round(trial.accuracy, 4), -trial.loss)) if sound else None

    def table(self) -> list[dict[str, Any]]:
        """A row a trial: settings, accuracy, loss, how many runs diverged, whether it was chosen."""
        return [
            {
                "method": self.method,
                "settings": dict(trial.settings),
                "accuracy": trial.accuracy,
                "loss": trial.loss,
                "diverged": sum(run.diverged for run in trial.runs),
                "chosen": trial is self.best,
            }
            for trial in self.trials
        ]


def tune(
    how: str | Method,
    run: Callable[[Method, Settings, int], Run],
    *,
    seeds: Sequence[int] = (0, 1),
    trials: int | None = None,
) -> Tuning:
    """Tries the settings of a method's grid, each with every seed. A setting with any divergence is rejected.

    Args:
        how: A method or its name.
        run: `(method, settings, seed)` to a run, such as `fit` on training and validation samples.
        seeds: With which each setting is tried; with one or two, second-order methods can end up on the edge of
            stability.
        trials: How many settings of the grid, from its first; all if not given. The same for every method.

    Raises:
        InvalidSettingError: If `trials` is not in 1 to the size of the grid, or there is no seed.

    Example:
        >>> from strategic_envs.agents.dgnopt.experiments.training import Epoch
        >>> fake = lambda how, settings, seed: Run(
        ...     how.name, settings, seed, (Epoch(1, 1.0, settings["lr"], 1.0, 1.0),), "finished"
        ... )
        >>> best = tune("sgd", fake, trials=3).best
        >>> best.settings
        {'lr': 0.4}
    """
    how = method(how) if isinstance(how, str) else how
    count = len(how.grid) if trials is None else trials
    if not 1 <= count <= len(how.grid):
        raise InvalidSettingError(
            f"{how.name}: got trials={count}, expected 1 to {len(how.grid)}, the size of its grid"
        )
    if not seeds:
        raise InvalidSettingError(f"{how.name}: got no seed to tune with, expected at least one, better three")
    found = (Trial(settings, tuple(run(how, settings, seed) for seed in seeds)) for settings in how.grid[:count])
    return Tuning(how.name, tuple(found))
