"""The published variants of the experiment: other markets, grids, memories, first values and ways to explore."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from strategic_envs.baselines.q_learning import (
    Boltzmann,
    Constant,
    FixedRivals,
    GrimTrigger,
    NoExploration,
    QLearning,
    Sessions,
    UniformCells,
    run_sessions,
)
from strategic_envs.baselines.q_learning.study import usual_draws
from strategic_envs.evaluators.collusion import analyse, impulse_response
from strategic_envs.games.pricing import PricingTables, pricing
from strategic_envs.scripts.reproduce._calvano_published import STORED
from strategic_envs.scripts.reproduce._calvano_replay import PUBLISHED, row, standard_error

__all__ = ["VARIANTS", "Variant", "variant_markdown", "variant_rows", "variant_table"]

_NAMES = ("gain", "nash_one_shot", "rival_change", "unprofitable", "length")
_MISREAD = ", from the state that the authors' analysis takes for the last one"
_HEADS = ("Delta", "EQ", "IR", "IC", "L")


@dataclass(frozen=True)
class Variant:
    """A variant and what was published about it.

    Args:
        label: What it is; unique.
        published: Delta, EQ, IR, IC, L of 1,000 sessions, as many of them as are known; None for unknown ones.
        game: Options of `pricing`.
        learner: Settings of `QLearning`.
        every: How much longer its sessions take than those of the baseline: so many times fewer are run.
        source: Where the numbers are from.
        misread: Whether play is followed from the state that the authors' analysis reads.
    """

    label: str
    published: tuple[float | None, ...]
    game: dict[str, Any] = field(default_factory=dict)
    learner: dict[str, Any] = field(default_factory=dict)
    every: int = 1
    source: str = STORED
    misread: bool = False


def _misread(tables: PricingTables, sessions: Sessions) -> np.ndarray:
    """Where the authors' analysis begins when firms remember several periods.

    Their learner writes a state period by period, their analysis reads it firm by firm: a price of one firm becomes an
    earlier price of the other. So the published path does not begin where learning ended.
    """
    b, count = tables.base, tables.n * tables.memory
    assert sessions.visited is not None
    digits = sessions.visited[:, None] // b ** np.arange(count)[::-1] % b  # firm by firm, as ours are written
    written = digits.reshape(-1, tables.n, tables.memory).swapaxes(1, 2).reshape(-1, count)
    return (written * b ** np.arange(count)[::-1]).sum(-1)


def _family(name: str, option: str, cases: dict[float, tuple[float | None, ...]], **more: Any) -> list[Variant]:
    """Variants that differ in one option of the game."""
    return [Variant(f"{name} = {value:g}", told, {option: value, **more}) for value, told in cases.items()]


_EVEN = [
    Variant("baseline", (0.849, 0.505, -0.127, 0.936, 5.705)),
    Variant("three firms", (0.643, 0.184, -0.078, 0.882, 11.686), {"n": 3}, every=10),
    Variant(
        "three firms, alpha = .05, beta = 2.4e-7",
        (0.750, 0.306, -0.146, 0.908, 7.548),
        {"n": 3},
        {"alpha": 0.05, "beta": 2.4e-7},
        every=100,
    ),
    Variant("four firms", (0.56,), {"n": 4}, every=50, source="AER 2020"),
    Variant("memory k = 2", (0.574, 0.371, -0.030, 0.441, 24.038), {"memory": 2}, every=20),
    Variant(
        f"memory k = 2{_MISREAD}",
        (0.574,),
        {"memory": 2},
        every=20,
        misread=True,
    ),
    Variant(
        "xi = .5, rivals first thought to stay at the third price",
        (0.761, 0.730, -0.125, 0.947, 4.694),
        {"xi": 0.5},
        {"initial": FixedRivals(2)},
    ),
    Variant("grid from .99", (0.612, 0.871, -0.112, 0.942, 4.258), {"bounds": (0.99, None)}),
    Variant("m = 50", (0.709, 0.154, -0.059, 0.931, 12.713), {"m": 50}, every=10),
    Variant("m = 100", (0.704, 0.684, -0.071, 0.986, 23.301), {"m": 100}, every=50),
    *_family(
        "mu",
        "mu",
        {
            0.50: (0.856, 0.331, -0.095, 0.906, 6.17),
            0.40: (0.859, 0.405, -0.102, 0.914, 5.95),
            0.30: (0.859, 0.433, -0.118, 0.919, 5.80),
            0.20: (0.839, 0.532, -0.139, 0.918, 5.56),
            0.10: (0.829, 0.660, -0.171, 0.897, 5.47),
            0.05: (0.827, 0.694, -0.201, 0.919, 5.68),
            0.01: (0.805, 0.654, -0.220, 0.875, 5.56),
            0.0: (0.774, 0.631, -0.214, 0.879, 5.48),
        },
    ),
    *_family(
        "stochastic demand, H",
        "shock",
        {
            0.05: (0.848, 0.485, -0.129, 0.906),
            0.10: (0.832, 0.462, -0.134, 0.896),
            0.15: (0.797, 0.433, -0.134, 0.879),
            0.20: (0.750, 0.407, -0.130, 0.867),
            0.25: (0.695, 0.337, -0.127, 0.842),
        },
    ),
    Variant("entry and exit, rho = 1e-3", (0.583, 0.048, -0.006, 0.432, 9.62), {"n": 3, "rho": 1e-3}, every=20),
    Variant("entry and exit, rho = 1e-4", (0.566, 0.070, -0.009, 0.450, 9.83), {"n": 3, "rho": 1e-4}, every=20),
    Variant("Q0: rival at Nash", (0.731, 0.647, -0.104, 0.915, 5.24), {}, {"initial": FixedRivals(1)}),
    Variant("Q0: grim trigger", (0.724, 0.640, -0.104, 0.925, 5.35), {}, {"initial": GrimTrigger(13, 1)}),
    Variant("Q0: uniform (0, 10)", (0.877, 0.238, -0.113, 0.853, 5.60), {}, {"initial": UniformCells(0.0, 10.0)}),
    Variant("Q0: constant 5", (0.793, 0.621, -0.119, 0.928, 5.48), {}, {"initial": Constant(5.0), "ties": "random"}),
    Variant(
        "Q0: constant 10, no exploration",
        (0.978, 0.525, -0.120, 0.951, 9.619),
        {},
        {"initial": Constant(10.0), "ties": "random", "exploration": NoExploration()},
    ),
    Variant(
        "Boltzmann, alpha = .05",
        (0.856, 0.094, -0.090, 0.841, 6.55),
        {},
        {"alpha": 0.05, "exploration": Boltzmann()},
        every=10,
    ),
    Variant("alpha of firm 0 = .05", (0.821, 0.304, -0.114, 0.864, 5.21), {}, {"alpha": (0.05, 0.15)}),
    Variant("alpha of firm 0 = .30", (0.797, 0.523, -0.112, 0.900, 6.06), {}, {"alpha": (0.30, 0.15)}),
    Variant("beta of firm 0 = 2e-6", (0.771, 0.423, -0.112, 0.882, 5.33), {}, {"beta": (2e-6, 4e-6)}),
    Variant("beta of firm 0 = 8e-6", (0.798, 0.310, -0.109, 0.853, 5.60), {}, {"beta": (8e-6, 4e-6)}),
]
_COSTS = {0.875: 0.841, 0.75: 0.812, 0.625: 0.781, 0.5: 0.759, 0.25: 0.713}
_DEMAND = {2.125: (0.841, 0.54), 2.25: (0.812, 0.52), 2.375: (0.781, 0.55), 2.5: (0.759, 0.56), 2.75: (0.713, 0.57)}
_LINEAR = {
    0.01: 0.856,
    0.1: 0.843,
    0.2: 0.837,
    0.3: 0.816,
    0.4: 0.808,
    0.5: 0.770,
    0.6: 0.725,
    0.7: 0.651,
    0.75: 0.634,
    0.8: 0.649,
    0.9: 0.753,
    0.95: 0.854,
    0.99: 0.871,
}

VARIANTS: tuple[Variant, ...] = (
    *_EVEN,
    *(Variant(f"cost of firm 1 = {c:g}", (delta,), {"cost": (1.0, c)}) for c, delta in _COSTS.items()),
    *(Variant(f"quality of firm 1 = {a:g}", told, {"quality": (2.0, a)}) for a, told in _DEMAND.items()),
    *(Variant(f"linear demand, g = {g:g}", (delta,), {"demand": "linear", "g": g}) for g, delta in _LINEAR.items()),
    Variant("delta = .70", (0.363,), {"delta": 0.70}, source="found before with 150 sessions"),
    Variant("delta = .35", (0.163,), {"delta": 0.35}, source="found before with 150 sessions"),
)
"""All variants with numbers to compare with; 1,000 sessions of alpha = .15, beta = 4e-6 unless told otherwise."""


def variant_table(
    sessions: int,
    seed: int,
    folder: Path,
    *,
    threads: int | None,
    progress: Callable[[str, int], Any],
    only: Callable[[Variant], bool] = lambda variant: True,
) -> list[tuple[Variant, int, dict[str, float]]]:
    """Runs variants.

    Args:
        sessions: Sessions of those that take as long as the baseline; the others have fewer, at least four.
        seed: The seed of all draws.
        folder: Where sessions are saved.
        threads: Threads; all cores if None.
        progress: As for `study`.
        only: Which variants are run.

    Returns:
        Each variant, its number of converged sessions, and its figures with their errors.
    """
    found = []
    for variant in filter(only, VARIANTS):
        count = max(min(4, sessions), sessions // variant.every)
        tables, learner = pricing(**variant.game).frozen(), QLearning(**variant.learner)
        at = folder / "variants" / "".join(c if c.isalnum() else "-" for c in variant.label.removesuffix(_MISREAD))
        told = {"threads": threads, "on_done": progress(variant.label, count), "draws": usual_draws(learner)}
        ended = run_sessions(tables, learner, count, seed=seed, folder=at, **told)
        state = _misread(tables, ended) if variant.misread else ended.state
        figures = analyse(tables, ended.strategy, state, converged=ended.converged).row()
        answer = impulse_response(tables, ended.strategy, state, converged=ended.converged).row()
        for name in _NAMES[2:]:
            figures |= {key: answer[key] for key in (name, f"{name}_error")}
        figures["periods"] = (
            float(ended.time_to_convergence[ended.converged].mean()) if ended.converged.any() else math.nan
        )
        found.append((variant, int(ended.converged.sum()), figures))
    return found


def variant_rows(found: list[tuple[Variant, int, dict[str, float]]]) -> list[dict[str, Any]]:
    """Delta and EQ of every variant within three standard errors of both, ours and those of the published sessions."""
    rows = []
    for variant, count, figures in found:
        for name, head, published in zip(_NAMES[:2], _HEADS[:2], variant.published[:2], strict=False):
            if published is None:
                continue
            ours, theirs = figures[name], 150 if "150" in variant.source else PUBLISHED
            width = 3 * standard_error(name, published, figures[f"{name}_error"], count, theirs)
            width += 0.5 * 10 ** -len(f"{published:g}".partition(".")[2])  # rounding in print
            within = abs(ours - published) <= width if math.isfinite(width) else None
            quantity, source = f"{variant.label}, {count} sessions: {head}", f"{variant.source}; ± 3 s.e. of both"
            rows.append(row(quantity, ours, f"{published:g} ± {width:.2g}", source, within, published))
    return rows


def variant_markdown(found: list[tuple[Variant, int, dict[str, float]]]) -> str:
    """All figures as Markdown, ours beside those published."""
    lines = ["# Variants: ours (published)", "", f"| variant | sessions | {' | '.join(_HEADS)} | periods, millions |"]
    lines.append(f"|{'---|' * (len(_HEADS) + 3)}")
    for variant, count, figures in found:
        cells = []
        for name, published in zip(_NAMES, (*variant.published, *[None] * len(_NAMES)), strict=False):
            cells.append(f"{figures[name]:.3f}" + ("" if published is None else f" ({published:g})"))
        lines.append(f"| {variant.label} | {count} | {' | '.join(cells)} | {figures['periods'] / 1e6:.2f} |")
    return "\n".join(lines) + "\n"
