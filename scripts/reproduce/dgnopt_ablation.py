"""What feedback and cooperation add to KFAC, one at a time: same seeds, same hyper-parameters.

Figure 5 of Liu, Chen and Theodorou (ICML 2021) adds feedback and cooperation to the best-tuned baseline. On digits:
KFAC, + feedback with and without its cap, + exact cooperation, + both, and both with the cooperation of their Prop. 5.
Figure 3 does so with EKFAC on a network of paired layers, which share their input and their output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategic_envs.agents.dgnopt.experiments.study import Study
    from strategic_envs.agents.dgnopt.experiments.training import Run

__all__ = ["NAME", "SUMMARY", "Options", "reproduce"]

NAME = "dgnopt-ablation"
SUMMARY = "What feedback, its cap and cooperation each add to KFAC, at fixed hyper-parameters and over the same seeds."
RESUMES = True

_VARIANTS = {
    "kfac": "KFAC",
    "fne-uncapped": "+ feedback, no cap",
    "fne": "+ feedback",
    "o-cg": "+ cooperation",
    "gr": "+ feedback and cooperation",
    "gr-prop5": "+ both, by Prop. 5",
}
_PAIRED = {"ekfac": "EKFAC", "fne-ekfac": "+ feedback", "gr-ekfac": "+ feedback and cooperation"}
_PROTOTYPE = "a prototype of this project; figure 5 has no numbers"


@dataclass(frozen=True)
class Options:
    """What is trained; every finished run is saved, and the same command goes on where it was stopped."""

    seeds: int = 6
    """Networks a variant on the perceptron; half as many on the convolutional network."""
    epochs: float = 12.0
    """Passes over the training samples on the perceptron; two thirds of them on the convolutional network."""
    conv: bool = True
    """Whether the convolutional network is trained too."""


@dataclass(frozen=True)
class _Setting:
    """Hyper-parameters of one comparison, and what a prototype gave.

    Args:
        network: Which network.
        lr: The learning rate.
        damping: The damping.
        expected: By variant: training loss in epochs 2, 3 and 5 and test accuracy in percent, where known.
    """

    network: str
    lr: float
    damping: float
    expected: Mapping[str, tuple[float | None, float | None, float | None, float | None]]

    @property
    def variants(self) -> Mapping[str, str]:
        """What is compared, the baseline first: method and what it is called."""
        return _PAIRED if self.network == "paired" else _VARIANTS


_SETTINGS = (
    _Setting(
        "residual",
        0.03,
        0.01,
        {
            "kfac": (0.702, 0.221, 0.023, 96.67),
            "fne-uncapped": (0.271, 0.080, 0.015, 96.96),
            "fne": (0.300, 0.085, 0.012, 97.00),
            "o-cg": (0.566, 0.209, 0.021, 97.04),
            "gr": (0.301, 0.086, 0.013, 96.79),
            "gr-prop5": (0.729, 0.263, 0.019, 96.96),
        },
    ),
    _Setting(
        "residual",
        0.1,
        0.1,
        {
            "kfac": (None, 0.410, None, None),
            "fne-uncapped": (None, 0.177, None, None),
            "fne": (None, 0.251, None, None),
            "o-cg": (None, 0.437, None, None),
            "gr": (None, 0.233, None, None),
            "gr-prop5": (None, 0.294, None, None),
        },
    ),
    _Setting(
        "conv",
        0.03,
        0.03,
        {
            "kfac": (None, 1.862, 0.724, 95.67),
            "fne-uncapped": (None, None, None, None),
            "fne": (None, 1.366, 0.368, 95.75),
            "o-cg": (None, 1.883, 1.257, 93.67),
            "gr": (None, 1.451, 0.480, 95.67),
            "gr-prop5": (None, 1.498, 0.478, 95.75),
        },
    ),
    _Setting("paired", 0.1, 0.1, dict.fromkeys(_PAIRED, (None, None, None, None))),
)


def reproduce(out: Path, *, seed: int = 0, quick: bool = False, options: Options = Options()) -> list[dict[str, Any]]:
    """Writes a picture for each setting and keeps all runs in `runs`.

    In full it takes a few minutes of one core.

    Args:
        out: The folder.
        seed: The seed of the first network.
        quick: At most two seeds, on the perceptron at the smaller learning rate only.
        options: What is trained.

    Returns:
        One row a setting and variant: `quantity`, `ours` (training loss in epochs 2, 3 and 5), `expected`, `accuracy`
        (test, percent), `diverged`, `source`, `within`; and for each setting whether feedback lowers the loss.

    Raises:
        InputError: If an option is out of its range.
    """
    from strategic_envs.agents.dgnopt.experiments.problems import problem
    from strategic_envs.agents.dgnopt.experiments.study import Study
    from strategic_envs.plots.figure import save
    from strategic_envs.plots.training import plot_training
    from strategic_envs.scripts.reproduce._dgnopt_runs import check_counts, curves, saying

    check_counts(options, {"seeds": 1, "epochs": 5.0})
    settings = _SETTINGS[:1] if quick else [s for s in _SETTINGS if options.conv or s.network != "conv"]
    rows: list[dict[str, Any]] = []
    with saying() as say:
        for one in settings:
            study = Study(out / "runs" / one.network, problem(one.network), said=say)
            seeds, epochs = _size(one, seed, min(2, options.seeds) if quick else options.seeds, options.epochs)
            found = {name: _runs(study, name, one, seeds, epochs) for name in one.variants}
            label = f"{one.network}, lr {one.lr:g}, damping {one.damping:g}"
            rows += [_compared(label, name, one, runs) for name, runs in found.items()]
            rows.append(_claim(label, found))
            begun = {one.variants[name]: curves(runs) for name, runs in found.items() if any(run.rows for run in runs)}
            dashed = [called for name, called in one.variants.items() if name == "fne-uncapped"]
            picture = plot_training(begun, title=label, dashed=dashed, lowest=0.5)
            save(picture, out / f"{one.network}_lr{one.lr:g}.png")
    return rows


def _size(one: _Setting, seed: int, seeds: int, epochs: float) -> tuple[range, float]:
    if one.network == "conv":
        seeds, epochs = max(1, seeds // 2), max(5.0, round(epochs * 2 / 3))
    return range(seed, seed + seeds), epochs


def _runs(study: Study, name: str, one: _Setting, seeds: range, epochs: float) -> list[Run]:
    settings: dict[str, Any] = {"lr": one.lr, "damping": one.damping, "kl_clip": None}
    return [study.run(name, seed=s, epochs=epochs, settings=settings) for s in seeds]


def _compared(label: str, name: str, one: _Setting, runs: Sequence[Run]) -> dict[str, Any]:
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean, percent, row

    *losses, accuracy = one.expected[name]
    sound = [run for run in runs if not run.diverged]
    return row(
        f"{label}, {one.variants[name]}: training loss in epochs 2/3/5",
        "/".join(f"{mean([run.loss_at(epoch) for run in sound]):.3f}" for epoch in (2, 3, 5)) if sound else "-",
        "/".join("-" if loss is None else f"{loss:.3f}" for loss in losses),
        _PROTOTYPE if any(loss is not None for loss in losses) else "none",
        accuracy=percent(runs) + ("" if accuracy is None else f" ({accuracy:g} there)"),
        diverged=f"{sum(run.diverged for run in runs)} of {len(runs)}",
    )


def _claim(label: str, found: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Feedback lowers the loss of the third epoch, seed by seed."""
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean, row

    baseline, fed = [name for name in found if name in ("kfac", "ekfac", "fne", "fne-ekfac")]
    pairs = list(zip(found[baseline], found[fed], strict=True))
    lower = sum(there.loss_at(3) < plain.loss_at(3) for plain, there in pairs)
    ratio = mean([plain.loss_at(3) for plain, _ in pairs]) / mean([there.loss_at(3) for _, there in pairs])
    return row(
        f"{label}: seeds in which feedback lowers the loss of epoch 3, of {len(pairs)}",
        f"{lower} (by {ratio:.2f} times)",
        f"more than {len(pairs) // 2}",
        "Liu, Chen and Theodorou 2021, figures 3 and 5: feedback helps or is neutral",
        bool(2 * lower > len(pairs)),
        accuracy="",
        diverged="",
    )
