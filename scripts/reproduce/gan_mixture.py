"""GANs as games: six dynamics on closed-form Wasserstein GANs, on the ring of 8 and on the grid of 25 Gaussians.

Every method plays the same game from the same starts on the same stream of data, five seeds as one batch, and may call
the field equally often, so that one that calls it twice a step takes half the steps. Step sizes fall to zero linearly.
The game (activation, penalty) was chosen by Adam; then each method's first step size out of four neighbours, each twice
the one before, by modes times high-quality share over three other seeds of half the length, all on the ring. The grid
has the same step sizes, and a penalty of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from strategic_envs.agents.dynamics import Extragradient, OptimisticGradient, SimultaneousGradient, run
from strategic_envs.evaluators.mixture import mixture_report
from strategic_envs.games.mixture_gan import gan_grid, gan_ring
from strategic_envs.games.mixtures import GaussianMixture
from strategic_envs.games.wgan import wgan_linear, wgan_quadratic
from strategic_envs.plots.figure import save
from strategic_envs.plots.samples import plot_samples
from strategic_envs.profile import Profile
from strategic_envs.results import write_atomic
from strategic_envs.scripts.reproduce._gan_training import Method, Training, train
from strategic_envs.seeding import torch_stream

__all__ = ["NAME", "SUMMARY", "reproduce"]

NAME = "gan-mixture"
SUMMARY = "GANs as games: Wasserstein GANs in closed form; six dynamics on a ring of 8 and a grid of 25 Gaussians."

_DERIVED = "Daskalakis et al. (2018), and derived"
_AIM = "our aim for the best of six methods on the ring"
_SAME = "the same, carried over to 25 modes"
_MARKS = (0.02, 0.1, 0.25, 0.5, 1.0)
_SAMPLES = 2500


@dataclass(frozen=True)
class _Setting:
    """A mixture, the game on it, and every method's first step size."""

    title: str
    file: str
    mixture: GaussianMixture
    game: Mapping[str, Any]
    calls: int
    methods: tuple[Method, ...]
    aim: tuple[int, float]
    source: str = _AIM
    seeds: int = 5
    factory: Any = field(default=gan_ring)


def _methods(plain: tuple[float, float, float], adam: tuple[float, float, float]) -> tuple[Method, ...]:
    """Simultaneous, extragradient and optimistic steps, plain and by Adam."""
    return (
        Method("simultaneous_gradient", plain[0]),
        Method("extragradient", plain[1], calls=2),
        Method("optimistic_gradient", plain[2]),
        Method("adam_gradient", adam[0], beta1=0.5),
        Method("extra_adam", adam[1], calls=2, beta1=0.5),
        Method("optimistic_adam", adam[2], beta1=0.5),
    )


_RING = _Setting(
    title="ring of 8",
    file="ring",
    mixture=GaussianMixture.ring(),
    game={"activation": "tanh", "weight": 0.03},
    calls=4000,
    methods=_methods((0.2, 0.4, 0.2), (8e-3, 16e-3, 8e-3)),
    aim=(7, 0.6),
)
_GRID = _Setting(
    title="grid of 25",
    file="grid",
    mixture=GaussianMixture.grid(),
    game={"activation": "tanh", "weight": 0.1},
    calls=8000,
    methods=_RING.methods,
    aim=(24, 0.6),
    source=_SAME,
    factory=gan_grid,
)


def reproduce(out: Path, *, seed: int = 0, quick: bool = False) -> list[dict[str, Any]]:
    """Writes `ring.png`, `ring.md`, `ring.json` and the same of the grid, and compares our numbers with the expected.

    Args:
        out: The folder for tables and pictures.
        seed: Names starts and data; another seed is five other seeds of every method.
        quick: Small networks, two seeds and a few steps on the ring alone: for tests.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within` (whether ours is as close as it should be).
    """
    rows = [*_linear(), *_quadratic(), _true_sampler(seed)]
    for setting in (_RING,) if quick else (_RING, _GRID):
        rows += _compare(setting, out, seed, quick)
    return rows


def _row(quantity: str, ours: float, expected: float, source: str, within: bool) -> dict[str, Any]:
    return {"quantity": quantity, "ours": ours, "expected": expected, "source": source, "within": within}


def _below(quantity: str, ours: float, limit: float) -> dict[str, Any]:
    return _row(quantity, ours, 0.0, _DERIVED, ours < limit)


def _linear() -> list[dict[str, Any]]:
    game, eta, steps = wgan_linear(), 0.1, 200
    start, solution = game.profile([0.0, 0.0], [0.5, -0.5]), game.known().equilibria[0]
    centre = Profile(p[0] for p in solution.points)

    def distance(dynamic: Any) -> float:
        return float((run(game, dynamic, start, steps, record=None).final - centre).norm())

    growth = (distance(SimultaneousGradient(eta)) / float((start - centre).norm())) ** (1 / steps)
    expected = math.sqrt(1 + eta**2)
    what = "linear WGAN: distance to the solution"
    return [
        _row(
            f"{what}, growth a step of simultaneous gradient", growth, expected, _DERIVED, abs(growth - expected) < 1e-9
        ),
        *(
            _below(f"{what} after {steps} steps of {d.name}", distance(d), 1e-2)
            for d in (Extragradient(0.3), OptimisticGradient(0.3))
        ),
    ]


