"""An inception network, whose blocks have up to four players a stage: accuracy of all methods, and large steps.

Table 3 and figure 8 of Liu, Chen and Theodorou (ICML 2021). On digits by default; `--data mnist` for the paper's data,
`--data cifar10` for another of its three. The published network's widths are not in the paper's main text: this one is
small, one block of four branches, and reads a half-sized image after its stem, so that two cores can train it. Numbers
are shown side by side.
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

NAME = "dgnopt-inception"
SUMMARY = "An inception network, up to four players a stage: accuracy of all methods, and where SGD fails."
RESUMES = True

_METHODS = ("sgd", "rmsprop", "adam", "ekfac", "fne", "gr")
_QUICK = ("sgd", "adam", "fne")
_OURS = ("fne", "gr", "fne-ekfac", "fne-identity", "o-cg")
_PUBLISHED = {
    "mnist": {"sgd": 97.96, "rmsprop": 97.75, "adam": 97.72, "ekfac": 97.90, "emsa": 97.39, "dgnopt": 98.03},
    "cifar10": {"sgd": 76.66, "rmsprop": 74.38, "adam": 75.38, "ekfac": 77.54, "emsa": 70.17, "dgnopt": 77.72},
}
_TABLE = "Liu, Chen and Theodorou 2021, table 3, 4 seeds, no deviation printed; a larger network"
_FIGURE = "the aim of this project; Liu, Chen and Theodorou 2021, figure 8: SGD barely progresses, DGNOpt trains"
_STEPS = {"sgd": "SGD", "fne-identity": "feedback, capped", "fne-identity-uncapped": "feedback, no cap"}
_TRAINS = 0.9


@dataclass(frozen=True)
class Options:
    """What is trained; every finished run is saved, and the same command goes on where it was stopped."""

    data: Literal["digits", "mnist", "cifar10"] = "digits"
    """MNIST and CIFAR-10 are read from the folder that STRATEGIC_ENVS_DATA names."""
    methods: tuple[str, ...] = _METHODS
    """Which methods are compared; those of `strategic_envs.agents.dgnopt.experiments.methods`."""
    seeds: int = 4
    """Networks a method, after tuning, and a learning rate."""
    epochs: float | None = None
    """Passes over the training samples: 60 on digits, 2 on MNIST, 10 on CIFAR-10 if not given."""
    trials: int = 4
    """Settings tried for every method."""
    tuning_seeds: int = 2
    """Networks a setting that is tried."""
    tuning_epochs: float | None = None
    """Passes of such a network: 10 on digits, a quarter of one on MNIST, 1 on CIFAR-10 if not given."""
    rates: tuple[float, ...] = (0.2, 0.5, 0.8, 1.0, 1.2, 1.6)
    """Learning rates at which SGD is tried, until it fails."""
    cap: float = 0.5
    """Large steps: the feedback is at most this times the gradient."""
    gain: float = 1.0
    """First weights are He's times this: at .8, as for the other networks, this deeper one stands still at first."""
    device: str = "cpu"
    """Where to compute: cpu or cuda."""


_DEFAULTS = {"digits": (60.0, 10.0), "mnist": (2.0, 0.25), "cifar10": (10.0, 1.0)}


