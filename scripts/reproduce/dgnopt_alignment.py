"""Which layer moves in which stage: a fixed alignment, another at random in every step, one chosen by a bandit.

Table 5 of Liu, Chen and Theodorou (ICML 2021): the shortcuts of a residual network can move in either of two stages,
and each alignment gives another update. The baseline is the same curvature without feedback or cooperation, which knows
no alignment. The bandit is EXP3++; its reward is the accuracy, after every step, on a fixed part of the validation
samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

    from strategic_envs.agents.dgnopt.experiments.methods import Method, Settings
    from strategic_envs.agents.dgnopt.experiments.problems import Problem
    from strategic_envs.agents.dgnopt.experiments.study import Study
    from strategic_envs.agents.dgnopt.experiments.training import Run

__all__ = ["NAME", "SUMMARY", "Options", "reproduce"]

NAME = "dgnopt-alignment"
SUMMARY = "A fixed, a random and an adaptive alignment of a residual network's shortcuts."
RESUMES = True

_STRATEGIES = {"late": "fixed, late", "early": "fixed, early", "random": "random", "exp3++": "adaptive"}
_PUBLISHED = {"baseline": (87.49, 84.67), "late": (88.20, 85.20), "random": (88.12, 85.27), "exp3++": (88.33, 85.65)}
_PAPER = "Liu, Chen and Theodorou 2021, table 5: SVHN; CIFAR-10 (ResNet18), on EKFAC"
_SETTINGS: Mapping[str, Mapping[str, float]] = {
    "kfac": {"lr": 0.03, "damping": 0.01},
    "ekfac": {"lr": 0.1, "damping": 0.1},
}


@dataclass(frozen=True)
class Options:
    """What is trained; every finished run is saved, and the same command goes on where it was stopped."""

    seeds: int = 6
    """Networks a strategy."""
    epochs: float = 8.0
    """Passes over the training samples."""
    curvature: tuple[Literal["kfac", "ekfac"], ...] = ("kfac", "ekfac")
    """The curvatures, each with its baseline."""
    network: Literal["residual", "conv"] = "residual"
    """What is trained: three residual blocks with projections, eight alignments."""
    data: Literal["digits", "mnist"] = "digits"
    """MNIST is read from the folder that STRATEGIC_ENVS_DATA names."""
    validation: int = 128
    """Validation samples that the reward is measured on."""


def reproduce(out: Path, *, seed: int = 0, quick: bool = False, options: Options = Options()) -> list[dict[str, Any]]:
    """Writes `alignment.png` and keeps all runs in `runs`.

    On digits it takes about three minutes of one core.

    Args:
        out: The folder.
        seed: The seed of the first network.
        quick: At most two seeds and three epochs, with the first curvature only.
        options: What is trained.

    Returns:
        One row a curvature and strategy: `quantity`, `ours` (test accuracy in percent), `expected` (published, other
        data), `early` (training loss of the third epoch, or of the last), `diverged`, `source`, `within` (no verdict:
        other data and networks); and for each curvature what the adaptive strategy gains on the fixed one.

    Raises:
        InputError: If an option is out of its range.
    """
    from strategic_envs.agents.dgnopt.experiments.problems import problem
    from strategic_envs.agents.dgnopt.experiments.study import Study
    from strategic_envs.scripts.reproduce._dgnopt_runs import check_counts, saying

    check_counts(options, {"seeds": 1, "epochs": 0.01, "validation": 1})
    seeds = range(seed, seed + (min(2, options.seeds) if quick else options.seeds))
    epochs = min(3.0, options.epochs) if quick else options.epochs
    kinds = options.curvature[:1] if quick else options.curvature
    task = problem(options.network, options.data)
    rows, drawn = [], {}
    with saying() as say:
        study = Study(out / "runs" / f"{options.data}-{options.network}", task, said=say)
        for kind in kinds:
            found = _train(study, task, kind, seeds, epochs, options)
            drawn[kind] = found
            rows += [_compared(kind, name, runs) for name, runs in found.items()]
            rows += [_faster(kind, found), _gain(kind, found)]
    _draw(out / "alignment.png", drawn)
    return rows


def _train(
    study: Study, task: Problem, kind: str, seeds: Sequence[int], epochs: float, options: Options
) -> dict[str, list[Run]]:
    """The baseline and the strategies, by name."""
    reward = task.validation.inputs[: options.validation], task.validation.targets[: options.validation]
    how, base = _aligned(reward), {**_SETTINGS[kind], "curvature": kind, "kl_clip": None}
    found = {"baseline": [study.run("olne", seed=s, epochs=epochs, settings=base) for s in seeds]}
    for name in _STRATEGIES:
        settings = {**base, "info": "GR", "alignment": name, "validation": options.validation}
        found[name] = [study.run(how, seed=s, epochs=epochs, settings=settings) for s in seeds]
    return found


@dataclass(frozen=True, eq=False)
class _Rewarded:
    """DGNOpt, told after every step how good the network is now."""

    optimizer: Any
    reward: tuple[Tensor, Tensor] | None

    def step(self, inputs: Tensor, targets: Tensor) -> Any:
        """One update on a minibatch."""
        found = self.optimizer.step((inputs, targets))
        if self.reward is not None:
            self.optimizer.reward(self.reward)
        return found


def _aligned(reward: tuple[Tensor, Tensor]) -> Method:
    from strategic_envs.agents.dgnopt.experiments.methods import Method

    def make(module: nn.Module, seed: int, settings: Settings) -> _Rewarded:
        from strategic_envs.agents.dgnopt import DGNOpt

        options = {name: value for name, value in settings.items() if name != "validation"}  # told runs apart
        chosen = options["alignment"] == "exp3++"
        return _Rewarded(DGNOpt(module, seed=seed, **options), reward if chosen else None)

    return Method("aligned", "DGNOpt with a choice of alignments", {}, (), make)


def _compared(kind: str, name: str, runs: Sequence[Run]) -> dict[str, Any]:
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean, percent, row

    label = f"{kind.upper()} alone" if name == "baseline" else f"DGNOpt on {kind.upper()}, {_STRATEGIES[name]}"
    published = "; ".join(f"{value:.2f}" for value in _PUBLISHED[name]) if name in _PUBLISHED else "-"
    sound = [run for run in runs if not run.diverged]
    return row(
        f"{label}: test accuracy, %",
        percent(runs),
        published,
        _PAPER if name in _PUBLISHED else "none",
        early=f"{mean([_early(run) for run in sound]):.3f}" if sound else "-",
        diverged=f"{sum(run.diverged for run in runs)} of {len(runs)}",
    )


def _early(run: Run) -> float:
    return run.rows[min(3, len(run.rows)) - 1].loss


def _faster(kind: str, found: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Figure 10b: in the early phase a fixed alignment is ahead of the baseline."""
    from strategic_envs.scripts.reproduce._dgnopt_runs import row

    pairs = [p for p in zip(found["late"], found["baseline"], strict=True) if p[0].rows and p[1].rows]
    ahead = sum(_early(fixed) < _early(plain) for fixed, plain in pairs)
    quantity = f"DGNOpt on {kind.upper()}, fixed: seeds with a lower training loss than without, of {len(pairs)}"
    source = "Liu, Chen and Theodorou 2021, figure 10b: faster in the early phase"
    half = len(pairs) // 2
    return row(quantity, ahead, f"more than {half}", source, bool(2 * ahead > len(pairs)), early="", diverged="")


