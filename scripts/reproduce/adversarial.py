"""Adversarial training as a game: a naively trained classifier is manipulated, the game-trained one resists.

Perceptrons on handwritten digits, judged on held-out digits by PGD with 40 steps and 10 restarts. All classifiers have
the same architecture, initial weights, minibatches and step sizes; they differ in their opponent:

- naive: none, which is stochastic gradient descent; and the same with weight decay (a control);
- noise: random points of the ball (a control: the same radius, and no strategy);
- persistent: sign ascent that moves at the same time as the weights, one perturbation a sample, kept over the run;
- game: five steps of sign ascent before each step of the weights, the gradient against a best response.

With MNIST's IDX files in the folder that `STRATEGIC_ENVS_DATA` names, naive and game are trained on MNIST as well.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from strategic_envs.agents.dynamics.base import Dynamic
from strategic_envs.agents.dynamics.leader_follower import GradientVsBestResponse
from strategic_envs.agents.dynamics.oracle import GameOracle
from strategic_envs.agents.dynamics.run import run
from strategic_envs.agents.dynamics.steepest import SteepestAscent
from strategic_envs.agents.dynamics.stochastic import StochasticOracle
from strategic_envs.data import MinibatchSampler, load
from strategic_envs.evaluators.local import local_nash_gap
from strategic_envs.evaluators.robustness import RobustReport, gradient_masking, pgd_accuracy, robustness_curve
from strategic_envs.games.adversarial import AdversarialGame, adversarial_digits
from strategic_envs.plots import plot_adversarial_examples, plot_robustness, save
from strategic_envs.profile import Profile
from strategic_envs.results import write_atomic

__all__ = ["NAME", "SUMMARY", "reproduce"]

NAME = "adversarial"
SUMMARY = "A classifier against perturbations of its inputs: naive, noise-trained and game-trained under PGD-40 x 10."

_RADIUS, _LARGE, _MNIST_RADIUS = 0.15, 0.5, 0.12
_QUICK_RADII = (0.0, 0.05, 0.15, 0.5)
_RADII = (0.0, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
_HIDDEN, _BATCH, _DECAY = (128, 128), 128, 1e-3
_RATES = ((0.3, 0.75), (0.05, 0.25))  # step sizes of the weights, and for which share of the steps
_INNER, _INNER_STEP = 5, 0.4  # steps of the opponent before each step of the weights, and their length in radii
_TARGET = "aim of this project"
_CONTROL = "control"


def reproduce(out: Path, *, seed: int = 0, quick: bool = False) -> list[dict[str, Any]]:
    """Writes `robustness.png`, `examples.png` and `robustness.json`, and compares our numbers with those aimed at.

    Args:
        out: The folder for pictures and curves; it is made if it is not there.
        seed: The first of three seeds of weights, minibatches and attacks.
        quick: One seed and a quarter of the steps, for tests; no MNIST.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within`. Accuracies are shares of held-out samples,
        under attack those that PGD left: upper bounds.
    """
    seeds = [seed] if quick else [seed, seed + 1, seed + 2]
    game = adversarial_digits(_HIDDEN, _RADIUS, samples=None, batch_size=_BATCH)
    held_out = adversarial_digits(_HIDDEN, _RADIUS, samples=None, split="test")
    trained = {name: _Trained() for name in _opponents(game, 0.1)}
    for one in seeds:
        for name in trained:
            x = _train(name, game, steps=500 if quick else 2000, seed=one)
            radii = _QUICK_RADII if quick else _RADII
            curve = robustness_curve(game.module(x), held_out.inputs, held_out.targets, radii, seed=one)
            trained[name].profiles.append(x)
            trained[name].curves.append(curve)
    rows = [*_accuracy_rows(trained), *_masking_rows(trained, game, held_out, seed), *_gap_rows(trained, game, seed)]
    save_pictures(out, trained, game, held_out)
    mnist = None if quick else _mnist_folder()
    return rows if mnist is None else rows + _mnist_rows(mnist, seed)


@dataclass
class _Trained:
    """Classifiers that were trained in one way, a seed each: the profiles they ended in, and their robustness."""

    profiles: list[Profile] = field(default_factory=list)
    curves: list[tuple[RobustReport, ...]] = field(default_factory=list)

    def accuracy(self, radius: float) -> Tensor:
        """Accuracy under attack within a radius of the curve, a seed each."""
        return torch.tensor([self.report(radius, k).robust for k in range(len(self.curves))], dtype=torch.float64)

    def report(self, radius: float, k: int = 0) -> RobustReport:
        """The attack within a radius of the curve on the classifier of seed number k."""
        return next(report for report in self.curves[k] if report.radius == radius)

    def clean(self) -> Tensor:
        """Accuracy without attack, a seed each."""
        return torch.tensor([curve[0].clean for curve in self.curves], dtype=torch.float64)


def _opponents(game: AdversarialGame, eta: float, seed: int = 0) -> Mapping[str, tuple[AdversarialGame, Dynamic[Any]]]:
    """By name, the game that is played and the dynamic that plays it; `eta` is the step size of the weights."""
    none = game.on(game.inputs, game.targets, radius=0.0)
    decaying = AdversarialGame(
        *(game.network, game.inputs, game.targets), radius=0.0, weight_decay=_DECAY, batch_size=game.batch_size
    )
    short = _INNER_STEP * game.radius
    descent = GradientVsBestResponse(eta, inner_steps=0)
    return {
        "naive": (none, descent),
        "naive, weight decay": (decaying, descent),
        "noise": (game, GradientVsBestResponse(eta, inner_steps=0, start="random", seed=seed)),
        "persistent": (game, SteepestAscent((eta, game.radius), ("euclidean", "sign"))),
        "game": (game, GradientVsBestResponse(eta, _INNER, short, "sign")),
    }


def _train(name: str, game: AdversarialGame, *, steps: int, seed: int) -> Profile:
    """The profile that training ends in."""
    x, draws = game.start(seed), 0
    for eta, share in _RATES:
        played, dynamic = _opponents(game, eta, seed)[name]
        oracle = StochasticOracle(played, seed, draws=draws)
        x = run(oracle, dynamic, x, round(share * steps), record=None).final
        draws = oracle.draws
    return x


# The rows


def _row(quantity: str, ours: float, expected: float, source: str, within: object) -> dict[str, Any]:
    return {"quantity": quantity, "ours": ours, "expected": expected, "source": source, "within": bool(within)}


def _spread(values: Tensor) -> str:
    """How much the seeds differ, in words."""
    return f"mean of {len(values)} seeds, deviation {float(values.std()):.3f}" if len(values) > 1 else "1 seed"


def _accuracy_rows(trained: Mapping[str, _Trained]) -> list[dict[str, Any]]:
    under = {name: one.accuracy(_RADIUS) for name, one in trained.items()}
    mean = {name: float(values.mean()) for name, values in under.items()}
    clean = {name: float(one.clean().mean()) for name, one in trained.items()}
    attack = f"PGD-40 x 10 within {_RADIUS}"
    rows = [
        _row(
            f"naive: accuracy under {attack}, at most ({_spread(under['naive'])})",
            *(mean["naive"], 0.2, _TARGET, mean["naive"] < 0.2),
        ),
        _row(
            f"game: accuracy under {attack}, at least 0.3 above naive ({_spread(under['game'])})",
            *(mean["game"], mean["naive"] + 0.3, _TARGET, mean["game"] >= mean["naive"] + 0.3),
        ),
        _row(
            f"game: accuracy without attack, at most 0.05 below naive ({_spread(trained['game'].clean())})",
            *(clean["game"], clean["naive"], _TARGET, clean["game"] >= clean["naive"] - 0.05),
        ),
    ]
    for name in ("naive, weight decay", "noise"):
        quantity = f"{name}: accuracy under {attack}, at least 0.3 below game ({_spread(under[name])})"
        rows.append(_row(quantity, mean[name], mean["game"] - 0.3, _CONTROL, mean[name] <= mean["game"] - 0.3))
    quantity = f"persistent: accuracy under {attack}, at least 0.3 above naive ({_spread(under['persistent'])})"
    good = mean["persistent"] >= mean["naive"] + 0.3
    rows.append(_row(quantity, mean["persistent"], mean["naive"] + 0.3, "simultaneous play of the same game", good))
    return rows


def _masking_rows(
    trained: Mapping[str, _Trained], game: AdversarialGame, held_out: AdversarialGame, seed: int
) -> list[dict[str, Any]]:
    far = trained["game"].accuracy(_LARGE)
    naive, robust = (game.module(trained[name].profiles[0]) for name in ("naive", "game"))
    found = gradient_masking(
        robust, held_out.inputs, held_out.targets, radius=_RADIUS, surrogate=naive, large=_LARGE, seed=seed
    )
    white = min(value for _, value in found.by_steps)
    transfer = math.nan if found.transfer is None else found.transfer
    return [
        _row(
            f"game: accuracy within {_LARGE}, at most ({_spread(far)})",
            float(far.max()),
            0.05,
            _TARGET,
            far.max() < 0.05,
        ),
        _row(
            "game: signs of masked gradients",
            len(found.reasons),
            0,
            "Athalye et al. (2018)",
            not found.masked_gradients,
        ),
        _row(
            "game: accuracy under inputs made against naive, at least that under its own",
            *(transfer, white, "Athalye et al. (2018)", transfer >= white),
        ),
    ]


def _gap_rows(trained: Mapping[str, _Trained], game: AdversarialGame, seed: int) -> list[dict[str, Any]]:
    """Local and global gaps of the profiles that training ended in, on all training data, side by side."""
    naive, robust = (_gaps(game, trained[name].profiles[0], seed) for name in ("naive", "game"))
    local = "first-order Nash: 0, by projected gaps"
    return [
        _row(
            "naive, no perturbation: local Nash gap (small, though the opponent can gain much)",
            *(naive["local"], 0.0, local, naive["local"] < 0.1),
        ),
        _row(
            "naive: what the opponent gains by PGD, in mean loss, at least",
            *(naive["gain"], 1.0, "global gap, a lower bound", naive["gain"] >= 1.0),
        ),
        _row(
            "game: what the opponent gains by PGD, in mean loss, at most a tenth of that",
            *(robust["gain"], naive["gain"] / 10, "global gap, a lower bound", robust["gain"] <= naive["gain"] / 10),
        ),
        _row(
            "naive against PGD: local Nash gap, at least",
            *(naive["local against PGD"], 1.0, local, naive["local against PGD"] >= 1.0),
        ),
        _row(
            "game: local Nash gap, at most a tenth of that",
            *(robust["local"], naive["local against PGD"] / 10, local),
            robust["local"] <= naive["local against PGD"] / 10,
        ),
    ]


def _gaps(game: AdversarialGame, x: Profile, seed: int) -> dict[str, float]:
    """Gaps of a profile, and of its weights against the perturbations that PGD finds."""
    x = game.project(x.to(torch.float64))
    attack = pgd_accuracy(game.module(x), game.inputs, game.targets, radius=game.radius, restarts=3, seed=seed)
    answer = game.project(x.replace(1, (attack.adversarial - game.inputs.double()).reshape(-1)))
    gain = float(game.value(answer) - game.value(x))
    against = local_nash_gap(game, answer).value
    return {"local": local_nash_gap(game, x).value, "gain": max(gain, 0.0), "local against PGD": against}


# MNIST


def _mnist_folder() -> Path | None:
    """The folder with MNIST's files, if the user has one."""
    root = os.environ.get("STRATEGIC_ENVS_DATA")
    folders = [Path(root).expanduser(), Path(root).expanduser() / "mnist"] if root else []
    return next((f for f in folders if any(f.glob("train-images-idx3-ubyte*"))), None)


def _mnist_rows(folder: Path, seed: int) -> list[dict[str, Any]]:
    train, test = (load("mnist", folder, split).flatten() for split in ("train", "test"))
    inputs, targets = test.inputs[:1000], test.targets[:1000]
    reports = {}
    for name in ("naive", "game"):
        network = _train_in_blocks(name, train.inputs, train.targets, steps=1500, seed=seed)
        reports[name] = robustness_curve(network, inputs, targets, [_MNIST_RADIUS, _LARGE], seed=seed)
    naive, game = (reports[name][0] for name in ("naive", "game"))
    attack = f"PGD-40 x 10 within {_MNIST_RADIUS} on 1,000 samples, 1 seed"
    return [
        _row(f"MNIST, naive: accuracy under {attack}, at most", naive.robust, 0.2, _TARGET, naive.robust < 0.2),
        _row(
            f"MNIST, game: accuracy under {attack}, at least 0.3 above naive",
            *(game.robust, naive.robust + 0.3, _TARGET, game.robust >= naive.robust + 0.3),
        ),
        _row(
            "MNIST, game: accuracy without attack, at most 0.05 below naive",
            *(game.clean, naive.clean, _TARGET, game.clean >= naive.clean - 0.05),
        ),
        _row(
            f"MNIST, game: accuracy within {_LARGE}, at most",
            *(reports["game"][1].robust, 0.05, _TARGET, reports["game"][1].robust < 0.05),
        ),
    ]


def _train_in_blocks(name: str, inputs: Tensor, targets: Tensor, *, steps: int, seed: int) -> nn.Module:
    """Training on data too many for one perturbation each to be remembered: every minibatch is a game of its own."""
    widths = (inputs.shape[1], *_HIDDEN)
    chain = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    first = AdversarialGame(
        nn.Sequential(*chain, nn.Linear(widths[-1], 10)), inputs[:_BATCH], targets[:_BATCH], radius=_MNIST_RADIUS
    )
    weights, sampler = first.start(seed)[0], MinibatchSampler(len(targets), _BATCH, seed)
    for eta, share in _RATES:
        for _ in range(round(share * steps)):
            rows = sampler.next()
            played, dynamic = _opponents(first.on(inputs[rows], targets[rows]), eta)[name]
            oracle = GameOracle(played)
            start = Profile([weights, weights.new_zeros(played.dims[1])])
            weights = dynamic.step(dynamic.init(start, oracle), oracle).x[0]
    return first.module(Profile([weights, weights.new_zeros(first.dims[1])]))


# The pictures


def save_pictures(out: Path, trained: Mapping[str, _Trained], game: AdversarialGame, held_out: AdversarialGame) -> None:
    """Writes accuracy against radius, and digits with what each classifier takes them for."""
    series = {}
    for name, one in trained.items():
        by_radius = list(zip(*one.curves, strict=True))
        series[name] = ([at[0].radius for at in by_radius], [[report.robust for report in at] for at in by_radius])
    title = "Held-out digits: what PGD leaves of the accuracy"
    save(plot_robustness(series, radius=_RADIUS, title=title, attack="PGD-40, 10 restarts"), out / "robustness.png")
    write_atomic(out / "robustness.json", json.dumps(series, indent=2) + "\n")

    reports = {name: trained[name].report(_RADIUS) for name in ("naive", "noise", "game")}
    shown = torch.stack([(held_out.targets == digit).nonzero()[0, 0] for digit in range(10)])
    rows: dict[str, tuple[Any, list[int]]] = {}
    for name, report in reports.items():
        network = game.module(trained[name].profiles[0]).double()
        for label, inputs in ((f"{name}, clean", held_out.inputs.double()), (f"{name}, attacked", report.adversarial)):
            if label not in ("noise, clean", "game, clean"):
                with torch.no_grad():
                    predictions = network(inputs[shown]).argmax(-1).tolist()
                rows[label] = (inputs[shown].reshape(-1, 8, 8).numpy(), predictions)
    figure = plot_adversarial_examples(
        rows, held_out.targets[shown].tolist(), title=f"The worst inputs that PGD found within {_RADIUS}"
    )
    save(figure, out / "examples.png")
