"""Local CCE gaps of online gradient play against the horizon, on four nonconcave games.

Every player climbs its own gradient with the step sizes of no-regret learning. The linearised local CCE gap falls like
`1 / sqrt T`, as the bounds say, whether play converges or cycles; the global gap does not fall. Tuned step sizes
`D / (G sqrt T)` need a run for each horizon T, the anytime schedule `(D / G) / sqrt t` one run for all.

The starts are drawn uniformly from the square, three to a game, and were not published with the expected numbers: a
gap at one horizon depends on them, and the slope over all horizons much less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.online import OnlineGradientDescent, OnlineState
from strategic_envs.agents.dynamics.oracle import GameOracle
from strategic_envs.agents.dynamics.run import run
from strategic_envs.evaluators.deviations import local_deviation_gain
from strategic_envs.evaluators.gaps import cce_gap
from strategic_envs.evaluators.rates import fit_rate, gaps_by_horizon, regret_bound
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.multiplayer import three_player_trigonometric
from strategic_envs.games.nonconcave import f1, forsaken
from strategic_envs.games.squared_difference import SquaredDifference
from strategic_envs.play import Empirical
from strategic_envs.plots import COLOURS, draw_curves, new_figure, save
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream

__all__ = ["NAME", "SUMMARY", "reproduce", "whole_path"]

NAME = "local-cce"
SUMMARY = "Online gradient play on four games: local CCE gaps fall like 1/sqrt(T), global ones do not."

_SEEDS = 3
_DELTA = 0.1
_PROTOTYPE = "independent prototype of this project; starts not known"


@dataclass(frozen=True)
class _Case:
    """A game, a bound G of its gradients, and the slopes expected of both families and of the anytime schedule."""

    name: str
    game: Game
    gradient_bound: float
    interpolation: float
    projection: float
    anytime: float
    external: float  # global external regret at T = 10,000

    @property
    def diameter(self) -> float:
        return max(s.diameter for s in self.game.sets)


def _cases() -> list[_Case]:
    return [
        _Case("(x1 - x2)^2", SquaredDifference(), 3.98, -0.504, -0.500, -1.00, 3.935),
        _Case("forsaken", forsaken(), 3.42, -0.427, -0.460, -0.50, 0.24),
        _Case("f_1 on [-3, 3]", f1(3.0), 23.06, -0.496, -0.511, -0.52, 26.7),
        _Case("trigonometric, 3 players", three_player_trigonometric(), 4.70, -0.517, -0.512, -0.94, -0.015),
    ]


def reproduce(out: Path, *, seed: int = 0, quick: bool = False) -> list[dict[str, Any]]:
    """Writes `local_cce.png`, and compares our numbers with those expected.

    Args:
        out: The folder for the picture; it is made if it is not there.
        seed: The seed of the starts.
        quick: Horizons up to 10,000 in place of 316,228, for tests.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within` (whether ours is as close as it should be).
    """
    horizons = [100, 1000, 10_000] if quick else [100, 1000, 10_000, 100_000, 316_228]
    rows: list[dict[str, Any]] = []
    curves: dict[str, _Curves] = {}
    for case in _cases():
        starts = case.game.sample((_SEEDS,), generator=torch_stream(seed, "local_cce", case.name))
        curves[case.name] = found = _measure(case, starts, horizons)
        rows += _rows(case, found, horizons)
    rows.append(_floor(curves["(x1 - x2)^2"]))
    _draw(out, curves, horizons)
    return rows


@dataclass(frozen=True)
class _Curves:
    """Gaps by horizon, the largest over players and starts."""

    case: _Case
    interpolation: list[float]
    projection: list[float]
    anytime: list[float]
    external: float
    external_anytime: list[float]
    bound: list[float]
    anytime_play: Empirical


def _measure(case: _Case, starts: Profile, horizons: Sequence[int]) -> _Curves:
    game, d, g = case.game, case.diameter, case.gradient_bound
    interpolation, projection, external = [], [], math.nan
    for horizon in horizons:
        rule = OnlineGradientDescent.tuned(diameter=d, gradient_bound=g, horizon=horizon)
        points = whole_path(game, rule, starts, horizon)
        fields = _fields(game, points)
        interpolation.append(_largest(gaps_by_horizon(game.sets, points, fields, [horizon])))
        shifts = gaps_by_horizon(game.sets, points, fields, [horizon], family="projection", delta=_DELTA)
        projection.append(_largest(shifts))
        if horizon == 10_000:
            external = cce_gap(game, Empirical.uniform(points.map(lambda t: t[:, 0]))).value
    anytime = OnlineGradientDescent.anytime(diameter=d, gradient_bound=g)
    points = whole_path(game, anytime, starts, horizons[-1])
    gaps = gaps_by_horizon(game.sets, points, _fields(game, points), horizons)
    plays = [Empirical.uniform(points.map(lambda t, k=k: t[:k, 0])) for k in horizons if k <= 10_000]
    return _Curves(
        case,
        interpolation,
        projection,
        [_largest(row) for row in gaps],
        external,
        [cce_gap(game, play).value for play in plays],
        [regret_bound(d, g, t) for t in horizons],
        plays[-1],
    )


def whole_path(game: Game, rule: OnlineGradientDescent, starts: Profile, steps: int) -> Profile:
    """Every iterate of online gradient play before its last step, tensors `(steps, *batch, d_i)`.

    The iterates at about `sqrt(steps)` times are computed one after another, in compiled steps that nobody looks into;
    then all stretches between them at once, as the rows of one batch.

    Args:
        game: The game.
        rule: The dynamic.
        starts: Tensors `(*batch, d_i)`.
        steps: T.
    """
    stretch = max(1, math.isqrt(steps))
    rough = run(game, rule, starts, steps, record=stretch, compile=steps > 1000)
    kept = rough.steps < steps
    times = rough.steps[kept] + 1
    state = OnlineState(rough.points.map(lambda t: t[kept]), times.reshape(-1, *[1] * (rough.points[0].ndim - 1)))
    oracle, rows = GameOracle(game), [rough.points.map(lambda t: t[kept])]
    for _ in range(stretch - 1):
        state = rule.step(state, oracle)
        rows.append(state.x)
    # (stretch, times, *batch, d) in the order of time
    return Profile(torch.stack(t, dim=1).flatten(0, 1)[:steps] for t in zip(*rows, strict=True))


def _fields(game: Game, points: Profile) -> Profile:
    chunks = zip(*(t.split(2**17) for t in points), strict=True)
    return Profile(torch.cat(parts) for parts in zip(*(game.field(c) for c in chunks), strict=True))


def _largest(gaps: Tensor) -> float:
    return float(gaps.max())


def _row(quantity: str, ours: float, expected: float, source: str, within: bool) -> dict[str, Any]:
    return {"quantity": quantity, "ours": ours, "expected": expected, "source": source, "within": within}


def _rows(case: _Case, found: _Curves, horizons: Sequence[int]) -> list[dict[str, Any]]:
    last = f"T = {horizons[0]} to {horizons[-1]}"
    slopes = [
        (f"slope of the interpolation gap, {last}", found.interpolation, case.interpolation),
        (f"slope of the projection gap, delta = {_DELTA}, {last}", found.projection, case.projection),
        (f"slope of the interpolation gap, anytime step sizes, {last}", found.anytime, case.anytime),
    ]
    rows = []
    for label, gaps, expected in slopes:
        ours = fit_rate(horizons, gaps).slope
        rows.append(_row(f"{case.name}: {label}", ours, expected, _PROTOTYPE, abs(ours - expected) <= 0.08))
    worst = max(gap / bound for gap, bound in zip(found.interpolation, found.bound, strict=True))
    label = f"{case.name}: largest gap / (G D / sqrt T), at most"
    rows.append(_row(label, worst, 1.0, "regret bound", worst <= 1.0))
    label = f"{case.name}: global external regret at T = 10,000, first start"
    close = abs(found.external - case.external) <= 0.25 * abs(case.external) + 0.05
    source = f"{_PROTOTYPE}, so within 25% + .05"
    rows.append(_row(label, found.external, case.external, source, close))
    return rows


def _floor(found: _Curves) -> dict[str, Any]:
    """The gain that second-order terms leave, however long one plays."""
    ours = local_deviation_gain(found.case.game, found.anytime_play, _DELTA, family="projection").value
    label = f"(x1 - x2)^2: true gain of moving by {_DELTA}, anytime, T = 10,000 (L delta^2 / 2 = 0.01)"
    return _row(label, ours, 9.96e-3, _PROTOTYPE, abs(ours - 9.96e-3) <= 5e-4)


def _draw(out: Path, curves: dict[str, _Curves], horizons: Sequence[int]) -> None:
    figure, (left, middle, right) = new_figure(1, 3, height=4.8, width=5.6)
    colours = dict(zip(curves, COLOURS, strict=False))
    for axes, kind in ((left, "interpolation"), (middle, "projection")):
        series, paint = {}, {}
        for name, found in curves.items():
            gaps = getattr(found, kind)
            label = f"{name}, slope {fit_rate(horizons, gaps).slope:.2f}"
            series[label], paint[label] = (horizons, gaps), colours[name]
        dashed = []
        if kind == "interpolation":
            for name, found in curves.items():
                label = f"G D / sqrt T, {name}"
                series[label], paint[label] = (horizons, found.bound), colours[name]
                dashed.append(label)
        title = f"Local CCE gap, {kind} family" + ("" if kind == "interpolation" else f", delta = {_DELTA}")
        draw_curves(axes, series, title=title, xlabel="T", ylabel="gap", colours=paint, dashed=dashed)
        axes.set_xscale("log")
        axes.legend(fontsize=7)
    first = next(iter(curves.values()))
    short = horizons[: len(first.external_anytime)]
    sides = {"local CCE gap": (horizons, first.anytime), "global CCE gap": (short, first.external_anytime)}
    draw_curves(right, sides, title="(x1 - x2)^2, anytime: local and global", xlabel="T", ylabel="gap")
    right.set_xscale("log")
    save(figure, out / "local_cce.png")