def _gain(kind: str, found: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """What the bandit gains on the fixed alignment, pair by pair of the same seed."""
    from strategic_envs.scripts.reproduce._dgnopt_runs import mean, row, spread

    pairs = [(a, b) for a, b in zip(found["exp3++"], found["late"], strict=True) if not (a.diverged or b.diverged)]
    gains = [100 * (adaptive.accuracy - fixed.accuracy) for adaptive, fixed in pairs]
    error = spread(gains) / len(gains) ** 0.5 if gains else float("nan")
    quantity = f"DGNOpt on {kind.upper()}: adaptive less fixed, points (standard error)"
    return row(quantity, f"{mean(gains):+.2f} ({error:.2f})", "+0.13; +0.45", _PAPER, early="", diverged="")


def _draw(path: Path, drawn: Mapping[str, Mapping[str, Sequence[Run]]]) -> None:
    from strategic_envs.plots.curves import draw_curves
    from strategic_envs.plots.figure import new_figure, save, share_legend
    from strategic_envs.scripts.reproduce._dgnopt_runs import curves

    figure, panels = new_figure(1, len(drawn), width=4.4, height=3.8)
    labels = {"baseline": "curvature alone", **_STRATEGIES}
    for axes, (kind, found) in zip(panels, drawn.items(), strict=True):
        begun = {labels[name]: curves(runs) for name, runs in found.items() if any(run.rows for run in runs)}
        series = {name: (c.epochs, c.loss) for name, c in begun.items()}
        draw_curves(axes, series, title=f"on {kind.upper()}", xlabel="epoch", ylabel="training loss")
    share_legend(figure, panels)
    save(figure, path)