def reproduce(out: Path, *, seed: int = 0, quick: bool = False, options: Options = Options()) -> list[dict[str, Any]]:
    """Writes `curves.png` and `trials.md`, and keeps all runs in `runs`.

    On digits it takes about half an hour of one core, on MNIST some hours.

    Args:
        out: The folder.
        seed: The seed of the first network.
        quick: Three methods, one seed and trial, at most three epochs, two rates.
        options: What is trained.

    Returns:
        One row a method: `quantity`, `ours` (test accuracy in percent, mean and deviation over the seeds), `expected`,
        `seeds`, `loss` (training loss of the last epoch), `diverged`, `settings`, `source`, `within`; then one row a
        learning rate that SGD is tried at, and capped and uncapped feedback where it fails.

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
    with saying() as say:
        where = out / "runs" / f"{options.data}-inception-gain{options.gain:g}"
        study = Study(where, problem("inception", options.data), said=say, device=options.device)
        seeds = range(seed, seed + plan.seeds)
        tunings = [_tune(study, name, plan, seed, options.gain) for name in plan.methods]
        for tuning in tunings:
            settings = tuning.best.settings if tuning.best else None  # where all were rejected, the defaults
            found[tuning.method] = _train(study, tuning.method, seeds, plan.epochs, settings, options.gain)
        steps = _large_steps(study, plan, seeds, options)
    write_atomic(out / "trials.md", _trials(tunings))
    begun = {name: curves(runs, timed=True) for name, runs in found.items() if any(run.rows for run in runs)}
    save(plot_training(begun, title=f"inception on {options.data}", lowest=0.8), out / "curves.png")
    return [*(_compared(name, runs, options.data) for name, runs in found.items()), *_step_rows(steps)]


@dataclass(frozen=True)
class _Plan:
    """The options with nothing left open."""

    methods: tuple[str, ...]
    seeds: int
    epochs: float
    trials: int
    tuning_seeds: int
    tuning_epochs: float
    rates: tuple[float, ...]


def _plan(options: Options, quick: bool) -> _Plan:
    from strategic_envs.agents.dgnopt.experiments.methods import TRIALS, methods
    from strategic_envs.scripts.reproduce._dgnopt_runs import check_counts

    least = {"seeds": 1, "epochs": 0.01, "trials": 1, "tuning_seeds": 1, "tuning_epochs": 0.01, "cap": 0.0, "gain": 0.0}
    check_counts(options, least)
    if options.trials > TRIALS:
        raise InputError(f"got --trials {options.trials}, expected at most {TRIALS}: no method has more settings")
    if not options.rates or min(options.rates) <= 0 or list(options.rates) != sorted(options.rates):
        raise InputError(f"got --rates {options.rates}, expected positive learning rates, the smallest first")
    for name in options.methods:
        if name not in methods():
            raise UnknownNameError("method", name, methods())
    epochs, tuning_epochs = _DEFAULTS[options.data]
    epochs = epochs if options.epochs is None else options.epochs
    tuning_epochs = tuning_epochs if options.tuning_epochs is None else options.tuning_epochs
    if not quick:
        counts = options.trials, options.tuning_seeds, tuning_epochs, options.rates
        return _Plan(options.methods, options.seeds, epochs, *counts)
    some = tuple(name for name in options.methods if name in _QUICK or options.methods != _METHODS)
    return _Plan(some, 1, min(3.0, epochs), 1, 1, min(2.0, tuning_epochs), options.rates[:2])


def _tune(study: Study, name: str, plan: _Plan, seed: int, gain: float) -> Tuning:
    from strategic_envs.agents.dgnopt.experiments.methods import Method
    from strategic_envs.agents.dgnopt.experiments.tuning import tune

    def one(how: Method, settings: Mapping[str, Any], s: int) -> Run:
        return study.run(how, seed=s, epochs=plan.tuning_epochs, settings=settings, validate=True, gain=gain)

    seeds = range(seed + 1000, seed + 1000 + plan.tuning_seeds)  # not those that are reported
    return tune(name, one, seeds=seeds, trials=plan.trials)


def _train(
    study: Study, name: str, seeds: Sequence[int], epochs: float, settings: Mapping[str, Any] | None, gain: float
) -> list[Run]:
    return [study.run(name, seed=s, epochs=epochs, settings=settings, gain=gain) for s in seeds]


def _compared(name: str, runs: Sequence[Run], data: str) -> dict[str, Any]:
    from strategic_envs.agents.dgnopt.experiments.methods import method
    from strategic_envs.scripts.reproduce._dgnopt_runs import percent, row

    expected = _PUBLISHED.get(data, {}).get("dgnopt" if name in _OURS else name)
    return row(
        f"{method(name).summary} ({name}): test accuracy, %",
        percent(runs),
        "-" if expected is None else expected,
        _TABLE if expected is not None else "none",
        settings=_settings(runs[0].settings),
        **_beside(runs),
    )


def _beside(runs: Sequence[Run]) -> dict[str, Any]:
    """What stands beside an accuracy: how many seeds it is of, the loss, how many diverged."""
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean

    sound = [run for run in runs if not run.diverged]
    loss = f"{mean([run.loss for run in sound]):.3f}" if sound else "-"
    return {"seeds": len(runs), "loss": loss, "diverged": f"{len(runs) - len(sound)} of {len(runs)}"}


def _large_steps(
    study: Study, plan: _Plan, seeds: Sequence[int], options: Options
) -> dict[tuple[float, str], Sequence[Run]]:
    """SGD at growing rates until it fails after it has trained; feedback with and without its cap at the last two."""
    found: dict[tuple[float, str], Sequence[Run]] = {}
    for rate in plan.rates:
        found[rate, "sgd"] = _train(study, "sgd", seeds, plan.epochs, {"lr": rate}, options.gain)
        if _failing(found) is not None:
            break
    for rate in [rate for rate, _ in reversed(found)][:2]:
        for name in list(_STEPS)[1:]:
            settings = {"lr": rate, **({"cap": options.cap} if name == "fne-identity" else {})}
            found[rate, name] = _train(study, name, seeds, plan.epochs, settings, options.gain)
    return found


def _trains(runs: Sequence[Run]) -> bool:
    """Whether the mean accuracy is 90% at least, and no run diverged."""
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean

    return mean([run.accuracy for run in runs]) >= _TRAINS


def _failing(steps: Mapping[tuple[float, str], Sequence[Run]]) -> float | None:
    """The smallest rate at which SGD fails, above one at which it trains: failing by slowness does not count."""
    trains = {rate: _trains(runs) for (rate, name), runs in sorted(steps.items()) if name == "sgd"}
    sound = [rate for rate, good in trains.items() if good]
    return next((rate for rate, good in trains.items() if sound and not good and rate > min(sound)), None)


def _step_rows(steps: Mapping[tuple[float, str], Sequence[Run]]) -> list[dict[str, Any]]:
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean, percent, row

    rows = [
        row(f"lr {rate:g}, {_STEPS[name]}: test accuracy, %", percent(runs), "-", "none", settings="", **_beside(runs))
        for (rate, name), runs in sorted(steps.items(), key=lambda item: (item[0][0], list(_STEPS).index(item[0][1])))
    ]
    blank: dict[str, Any] = {"seeds": "", "loss": "", "diverged": "", "settings": ""}
    failing = _failing(steps)
    if failing is None:
        sound = any(_trains(runs) for (_, name), runs in steps.items() if name == "sgd")
        what = "SGD trains at every rate tried: try larger ones" if sound else "SGD trains at no rate: give more epochs"
        return [*rows, row(f"the rate at which SGD fails: {what}", "-", "-", _FIGURE, **blank)]
    fed = mean([run.accuracy for run in steps[failing, "fne-identity"]])
    quantity = f"lr {failing:g}, the smallest tried at which SGD fails: capped feedback, %, at least"
    shown = f"{100 * fed:.2f}" if math.isfinite(fed) else "diverged"
    return [*rows, row(quantity, shown, 100 * _TRAINS, _FIGURE, bool(fed >= _TRAINS), **blank)]


def _settings(settings: Mapping[str, Any]) -> str:
    """The numbers among the settings; the rest is in the method's name."""
    return ", ".join(f"{key} {value:g}" for key, value in settings.items() if isinstance(value, float))


def _trials(tunings: Sequence[Tuning]) -> str:
    lines = ["| method | settings | validation accuracy, % | loss | diverged | chosen |", "|---|---|---|---|---|---|"]
    for one in (row for tuning in tunings for row in tuning.table()):
        numbers = f"{100 * one['accuracy']:.2f} | {one['loss']:.4f} | {one['diverged']}"
        chosen = "yes" if one["chosen"] else ""
        lines.append(f"| {one['method']} | {_settings(one['settings'])} | {numbers} | {chosen} |")
    return "\n".join(lines) + "\n"
