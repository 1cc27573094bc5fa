"""Runs that are kept: a study reads those it has from its folder and trains only what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from strategic_envs.agents.dgnopt.experiments.methods import Method, Settings, method
from strategic_envs.agents.dgnopt.experiments.problems import Problem
from strategic_envs.agents.dgnopt.experiments.training import Run, fit
from strategic_envs.agents.dgnopt.experiments.tuning import Tuning, tune
from strategic_envs.results import RunFolder

__all__ = ["Study"]


class Study:
    """Training runs on one problem, each on disk as soon as it has ended.

    Args:
        folder: Where the runs are kept; None keeps them in memory.
        problem: What is trained on what.
        batch: Samples in a minibatch.
        threads: Threads of torch; as they are if not given.
        device: Where to compute.
        said: Called with a line about every run that was trained.

    Raises:
        CheckpointError: If the folder holds runs of another study, or made with other versions.

    Example:
        >>> from strategic_envs.agents.dgnopt.experiments.problems import problem
        >>> study = Study(Path("runs"), problem("mlp"))
        >>> first = study.run("adam", seed=0, epochs=1)
        >>> Study(Path("runs"), problem("mlp")).run("adam", seed=0, epochs=1) == first
        True
    """

    def __init__(
        self,
        folder: str | Path | None,
        problem: Problem,
        *,
        batch: int = 128,
        threads: int | None = None,
        device: str = "cpu",
        said: Callable[[str], None] | None = None,
    ) -> None:
        self.problem, self._batch, self._threads, self._device, self._said = problem, batch, threads, device, said
        config = {"study": "network training", "data": problem.data, "network": problem.network, "batch": batch}
        self._folder = None if folder is None else RunFolder.create(folder, config, device=device)
        rows = [] if self._folder is None else self._folder.rows()
        self._kept: dict[str, Run] = {row["key"]: Run.restore(row["run"]) for row in rows}

    def run(
        self,
        how: str | Method,
        *,
        seed: int,
        epochs: float,
        settings: Settings | None = None,
        per_epoch: int = 1,
        validate: bool = False,
        **more: Any,
    ) -> Run:
        """One run: the one that is kept, or a new one.

        Args:
            how: A method or its name.
            seed: The seed.
            epochs: Passes over the training samples.
            settings: What replaces the method's defaults.
            per_epoch: How many rows an epoch has.
            validate: Whether accuracy is that on validation samples instead of test samples.
            **more: Further arguments of `fit`; they do not tell runs apart. First weights have the problem's gain
                unless one is given.
        """
        how = method(how) if isinstance(how, str) else how
        wanted = {**how.defaults, **(settings or {})}
        told = {"method": how.name, "settings": wanted, "seed": seed, "epochs": epochs, "per_epoch": per_epoch}
        key = json.dumps({**told, "validate": validate}, sort_keys=True)
        if key not in self._kept:
            measured = self.problem.validation if validate else self.problem.test
            found = fit(
                self.problem.make,
                how,
                self.problem.train,
                measured,
                epochs=epochs,
                batch=self._batch,
                seed=seed,
                settings=settings,
                per_epoch=per_epoch,
                threads=self._threads,
                device=self._device,
                **{"gain": self.problem.gain, **more},
            )
            if self._folder is not None:
                self._folder.append({"key": key, "run": found.record()})
            if self._said is not None:
                self._said(_line(found))
            self._kept[key] = found
        return self._kept[key]

    def tune(
        self,
        how: str | Method,
        *,
        seeds: Sequence[int],
        epochs: float,
        trials: int | None = None,
    ) -> Tuning:
        """Tries a method's grid on the validation samples, as `tuning.tune` does."""
        how = method(how) if isinstance(how, str) else how

        def one(how: Method, settings: Settings, seed: int) -> Run:
            return self.run(how, seed=seed, epochs=epochs, settings=settings, validate=True)

        return tune(how, one, seeds=seeds, trials=trials)


def _line(run: Run) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in run.settings.items())
    last = run.rows[-1] if run.rows else None
    epochs, seconds = (last.epoch, last.seconds) if last else (0.0, 0.0)
    found = run.outcome if run.diverged else f"{100 * run.accuracy:.2f}%, loss {run.loss:.4f}"
    return f"{run.method} ({settings}), seed {run.seed}: {found} after {epochs:g} epochs, {seconds:.1f} s"
