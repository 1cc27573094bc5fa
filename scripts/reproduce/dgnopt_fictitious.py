"""Fictitious players: SGD with N players a layer, beside SGD with N times the learning rate.

Table 4 of Liu, Chen and Theodorou (ICML 2021) counts the steps that SGD with N cooperating players a layer needs to
reach an accuracy. To first order N players are N times the learning rate, so that is the control here: the same
network, the same batches, plain SGD at N times the rate. Their figure 11 adds players who part a layer's parameters
among them, which is one player with feedback.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from strategic_envs.scripts.options import InputError

if TYPE_CHECKING:
    from strategic_envs.agents.dgnopt.experiments.study import Study
    from strategic_envs.agents.dgnopt.experiments.training import Run

__all__ = ["NAME", "SUMMARY", "Options", "reproduce"]

NAME = "dgnopt-fictitious"
SUMMARY = "SGD with N fictitious players a layer, beside SGD with N times the learning rate."
RESUMES = True

_PAPER = "Liu, Chen and Theodorou 2021, table 4"
_SVHN = {1: 5140, 2: 2310, 4: 1250, 6: 800}  # steps to 80%
_CIFAR10 = {1: 3620, 2: 2970, 4: 2980, 6: 5830}  # steps to 60%
_PROTOTYPE = "a prototype of this project, 3 seeds, another split"
# By N: epochs to a training loss of 0.3 a seed, and test accuracy, of N times the rate and of N players.
_EXPECTED: dict[int, tuple[str, str]] = {
    1: ("10/10/9, 95.75%", "10/10/9, 95.75%"),
    2: ("6/6/6, 96.17%", "6/6/6, 96.33%"),
    4: ("6/6/6, 96.42%", "5/5/5, 96.33%"),
    6: ("5/6/6, 96.58%", "7/7/8, 96.25%"),
    12: ("2 of 3 diverged", "2 of 3 diverged"),
}
_SAME = 1.0  # points of accuracy; the standard error of one test on digits is 0.9
_Runs = Mapping[tuple[str, int], Sequence["Run"]]


@dataclass(frozen=True)
class Options:
    """What is trained; every finished run is saved, and the same command goes on where it was stopped."""

    players: tuple[int, ...] = (1, 2, 4, 6, 12)
    """The numbers N of players a layer."""
    lr: float = 0.1
    """The learning rate of a player; the control has N times as much."""
    seeds: int = 6
    """Networks for each number of players."""
    epochs: float = 25.0
    """Passes over the training samples."""
    loss: float = 0.3
    """The training loss that is to be reached, the mean over the minibatches of a row."""
    rows: int = 1
    """Rows an epoch: how finely steps are counted."""
    network: Literal["residual", "mlp", "conv"] = "residual"
    """What is trained; the numbers expected are those of the residual perceptron on digits."""
    data: Literal["digits", "mnist"] = "digits"
    """MNIST is read from the folder that STRATEGIC_ENVS_DATA names."""


def reproduce(out: Path, *, seed: int = 0, quick: bool = False, options: Options = Options()) -> list[dict[str, Any]]:
    """Writes `fictitious.png` and keeps all runs in `runs`.

    On digits it takes about three minutes of one core.

    Args:
        out: The folder.
        seed: The seed of the first network.
        quick: At most two seeds, the first three numbers of players and twelve epochs.
        options: What is trained.

    Returns:
        One row for each number of players and its control: `quantity`, `ours` (epochs to the training loss, a seed),
        `expected`, `steps` (their mean in steps), `accuracy` (test, percent), `diverged`, `source`, `within`; then the
        speed-ups beside table 4's, figure 11's partition, and how far players are from their control.

    Raises:
        InputError: If an option is out of its range.
    """
    from strategic_envs.agents.dgnopt.experiments.problems import problem
    from strategic_envs.agents.dgnopt.experiments.study import Study
    from strategic_envs.scripts.reproduce._dgnopt_runs import check_counts, saying

    check_counts(options, {"seeds": 1, "epochs": 0.01, "rows": 1})
    if not options.players or min(options.players) < 1 or options.players[0] != 1:
        raise InputError(f"got --players {options.players}, expected numbers from 1, the first of them 1")
    if not options.lr > 0:
        raise InputError(f"got --lr {options.lr}, expected a positive learning rate")
    players = options.players[:3] if quick else options.players
    seeds = range(seed, seed + (min(2, options.seeds) if quick else options.seeds))
    epochs = min(12.0, options.epochs) if quick else options.epochs
    with saying() as say:
        study = Study(
            out / "runs" / f"{options.data}-{options.network}", problem(options.network, options.data), said=say
        )
        found = {
            (kind, n): [_train(study, kind, n, options, epochs, s) for s in seeds]
            for n in players
            for kind in ("players", "rate")
        }
        found["partition", 1] = [_train(study, "partition", 1, options, epochs, s) for s in seeds]
    _draw(out / "fictitious.png", players, found, options)
    batches = len(study.problem.train) // 128
    rows = [_compared(kind, n, found, options, batches) for n in players for kind in ("players", "rate")]
    rows += [_speed_up(n, found, options) for n in players[1:]]
    return [*rows, _partition(found, options, batches), *_claims(players, found, options)]


def _train(study: Study, kind: str, n: int, options: Options, epochs: float, seed: int) -> Run:
    settings: dict[str, Any] = {"lr": options.lr}
    name = {"players": "olne", "rate": "sgd", "partition": "fne-identity"}[kind]
    if kind == "rate":
        settings["lr"] = options.lr * n
    if kind == "players":
        settings |= {"curvature": "identity", "damping": None, "kl_clip": None, "fictitious": n}
    return study.run(name, seed=seed, epochs=epochs, settings=settings, per_epoch=options.rows)


def _reached(run: Run, loss: float) -> float | None:
    return next((row.epoch for row in run.rows if row.loss <= loss), None)


def _label(kind: str, n: int, options: Options) -> str:
    return f"{n} player{'s' * (n > 1)}, lr {options.lr:g}" if kind == "players" else f"SGD, lr {options.lr * n:g}"


def _numbers(runs: Sequence[Run], options: Options, batches: int) -> tuple[str, dict[str, Any]]:
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean, percent

    epochs = [_reached(run, options.loss) for run in runs]
    steps = mean(epochs) * batches
    return "/".join("-" if e is None else f"{e:.3g}" for e in epochs), {
        "steps": "-" if math.isnan(steps) else f"{steps:.0f}",
        "accuracy": percent(runs),
        "diverged": f"{sum(run.diverged for run in runs)} of {len(runs)}",
    }


def _compared(kind: str, n: int, found: _Runs, options: Options, batches: int) -> dict[str, Any]:
    from strategic_envs.scripts.reproduce._dgnopt_runs import row

    ours, more = _numbers(found[kind, n], options, batches)
    standard = (options.network, options.data, options.lr, options.loss) == ("residual", "digits", 0.1, 0.3)
    known = _EXPECTED.get(n) if standard else None
    quantity = f"{_label(kind, n, options)}: epochs to a training loss of {options.loss:g}"
    if known is None:
        return row(quantity, ours, "-", "none", **more)
    return row(quantity, ours, known[kind == "players"], _PROTOTYPE, **more)


def _speed_up(n: int, found: _Runs, options: Options) -> dict[str, Any]:
    from strategic_envs.scripts.reproduce._dgnopt_runs import row

    there = f"{_SVHN[1] / _SVHN[n]:.1f} on SVHN, {_CIFAR10[1] / _CIFAR10[n]:.1f} on CIFAR-10" if n in _SVHN else "-"
    ratios = [_ratio(found, kind, n, options) for kind in ("players", "rate")]
    ours, control = ("-" if math.isnan(ratio) else f"{ratio:.2f}" for ratio in ratios)
    quantity = f"{n} players: times fewer steps than one (control)"
    return row(quantity, f"{ours} ({control})", there, _PAPER, steps="", accuracy="", diverged="")


def _ratio(found: _Runs, kind: str, n: int, options: Options) -> float:
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean

    one, many = (mean([_reached(run, options.loss) for run in found[key]]) for key in (("rate", 1), (kind, n)))
    return one / many


def _partition(found: _Runs, options: Options, batches: int) -> dict[str, Any]:
    from strategic_envs.scripts.reproduce._dgnopt_runs import row

    ours, more = _numbers(found["partition", 1], options, batches)
    quantity = f"a layer's parameters parted among players (one player with feedback), lr {options.lr:g}: epochs"
    return row(quantity, ours, "slower than fictitious players", f"{_PAPER[:-7]}figure 11", **more)


def _claims(players: Sequence[int], found: _Runs, options: Options) -> list[dict[str, Any]]:
    """How far N players are from SGD at N times the rate, where no run of either diverged."""
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean, row

    both = [n for n in players if n > 1 and not any(r.diverged for k in ("players", "rate") for r in found[k, n])]
    if not both:
        return []
    accuracy = {n: [100 * mean([r.accuracy for r in found[k, n]]) for k in ("players", "rate")] for n in both}
    gap = max(abs(ours - control) for ours, control in accuracy.values())
    ratios = {n: _ratio(found, "players", n, options) / _ratio(found, "rate", n, options) for n in both}
    source, blank = "Liu, Chen and Theodorou 2021 have no such control", {"steps": "", "accuracy": "", "diverged": ""}
    speed = "/".join(f"{ratio:.2f}" for ratio in ratios.values())
    among = "/".join(map(str, both))
    quantity = "N players and N times the rate: largest difference in test accuracy, points, at most"
    return [
        row(quantity, f"{gap:.2f}", _SAME, source, bool(gap < _SAME), **blank),
        row(f"speed-up of N players by that of N times the rate, N = {among}", speed, "1", source, None, **blank),
    ]


def _draw(path: Path, players: Sequence[int], found: _Runs, options: Options) -> None:
    from strategic_envs.plots.curves import draw_curves
    from strategic_envs.plots.figure import new_figure, save, share_legend
    from strategic_envs.scripts.reproduce._dgnopt_runs import curves

    figure, panels = new_figure(1, len(players), width=3.6, height=3.8)
    for axes, n in zip(panels, players, strict=True):
        kinds = {"players": "N players", "rate": "N times the learning rate"}
        begun = {label: found[kind, n] for kind, label in kinds.items() if any(run.rows for run in found[kind, n])}
        if n == 1:
            begun["parameters parted"] = found["partition", 1]
        series = {label: ((c := curves(runs)).epochs, c.loss) for label, runs in begun.items()}
        title = f"N = {n}, learning rate {options.lr:g}"
        draw_curves(axes, series, title=title, xlabel="epoch", ylabel="training loss", dashed=[kinds["rate"]])
    share_legend(figure, panels)
    save(figure, path)
