"""Gradient play cycles: the field, the trajectories, and who converges from 100 starts.

On matching pennies simultaneous gradient spirals out to the edge of the square, extragradient spirals in. On f_1 over
[-3, 3] both cycle around a point that satisfies the first-order conditions; over [-1, 1] both converge, to others.
Counts of nine methods on twelve games are over a 10 x 10 grid of starts on nine tenths of the box, judged at the last
iterate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic
from strategic_envs.agents.dynamics.extragradient import Extragradient
from strategic_envs.agents.dynamics.run import run
from strategic_envs.agents.dynamics.simultaneous import SimultaneousGradient
from strategic_envs.agents.dynamics.trajectory import Trajectory
from strategic_envs.evaluators.gaps import nash_conv
from strategic_envs.evaluators.local import projected_gaps
from strategic_envs.games.bilinear import bilinear, matching_pennies_box
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.nonconcave import f1
from strategic_envs.plots import COLOURS, draw_counts, draw_curves, draw_trajectories, new_figure, save
from strategic_envs.scripts.reproduce._first_order_counts import METHODS, PROBLEMS, TOLERANCE, count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["NAME", "SUMMARY", "reproduce"]

NAME = "gradient-cycles"
SUMMARY = "Where gradient play cycles: fields and trajectories, and nine methods on twelve games from 100 starts each."

_STEPS = 20_000
_QUICK_GAMES, _QUICK_METHODS = 3, 5  # the first so many: what a tenth of the steps decides
_COLOURS = {"simultaneous gradient": COLOURS[1], "extragradient": COLOURS[0]}
_PROTOTYPE = "independent prototype of this project: same starts, step sizes and horizon"


def reproduce(out: Path, *, seed: int = 0, quick: bool = False) -> list[dict[str, Any]]:
    """Writes `matching_pennies.png`, `f1.png` and `counts.png`, and compares our numbers with those expected.

    In full it takes some minutes of one core.

    Args:
        out: The folder for the pictures; it is made if it is not there.
        seed: Nothing here is drawn at random: every seed gives the same numbers.
        quick: A tenth of the steps from 4 x 4 starts, and counts of the first games and methods only.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within` (whether ours is as close as it should be).
    """
    del seed
    save_pictures(out)
    return [_growth(), *_final_gaps(quick), _origin(), *_counts(out, quick)]


def save_pictures(out: Path) -> None:
    """Writes the two pictures."""
    pennies, start = matching_pennies_box(), matching_pennies_box().profile([0.62], [0.5])
    figure, (left, right) = new_figure(1, 2, height=4.8)
    paths = {_title(d): run(pennies, d, start, steps=340) for d in _dynamics(pennies)}
    _draw(left, pennies, paths, "Matching pennies", ("P(player 0 plays heads)", "P(player 1 plays heads)"))
    gaps = {name: _nash_conv_curve(pennies, path) for name, path in paths.items()}
    draw_curves(right, gaps, title="Its NashConv at each iterate", ylabel="NashConv", colours=_COLOURS)
    save(figure, out / "matching_pennies.png")

    figure, (left, middle, right) = new_figure(1, 3, height=4.8)
    gaps, colours = {}, {}
    for axes, box, start_at in ((left, 3.0, (0.4, 0.9)), (middle, 1.0, (-0.15, 0.35))):
        game = f1(box)
        paths = {_title(d): run(game, d, game.profile(start_at[:1], start_at[1:]), steps=400) for d in _dynamics(game)}
        _draw(axes, game, paths, f"f_1 on [-{box:g}, {box:g}]^2", ("minimiser t", "maximiser w"))
        for name, path in paths.items():
            label = f"{name}, [-{box:g}, {box:g}]"
            gaps[label], colours[label] = (path.steps, path.gaps()), _COLOURS[name]
    title, ylabel = "Projected local Nash gap", "largest gap (0 is drawn at 1e-6)"
    dashed = [label for label in gaps if "[-1, 1]" in label]
    draw_curves(right, gaps, title=title, ylabel=ylabel, floor=1e-6, colours=colours, dashed=dashed)
    save(figure, out / "f1.png")


def _dynamics(game: Game) -> tuple[Dynamic[Any], Dynamic[Any]]:
    """The step sizes of all counts: a tenth and a half of 1/L."""
    smoothness = game.known().constants["smoothness"]
    return SimultaneousGradient(0.1 / smoothness), Extragradient(0.5 / smoothness)


def _title(dynamic: Dynamic[Any]) -> str:
    return dynamic.name.replace("_", " ")


def _row(quantity: str, ours: float, expected: float, source: str, within: bool) -> dict[str, Any]:
    return {"quantity": quantity, "ours": ours, "expected": expected, "source": source, "within": within}


def _growth() -> dict[str, Any]:
    eta, steps = 0.1, 100
    game = bilinear(box=None)
    start = game.profile([0.6], [0.8])  # of norm one
    end = run(game, SimultaneousGradient(eta), start, steps=steps, record=None).final
    ours, expected = float(end.norm()) ** (1 / steps), math.sqrt(1 + eta**2)
    quantity = f"x y without bounds: growth of the norm in a step of simultaneous gradient, eta = {eta}"
    return _row(quantity, ours, expected, "sqrt(1 + eta^2), derived", abs(ours - expected) < 1e-12)


def _final_gaps(quick: bool) -> list[dict[str, Any]]:
    game, steps = matching_pennies_box(), _STEPS // 10 if quick else _STEPS
    start = game.profile([0.62], [0.5])
    outward, inward = (
        nash_conv(game, run(game, d, start, steps=steps, record=None).final).value for d in _dynamics(game)
    )
    edge = "1 to 2 all along the edge of the square, derived"
    return [
        _row(
            "matching pennies: NashConv at the end of simultaneous gradient, at least",
            outward,
            1.0,
            edge,
            outward >= 1.0,
        ),
        _row("matching pennies: NashConv at the end of extragradient", inward, 0.0, "equilibrium", inward < 1e-6),
    ]


def _origin() -> dict[str, Any]:
    game = f1(3.0)
    origin = game.profile([0.0], [0.0])
    ours = float(projected_gaps(game.sets, origin, game.field(origin)).amax())
    quantity = "f_1 on [-3, 3]: projected gap of the origin, around which both methods cycle"
    return _row(quantity, ours, 0.0, "the gradient vanishes, derived", ours == 0.0)


def _counts(out: Path, quick: bool) -> list[dict[str, Any]]:
    problems = PROBLEMS[:_QUICK_GAMES] if quick else PROBLEMS
    methods = METHODS[:_QUICK_METHODS] if quick else METHODS
    side, horizon = (4, 0.1) if quick else (10, 1.0)
    rows, found = [], []
    for problem in problems:
        found.append([count(problem, method, side=side, horizon=horizon) for method in methods])
        for method, ours, expected in zip(methods, found[-1], problem.expected, strict=False):
            quantity = f"{problem.label}: {method.label} converges, of 100 starts"
            close = abs(ours.converged - expected) <= TOLERANCE
            rows.append(_row(quantity, ours.converged, expected, _PROTOTYPE, close))
    figure, (axes,) = new_figure(width=2 + 1.1 * len(methods), height=1.5 + 0.5 * len(problems))
    draw_counts(
        axes,
        [[cell.converged for cell in row] for row in found],
        rows=[problem.label for problem in problems],
        columns=[method.label for method in methods],
        notes=[[f"{cell.resting} at rest" if cell.resting else "" for cell in row] for row in found],
        title="Starts of 100 from which the last iterate solves the game; at rest: at no solution",
    )
    save(figure, out / "counts.png")
    return rows


def _nash_conv_curve(game: Game, path: Trajectory) -> tuple[Tensor, list[float]]:
    points = path.points
    return path.steps, [nash_conv(game, points.map(lambda t, k=k: t[k])).value for k in range(len(path.steps))]


def _draw(axes: Axes, game: Game, paths: Mapping[str, Trajectory], title: str, labels: tuple[str, str]) -> None:
    points = {name: path.points for name, path in paths.items()}
    draw_trajectories(axes, game, points, title=title, labels=labels, colours=_COLOURS)
