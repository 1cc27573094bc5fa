"""All methods on one residual network: accuracy, epochs and wall time to a mark, each tuned with as many trials.

Table 2 of Liu, Chen and Theodorou (ICML 2021). On digits by default; `--data mnist` for the paper's data, where the
residual perceptron (784-128-128-128) stands in for their convolutional network, which `--network conv` trains; and
`--data cifar10 --network resnet18` on what there is of CIFAR-10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from strategic_envs.errors import UnknownNameError
from strategic_envs.scripts.options import InputError

if TYPE_CHECKING:
    from strategic_envs.agents.dgnopt.experiments.study import Study
    from strategic_envs.agents.dgnopt.experiments.training import Run
    from strategic_envs.agents.dgnopt.experiments.tuning import Tuning

__all__ = ["NAME", "SUMMARY", "Options", "reproduce"]

NAME = "dgnopt-residual"
SUMMARY = "SGD, RMSprop, Adam, KFAC, EKFAC, EMSA and DGNOpt on a residual network: accuracy, epochs and time to a mark."
RESUMES = True

_BASELINES = ("sgd", "rmsprop", "adam", "kfac", "ekfac", "ekfac-running")
_OURS = ("fne", "gr", "lm")
_METHODS = (*_BASELINES, "emsa", *_OURS)
_QUICK = ("sgd", "adam", "kfac", "fne", "gr")
_PUBLISHED = {"sgd": 98.65, "rmsprop": 98.61, "adam": 98.49, "ekfac": 98.77, "emsa": 98.25, "fne": 98.76, "gr": 98.76}
_PUBLISHED_CIFAR10 = {
    "sgd": 82.94,
    "rmsprop": 83.75,
    "adam": 85.66,
    "ekfac": 85.65,
    "emsa": 75.60,
    "fne": 85.85,
    "gr": 85.85,
}
_TABLE = "Liu, Chen and Theodorou 2021, table 2"
_DIGITS = {"sgd": 96.29, "rmsprop": 96.58, "adam": 96.83, "kfac": 96.63, "ekfac": 96.21, "fne": 97.04, "lm": 94.8}
_PROTOTYPE = "a prototype of this project, 6 seeds; a point is the error of 400 test images"


@dataclass(frozen=True)
class Options:
    """What is trained; every finished run is saved, and the same command goes on where it was stopped."""

    data: Literal["digits", "mnist", "cifar10"] = "digits"
    """MNIST and CIFAR-10 are read from the folder that STRATEGIC_ENVS_DATA names."""
    network: Literal["residual", "conv", "resnet18"] = "residual"
    """The residual perceptron, the residual convolutional network, or ResNet18 (on CIFAR-10 only)."""
    methods: tuple[str, ...] = _METHODS
    """Which methods; those of `strategic_envs.agents.dgnopt.experiments.methods`."""
    seeds: int = 3
    """Networks a method, after tuning."""
    epochs: float | None = None
    """Passes over the training samples: 15 on digits, 5 on MNIST, 20 on CIFAR-10 if not given."""
    trials: int = 4
    """Settings tried for every method."""
    tuning_seeds: int = 2
    """Networks a setting that is tried."""
    tuning_epochs: float | None = None
    """Passes of such a network: 6 on digits, 0.3 on MNIST, 2 on CIFAR-10 if not given."""
    emsa: float = 0.04
    """EMSA is some hundred times as slow a step: it gets this share of all epochs, in tuning and after."""
    mark: float | None = None
    """The accuracy, as a share, whose time is measured: .95 on digits, .975 on MNIST, .7 on CIFAR-10 if not given."""
    device: str = "cpu"
    """Where to compute: cpu or cuda."""


_DEFAULTS = {"digits": (15.0, 6.0, 0.95), "mnist": (5.0, 0.3, 0.975), "cifar10": (20.0, 2.0, 0.7)}


def reproduce(out: Path, *, seed: int = 0, quick: bool = False, options: Options = Options()) -> list[dict[str, Any]]:
    """Writes `curves.png` and `trials.md`, and keeps all runs in `runs`.

    On digits it takes a few minutes of one core, on MNIST about half an hour.

    Args:
        out: The folder.
        seed: The seed of the first network.
        quick: Five methods, two seeds and trials, at most four epochs.
        options: What is trained.

    Returns:
        One row a method: `quantity`, `ours` (test accuracy in percent over the seeds), `expected`, `epochs` and
        `seconds` to the mark, `epoch_seconds` (of one pass), `settings`, `diverged`, `source`, `within`; then our best
        against the best baseline.

    Raises:
        InputError: If an option is out of its range.
        DataError: If the data are not where they are said to be.
    """
    from strategic_envs.agents.dgnopt.experiments.problems import problem
    from strategic_envs.agents.dgnopt.experiments.study import Study
    from strategic_envs.plots.figure import save
    from strategic_envs.plots.training import plot_training
    from strategic_envs.results import write_atomic
    from strategic_envs.scripts.reproduce._dgnopt_runs import curves, saying

    plan = _plan(options, quick)
    found: dict[str, Sequence[Run]] = {}
    tunings: list[Tuning] = []
    with saying() as say:
        where = out / "runs" / f"{options.data}-{options.network}"
        study = Study(where, problem(options.network, options.data), said=say, device=options.device)
        for name in plan.methods:
            tunings.append(_tune(study, name, plan, seed))
            best = tunings[-1].best
            settings = best.settings if best else None  # where all were rejected, the defaults
            epochs = plan.epochs * (plan.emsa if name == "emsa" else 1)
            rows_an_epoch = 4 if options.data == "mnist" else 1
            found[name] = [
                study.run(name, seed=s, epochs=epochs, settings=settings, per_epoch=rows_an_epoch)
                for s in range(seed, seed + plan.seeds)
            ]
    write_atomic(out / "trials.md", _trials(tunings))
    drawn = sorted(found, key=lambda name: name not in _OURS)  # the first six lines are solid
    begun = {name: curves(found[name], timed=True) for name in drawn if any(run.rows for run in found[name])}
    title = f"{options.network} on {options.data}"
    picture = plot_training(begun, title=title, marks={"mark": plan.mark}, lowest=min(0.8, plan.mark - 0.05))
    save(picture, out / "curves.png")
    rows = [_compared(name, runs, options, plan) for name, runs in found.items()]
    if quick:  # too short a training to be judged
        return [{**row, "within": None} for row in rows]
    return rows + _claims(found, plan)


@dataclass(frozen=True)
class _Plan:
    """The options with nothing left open."""

    methods: tuple[str, ...]
    seeds: int
    epochs: float
    trials: int
    tuning_seeds: int
    tuning_epochs: float
    emsa: float
    mark: float


def _plan(options: Options, quick: bool) -> _Plan:
    from strategic_envs.agents.dgnopt.experiments.methods import TRIALS, methods
    from strategic_envs.scripts.reproduce._dgnopt_runs import check_counts

    check_counts(options, {"seeds": 1, "epochs": 0.01, "trials": 1, "tuning_seeds": 1, "tuning_epochs": 0.01})
    if options.trials > TRIALS:
        raise InputError(f"got --trials {options.trials}, expected at most {TRIALS}: no method has more settings")
    if not 0 < options.emsa <= 1:
        raise InputError(f"got --emsa {options.emsa}, expected a share above 0, at most 1")
    for name in options.methods:
        if name not in methods():
            raise UnknownNameError("method", name, methods())
    epochs, tuning_epochs, mark = _DEFAULTS[options.data]
    chosen = tuple(name for name in options.methods if name in _QUICK or options.methods != _METHODS)
    epochs = epochs if options.epochs is None else options.epochs
    tuning_epochs = tuning_epochs if options.tuning_epochs is None else options.tuning_epochs
    return _Plan(
        chosen if quick else options.methods,
        min(2, options.seeds) if quick else options.seeds,
        min(4.0, epochs) if quick else epochs,
        min(2, options.trials) if quick else options.trials,
        min(1, options.tuning_seeds) if quick else options.tuning_seeds,
        min(3.0, tuning_epochs) if quick else tuning_epochs,
        options.emsa,
        mark if options.mark is None else options.mark,
    )


def _tune(study: Study, name: str, plan: _Plan, seed: int) -> Tuning:
    epochs = plan.tuning_epochs * (plan.emsa if name == "emsa" else 1)
    seeds = range(seed + 1000, seed + 1000 + plan.tuning_seeds)  # not those that are reported
    return study.tune(name, seeds=seeds, epochs=epochs, trials=plan.trials)


def _compared(name: str, runs: Sequence[Run], options: Options, plan: _Plan) -> dict[str, Any]:
    from strategic_envs.agents.dgnopt.experiments.methods import method
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean, percent, row

    expected, source = _published(name, options)
    sound = [run for run in runs if not run.diverged]
    accuracy = 100 * mean([run.accuracy for run in runs])
    last = [run.rows[-1] for run in sound]
    return row(
        f"{method(name).summary} ({name}): test accuracy, %",
        percent(runs),
        "-" if expected is None else expected,
        source,
        _within(name, accuracy, expected, options),
        epochs=_to([run.epochs_to(plan.mark) for run in runs]),
        seconds=_to([run.seconds_to(plan.mark) for run in runs]),
        epoch_seconds=f"{mean([r.seconds / r.epoch for r in last]):.2f}" if last else "-",
        diverged=f"{len(runs) - len(sound)} of {len(runs)}",
        settings=_settings(name, runs[0].settings),
    )


def _published(name: str, options: Options) -> tuple[float | None, str]:
    if options.data == "digits":
        known = options.network == "residual" and name in _DIGITS
        return (_DIGITS[name], _PROTOTYPE) if known else (None, "none")
    table = _PUBLISHED if options.data == "mnist" else _PUBLISHED_CIFAR10
    note = {"mnist": ", a convolutional network", "cifar10": ", all of CIFAR-10"}[options.data]
    return (table.get(name), _TABLE + note) if name in table else (None, "not in table 2")


def _within(name: str, accuracy: float, expected: float | None, options: Options) -> bool | None:
    """Judged where network and data are those that the number belongs to."""
    if expected is None or name == "emsa":
        return None
    if options.data == "digits":
        return bool(accuracy >= expected - 1.5) if name != "lm" else bool(accuracy >= expected)
    if (options.data, options.network) == ("mnist", "conv"):
        return bool(accuracy >= expected - (0 if name in _OURS else 0.15))
    return None


def _claims(found: Mapping[str, Sequence[Run]], plan: _Plan) -> list[dict[str, Any]]:
    """Fewer epochs to the mark than every baseline, and no more wall time than Adam."""
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean, row

    aim = "the aim of this project"
    blank = dict.fromkeys(("epochs", "seconds", "epoch_seconds", "diverged", "settings"), "")
    epochs = {name: mean([run.epochs_to(plan.mark) for run in runs]) for name, runs in found.items()}
    seconds = {name: mean([run.seconds_to(plan.mark) for run in runs]) for name, runs in found.items()}
    mark = f"{100 * plan.mark:g}%"
    rows = []
    ours, theirs = _fastest(epochs, _OURS), _fastest(epochs, _BASELINES)
    if ours and theirs:
        quantity = f"mean epochs to {mark}: {ours} against {theirs}, the best baseline"
        better = epochs[ours] < epochs[theirs]
        rows.append(row(quantity, f"{epochs[ours]:.2f}", f"below {epochs[theirs]:.2f}", aim, better, **blank))
    ours = _fastest(seconds, _OURS)
    if ours and math.isfinite(seconds.get("adam", math.nan)):
        quantity = f"mean seconds to {mark}: {ours} against adam"
        better = seconds[ours] <= seconds["adam"]
        rows.append(row(quantity, f"{seconds[ours]:.2f}", f"at most {seconds['adam']:.2f}", aim, better, **blank))
    return rows


def _fastest(numbers: Mapping[str, float], names: Sequence[str]) -> str | None:
    there = [name for name in names if math.isfinite(numbers.get(name, math.nan))]
    return min(there, key=lambda name: numbers[name]) if there else None


def _to(numbers: Sequence[float | None]) -> str:
    """The mean over the seeds that came to the mark, and how many did."""
    there = [number for number in numbers if number is not None]
    if not there:
        return "never"
    some = f" ({len(there)} of {len(numbers)})" if len(there) < len(numbers) else ""
    return f"{sum(there) / len(there):.2f}{some}"


def _settings(name: str, settings: Mapping[str, Any]) -> str:
    """The numbers among the settings; the rest is in the method's name."""
    return ", ".join(f"{key} {value:g}" for key, value in settings.items() if isinstance(value, float))


def _trials(tunings: Sequence[Tuning]) -> str:
    lines = ["| method | settings | validation accuracy, % | loss | diverged | chosen |", "|---|---|---|---|---|---|"]
    for tuning in tunings:
        for one in tuning.table():
            settings = ", ".join(f"{key} {value:g}" for key, value in one["settings"].items())
            chosen = "yes" if one["chosen"] else ""
            numbers = f"{100 * one['accuracy']:.2f} | {one['loss']:.4f} | {one['diverged']}"
            lines.append(f"| {tuning.method} | {settings} | {numbers} | {chosen} |")
    return "\n".join(lines) + "\n"
