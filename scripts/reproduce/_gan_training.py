"""Trains the two networks of a GAN by a dynamic, several seeds as one batch, and measures what comes out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from strategic_envs.agents.dynamics import dynamic
from strategic_envs.agents.dynamics.stochastic import StochasticOracle
from strategic_envs.evaluators.mixture import MixtureReport, mixture_report
from strategic_envs.games.gan import NeuralGAN
from strategic_envs.games.mixtures import GaussianMixture
from strategic_envs.seeding import torch_stream

__all__ = ["Method", "Training", "train"]


@dataclass(frozen=True)
class Method:
    """A dynamic with its settings, and how often a step of it calls the field.

    Args:
        name: A name out of `strategic_envs.agents.dynamics.dynamics()`.
        step_size: The first step size; it falls to zero linearly.
        calls: Field calls a step.
        beta1: Adam's momentum; None for a dynamic without one.
    """

    name: str
    step_size: float
    calls: int = 1
    beta1: float | None = None


@dataclass(frozen=True, eq=False)
class Training:
    """What came of training.

    Args:
        samples: Samples of all seeds at each mark, `(seeds, M, 2)` each.
        report: How well those at the end cover the mixture, a number a seed.
        steps: How many steps were taken.
        seconds: How long it took, measuring included.
    """

    samples: Sequence[Tensor]
    report: MixtureReport
    steps: int
    seconds: float


def train(
    game: NeuralGAN,
    mixture: GaussianMixture,
    method: Method,
    calls: int,
    *,
    marks: Sequence[float],
    seed: int = 0,
    samples: int = 2500,
    device: str = "cpu",
) -> Training:
    """Trains by one method, every method on equally many field calls.

    Args:
        game: A game with `rows`, one a seed.
        mixture: What it learns.
        method: The dynamic.
        calls: How often the field may be called.
        marks: At which shares of the run samples are drawn, from 0 to 1; the last is the end.
        seed: Names the starts and the data of all rows.
        samples: M, how many samples a seed and mark.
        device: Where the networks are; starts and data are the same everywhere.
    """
    begin, steps = time.perf_counter(), calls // method.calls
    settings = {} if method.beta1 is None else {"beta1": method.beta1}
    rule: Any = dynamic(method.name, step_size=method.step_size, **settings)
    first = 1000 * (seed + 1)  # seeds below were used for choosing settings
    oracle = StochasticOracle(game, first)
    state = rule.init(game.initial(range(first, first + (game.rows or 1))).to(device), oracle)
    noise = torch_stream(first, "samples")
    wanted, drawn = [round(mark * steps) for mark in marks], []
    for step in range(steps + 1):
        drawn += [game.samples(state.x, samples, noise) for mark in wanted if mark == step]
        if step < steps:
            state = replace(rule, step_size=method.step_size * (1 - step / steps)).step(state, oracle)
    report = mixture_report(drawn[-1], mixture.centres, mixture.sigma)
    return Training(drawn, report, steps, time.perf_counter() - begin)