def _quadratic() -> list[dict[str, Any]]:
    game, steps = wgan_quadratic(), 600
    start = game.profile([0.5, 0.1, -0.2, 0.4], [0.1, 0.0, 0.0, -0.1])

    def error(dynamic: Any) -> float:
        end = run(game, dynamic, start, steps, record=None, divergence=1e3).final
        return float(torch.linalg.matrix_norm(game.generated(end) - game.covariance))

    what = "quadratic WGAN: |W W^T - Sigma| after"
    away = error(SimultaneousGradient(0.1))
    return [
        _row(f"{what} simultaneous gradient, at least", away, 0.1, _DERIVED, away >= 0.1),
        *(
            _below(f"{what} {steps} steps of {d.name}", error(d), 1e-2)
            for d in (Extragradient(0.1), OptimisticGradient(0.1))
        ),
    ]


def _true_sampler(seed: int) -> dict[str, Any]:
    ring = GaussianMixture.ring()
    report = mixture_report(ring.sample((_SAMPLES,), torch_stream(seed, "true sampler")), ring.centres, ring.sigma)
    ours, expected = float(report.high_quality), 1 - math.exp(-4.5)
    quantity = f"ring of 8: high-quality share of the mixture itself, {_SAMPLES} samples"
    return _row(quantity, ours, expected, "1 - exp(-4.5), derived", abs(ours - expected) <= 0.006)


def _compare(setting: _Setting, out: Path, seed: int, quick: bool) -> list[dict[str, Any]]:
    small = {"hidden": (16,), "latent": 4, "batch": 64} if quick else {}
    seeds, calls = (2, 40) if quick else (setting.seeds, setting.calls)
    game = setting.factory(**{**setting.game, **small}, rows=seeds)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    runs = {
        method.name: train(
            game, setting.mixture, method, calls, marks=_MARKS, seed=seed, samples=_SAMPLES, device=device
        )
        for method in setting.methods
    }
    table = [_entry(method, runs[method.name], setting.mixture) for method in setting.methods]
    about = {
        "mixture": setting.title,
        "game": repr(game),
        "settings": {"loss": game.loss, "penalty": game.penalty, "batch": game.batch, **setting.game, **small},
        "generator": game.generator.widths,
        "critic": game.critic.widths,
        "field_calls": calls,
        "seeds": seeds,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
    }
    write_atomic(out / f"{setting.file}.json", json.dumps({**about, "methods": table}, indent=2, default=str) + "\n")
    write_atomic(out / f"{setting.file}.md", _markdown(table))
    pictures = {name.replace("_", "\n"): [s[0, :600] for s in found.samples] for name, found in runs.items()}
    times = [f"{round(mark * calls)} calls" for mark in _MARKS]
    save(plot_samples(pictures, times, setting.mixture.centres), out / f"{setting.file}.png", dpi=100)
    return _verdicts(setting, table)


def _entry(method: Method, found: Training, mixture: GaussianMixture) -> dict[str, Any]:
    report = found.report
    measures = {
        "modes": report.modes_covered,
        "modes_strict": report.modes_covered_strict,
        "high_quality": report.high_quality,
        "kl": report.kl,
    }
    entry: dict[str, Any] = {"method": method.name, "step_size": method.step_size, "beta1": method.beta1}
    for name, values in measures.items():
        entry[name], entry[f"{name}_deviation"] = float(values.double().mean()), float(values.double().std())
    return {**entry, "of": mixture.modes, "steps": found.steps, "seconds": round(found.seconds, 1)}


def _markdown(table: list[dict[str, Any]]) -> str:
    lines = [
        "| method | first step size | steps | modes | modes, strict | high quality | KL | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for e in table:
        modes, strict = (f"{e[k]:.1f} ± {e[k + '_deviation']:.1f}" for k in ("modes", "modes_strict"))
        quality, kl = (f"{e[k]:.3f} ± {e[k + '_deviation']:.3f}" for k in ("high_quality", "kl"))
        cells = [e["method"], f"{e['step_size']:g}", e["steps"], modes, strict, quality, kl, f"{e['seconds']:.0f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def _verdicts(setting: _Setting, table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best method against the aim, then every method beside the mixture itself: those are no claims."""
    best = max(table, key=lambda e: e["modes"] * e["high_quality"])
    modes, share = setting.aim
    what = f"{setting.title}: best method ({best['method']})"
    return [
        _row(f"{what}, modes covered, at least", best["modes"], modes, setting.source, best["modes"] >= modes),
        _row(
            f"{what}, high-quality share, at least",
            best["high_quality"],
            share,
            setting.source,
            best["high_quality"] >= share,
        ),
        *(
            _row(
                f"{setting.title}: {e['method']} covers {e['modes']:.1f} of {e['of']} modes with a KL of {e['kl']:.3f} "
                "and this share of high quality, at least",
                e["high_quality"],
                share,
                "the same aim, beside every method",
                e["modes"] >= modes and e["high_quality"] >= share,
            )
            for e in table
        ),
    ]
