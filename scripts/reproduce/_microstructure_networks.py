"""Rows about samples and about trained networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from strategic_envs.evaluators.microstructure import (
    REFERENCE,
    Microstructure,
    WeightRow,
    arbitrage_gap,
    neuron_microstructure,
    weight_microstructure,
)
from strategic_envs.plots import save
from strategic_envs.plots.quantiles import plot_quantiles
from strategic_envs.scripts.reproduce._digit_networks import RUNS, Recipe, Trained, train
from strategic_envs.seeding import numpy_stream

__all__ = ["controls", "forbidden", "reference_gaps", "row", "trained"]

_DERIVED = "negentropy of ln|w|, derived"
_PROTOTYPE = "prototype of this project, draws and training of its own"
_NEAR = 0.04  # how far J of a matrix may be from that of another training
_SAMPLES = 10
_QUICK = (1, 5)  # He's normal start and the lognormal one
_SHOWN = (1, 5, 6)
_LOGNORMAL = 5

_LAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "lognormal": lambda random, n: random.lognormal(size=n),
    "half_normal": lambda random, n: random.normal(size=n),
    "exponential": lambda random, n: random.laplace(size=n),
    "uniform": lambda random, n: random.uniform(-1, 1, size=n),
    **{f"half_t nu={nu}": lambda random, n, nu=nu: random.standard_t(nu, size=n) for nu in (2, 3, 5, 10, 30)},
}


def row(quantity: str, ours: object, expected: object, source: str, within: bool | None) -> dict[str, Any]:
    """A row of the table."""
    return {"quantity": quantity, "ours": ours, "expected": expected, "source": source, "within": within}


def reference_gaps(draws: int, seed: int) -> list[dict[str, Any]]:
    """The mean J of samples of known laws; of one of 20,000 uniform draws it has a standard deviation of .007."""
    found = []
    for name, law in _LAWS.items():
        streams = [numpy_stream(seed, "reference gap", name, k) for k in range(_SAMPLES)]
        gap = float(np.mean([arbitrage_gap(law(stream, draws)) for stream in streams]))
        near = abs(gap - REFERENCE[name]) < (0.01 if draws >= 20_000 else 0.02)
        quantity = f"J of {draws} draws, {name.replace('_', '-')}, mean of {_SAMPLES} samples"
        found.append(row(quantity, gap, REFERENCE[name], _DERIVED, near))
    return found


def controls(draws: int, seed: int) -> list[dict[str, Any]]:
    """Verdicts on samples whose law is known: without these no verdict on a network means anything."""
    expected = {"half_normal": "rejected", "exponential": "rejected", "lognormal": "supported"}
    state = {
        name: _LAWS[name](numpy_stream(seed, "control", name), draws).reshape(-1, 100).astype(np.float64)
        for name in expected
    }
    report = _report(state, seed)
    names = {"half_normal": "Gaussian", "exponential": "Laplace", "lognormal": "lognormal"}
    return [
        row(
            f"control, {names[name]} draws: the lognormal is",
            one.verdict,
            expected[name],
            "by construction",
            one.verdict == expected[name],
        )
        for name, one in zip(state, report.rows, strict=True)
    ]


def forbidden(draws: int, seed: int) -> list[dict[str, Any]]:
    """What a histogram says: the number that must not be taken for evidence."""
    found = []
    for name, words, expected in (
        ("half_normal", "Gaussian", "0.87 to 0.88"),
        ("exponential", "Laplace", "0.97"),
        ("half_t nu=3", "Student-t (nu 3)", "0.97"),
    ):
        x = np.abs(_LAWS[name](numpy_stream(seed, "histogram", name), draws))
        quantity = f"forbidden as evidence: R^2 of a lognormal curve on a histogram of {words} draws"
        found.append(row(quantity, _histogram_r2(x), expected, f"{_PROTOTYPE}; other bins", None))
    return found


def _histogram_r2(x: np.ndarray) -> float:
    """R^2 of the lognormal curve that fits a histogram of 100 bins best, in least squares."""
    from scipy.optimize import curve_fit
    from scipy.stats import lognorm

    heights, edges = np.histogram(x, bins=100, range=(0.0, float(np.quantile(x, 0.999))), density=True)
    middle, y = (edges[1:] + edges[:-1]) / 2, np.log(x)

    def curve(size: np.ndarray, mu: float, sigma: float) -> np.ndarray:
        return lognorm.pdf(size, abs(sigma), scale=np.exp(mu))

    fitted, _ = curve_fit(curve, middle, heights, p0=(y.mean(), y.std()), maxfev=10_000)
    return float(1 - ((heights - curve(middle, *fitted)) ** 2).sum() / ((heights - heights.mean()) ** 2).sum())


def trained(picture: Path, *, epochs: int, seed: int, quick: bool) -> list[dict[str, Any]]:
    """The networks: J before and after, the winner, the verdict, the accuracy; then counts over all."""
    chosen = [RUNS[k] for k in _QUICK] if quick else list(RUNS)
    found, layers, weights, neurons, dead, moved = [], {}, [], [], [], []
    for recipe in chosen:
        run = train(recipe, epochs=epochs, seed=seed)
        report = weight_microstructure(run.after, baseline=run.before, controls=False, seed=seed)
        weights += report.rows
        if recipe is RUNS[_LOGNORMAL]:
            moved = [one.J_corrected - (one.J_init or 0.0) for one in report.rows]
        found += _of_run(recipe, run, report.rows)
        outputs = neuron_microstructure(run.after, run.held_out, controls=False, seed=seed)
        neurons += outputs.rows
        dead += [round(one.zero_share * 256) for one in outputs.rows]
        if recipe in [RUNS[k] for k in _SHOWN]:
            layers |= _samples(recipe, run)
    save(plot_quantiles(layers), picture)
    return found + _counts(weights, neurons, dead, moved)


def _of_run(recipe: Recipe, run: Trained, rows: Sequence[WeightRow]) -> list[dict[str, Any]]:
    close = abs(run.accuracy - recipe.accuracy) < 0.02
    found = [row(f"{recipe.name}: accuracy on held-out digits", run.accuracy, recipe.accuracy, _PROTOTYPE, close)]
    for k, (one, gap, first) in enumerate(zip(rows, recipe.gaps, recipe.first, strict=True), start=1):
        assert one.initial is not None
        label = f"{recipe.name}: matrix {k},"
        found += [
            row(f"{label} J at initialisation", one.initial.J, first, _PROTOTYPE, abs(one.initial.J - first) < 0.03),
            row(f"{label} J trained", one.J, gap, _PROTOTYPE, abs(one.J - gap) < _NEAR),
            row(f"{label} winner", one.fits[one.winner].words, recipe.winners, _PROTOTYPE, None),
            row(f"{label} the lognormal is", one.verdict, "rejected", _PROTOTYPE, one.verdict == "rejected"),
        ]
    return found


def _counts(
    weights: Sequence[WeightRow], neurons: Sequence[WeightRow], dead: Sequence[int], moved: Sequence[float]
) -> list[dict[str, Any]]:
    n = len(weights)
    won = sum(one.winner == "lognormal" for one in weights)
    lost = [max(-v for v in one.loglik_per_weight.values()) for one in weights]
    weibull = [one.vuong["weibull"] for one in weights]
    beaten = sum(one.loglik_per_weight["half_normal"] > 0 for one in weights)
    supported = sum(one.verdict == "supported" for one in neurons)
    away = sum(more > 0 for more in moved)
    return [
        row(f"trained matrices in which the lognormal wins, of {n}", won, "0 of 21", _PROTOTYPE, won == 0),
        row("nats per weight by which it loses to the best rival, least", min(lost), 0.06, _PROTOTYPE, min(lost) > 0),
        row("the same, most", max(lost), 0.19, _PROTOTYPE, None),
        row("Vuong z of the lognormal against Weibull, largest", max(weibull), -2.9, _PROTOTYPE, max(weibull) < 2),
        row("the same, smallest", min(weibull), -61.0, _PROTOTYPE, None),
        row(f"trained matrices in which it beats the half-normal, of {n}", beaten, "5 of 21", _PROTOTYPE, None),
        row("matrices that began lognormal and are less so after training, of 3", away, 3, _PROTOTYPE, away == 3),
        row(
            f"layers of neurons in which the lognormal is supported, of {len(neurons)}",
            supported,
            0,
            f"{_PROTOTYPE}; a few hundred neurons a layer: low power",
            supported == 0,
        ),
        row("dead neurons in a layer of 256, fewest", min(dead), 7, _PROTOTYPE, None),
        row("dead neurons in a layer of 256, most", max(dead), 55, _PROTOTYPE, None),
    ]


def _samples(recipe: Recipe, run: Trained) -> dict[str, dict[str, np.ndarray]]:
    """What the picture shows of a run: by matrix, before and after."""
    found = {}
    for k in (0, 2, 4):
        before, after = (net.state_dict()[f"{k}.weight"].numpy() for net in (run.before, run.after))
        found[f"{recipe.name}:\nmatrix {k // 2 + 1}"] = {"at initialisation": before, "trained": after}
    return found


def _report(state: dict[str, np.ndarray], seed: int) -> Microstructure:
    import torch

    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    return weight_microstructure(tensors, controls=False, seed=seed)
