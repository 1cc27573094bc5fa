"""Large steps: where SGD fails, feedback that is capped still trains, and feedback that is not does not.

Figure 8 of Liu, Chen and Theodorou (ICML 2021) trains an inception network with a learning rate at which SGD barely
moves. Here, on digits by default: SGD, feedback on plain gradient steps with its cap (at most half the gradient), and
the control without a cap, at the same learning rates and from the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from strategic_envs.scripts.options import InputError

__all__ = ["NAME", "SUMMARY", "Options", "reproduce"]

NAME = "dgnopt-large-steps"
SUMMARY = "Feedback between layers at learning rates at which SGD fails, with and without its cap."
RESUMES = True

_METHODS = {"sgd": "SGD", "fne-identity": "feedback, capped", "fne-identity-uncapped": "feedback, no cap"}
_PROTOTYPE = "a prototype of this project, 3 seeds"
# By rate and method: test accuracy in percent, and how many of three seeds diverged.
_EXPECTED: dict[tuple[float, str], tuple[float | None, int]] = {
    (0.4, "sgd"): (95.25, 0),
    (0.4, "fne-identity"): (95.58, 0),
    (0.4, "fne-identity-uncapped"): (50.5, 0),
    (0.8, "sgd"): (72.75, 0),
    (0.8, "fne-identity"): (96.17, 0),
    (0.8, "fne-identity-uncapped"): (None, 3),
    (1.6, "sgd"): (11.3, 2),
    (1.6, "fne-identity"): (31.3, 1),
    (1.6, "fne-identity-uncapped"): (None, 3),
}
_FAILS, _TRAINS = 0.90, 0.95


@dataclass(frozen=True)
class Options:
    """What is trained; every finished run is saved, and the same command goes on where it was stopped."""

    rates: tuple[float, ...] = (0.4, 0.8, 1.6)
    """The learning rates."""
    seeds: int = 3
    """Networks a learning rate and method."""
    epochs: float = 10.0
    """Passes over the training samples."""
    network: Literal["residual", "mlp", "conv", "inception"] = "residual"
    """What is trained; the numbers expected are those of the residual perceptron on digits."""
    data: Literal["digits", "mnist"] = "digits"
    """MNIST is read from the folder that STRATEGIC_ENVS_DATA names."""
    cap: float = 0.5
    """The feedback is at most this times the gradient."""


def reproduce(out: Path, *, seed: int = 0, quick: bool = False, options: Options = Options()) -> list[dict[str, Any]]:
    """Writes `large_steps.png` and keeps all runs in `runs`.

    On digits it takes about half a minute of one core.

    Args:
        out: The folder.
        seed: The seed of the first network.
        quick: At most two seeds and the two smaller rates.
        options: What is trained.

    Returns:
        One row a rate and method: `quantity`, `ours` (test accuracy in percent over the seeds that did not diverge),
        `expected`, `loss` (training loss of the last epoch), `diverged`, `source`, `within`.

    Raises:
        InputError: If an option is out of its range.
    """
    from strategic_envs.agents.dgnopt.experiments.problems import problem
    from strategic_envs.agents.dgnopt.experiments.study import Study
    from strategic_envs.scripts.reproduce._dgnopt_runs import check_counts, saying

    check_counts(options, {"seeds": 1, "epochs": 0.01, "cap": 0.0})
    if not options.rates or min(options.rates) <= 0:
        raise InputError(f"got --rates {options.rates}, expected positive learning rates")
    rates = options.rates[:2] if quick else options.rates
    seeds = range(seed, seed + (min(2, options.seeds) if quick else options.seeds))
    rows, drawn = [], {}
    with saying() as say:
        where = out / "runs" / f"{options.data}-{options.network}"
        study = Study(where, problem(options.network, options.data), said=say)
        for rate in rates:
            for name in _METHODS:
                settings = {"lr": rate, **({"cap": options.cap} if name == "fne-identity" else {})}
                runs = [study.run(name, seed=s, epochs=options.epochs, settings=settings) for s in seeds]
                drawn[rate, name] = runs
                rows.append(_compared(rate, name, runs, options))
    _draw(out / "large_steps.png", rates, drawn)
    return [*rows, *_claims(rates, drawn)]


def _compared(rate: float, name: str, runs: Sequence[Any], options: Options) -> dict[str, Any]:
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean, percent, row

    same = (options.network, options.data, options.cap) == ("residual", "digits", 0.5)
    expected, diverged = _EXPECTED.get((rate, name), (None, None)) if same else (None, None)
    count = sum(run.diverged for run in runs)
    sound = [run for run in runs if not run.diverged]
    known = diverged is not None
    return row(
        f"lr {rate:g}, {_METHODS[name]}: test accuracy, %",
        percent(runs),
        (f"{expected:g}" if expected is not None else "-") + f", {diverged} of 3 diverged" if known else "-",
        _PROTOTYPE if known else "none",
        loss=f"{mean([run.loss for run in sound]):.3f}" if sound else "-",
        diverged=f"{count} of {len(runs)}",
    )


def _claims(rates: Sequence[float], drawn: dict[tuple[float, str], Sequence[Any]]) -> list[dict[str, Any]]:
    """Where SGD fails, does the cap train, and is the cap what does it?"""
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean, row

    claimed = "Liu, Chen and Theodorou 2021, figure 8: SGD barely progresses, feedback trains"
    failing = [rate for rate in rates if not mean([run.accuracy for run in drawn[rate, "sgd"]]) >= _FAILS]
    found = []
    for rate in failing:
        fed = mean([run.accuracy for run in drawn[rate, "fne-identity"]])
        quantity = f"lr {rate:g}, at which SGD fails: capped feedback, test accuracy, %, at least"
        judged = bool(fed >= _TRAINS) if rate == min(failing) else None  # every method fails somewhere
        shown = f"{100 * fed:.2f}" if math.isfinite(fed) else "diverged"
        found.append(row(quantity, shown, 100 * _TRAINS, claimed, judged, loss="", diverged=""))
    return found


def _draw(path: Path, rates: Sequence[float], drawn: dict[tuple[float, str], Sequence[Any]]) -> None:
    from strategic_envs.plots.curves import draw_curves
    from strategic_envs.plots.figure import new_figure, save, share_legend
    from strategic_envs.scripts.reproduce._dgnopt_runs import curves

    figure, panels = new_figure(1, len(rates), width=3.8, height=3.8)
    for axes, rate in zip(panels, rates, strict=True):
        begun = [name for name in _METHODS if any(run.rows for run in drawn[rate, name])]
        found = {_METHODS[name]: curves(drawn[rate, name]) for name in begun}
        series = {name: (c.epochs, c.loss) for name, c in found.items()}
        draw_curves(axes, series, title=f"learning rate {rate:g}", xlabel="epoch", ylabel="training loss")
        axes.set_ylim(1e-2, 10)  # what diverges leaves at the top
        axes.set_xlim(0.5, max(run.rows[-1].epoch for runs in drawn.values() for run in runs if run.rows) + 0.5)
    share_legend(figure, panels)
    save(figure, path)
