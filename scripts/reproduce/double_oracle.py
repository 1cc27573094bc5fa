"""Double oracle: how many iterations it takes on matrices and on continuous games, and what the answers are.

The tie-break alone decides whether the larger number up to N takes N iterations or 2; hide and seek stops after about
2/eps of them whatever its size. Continuous games whose equilibria have few points are solved in some ten iterations;
Dresher's, whose only equilibrium is uniform, needs ever more points.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from strategic_envs.agents.double_oracle.continuous import continuous_double_oracle
from strategic_envs.agents.double_oracle.log import DoubleOracleResult
from strategic_envs.games.catalogue import game
from strategic_envs.plots import draw_curves, draw_supports, new_figure, save
from strategic_envs.scripts.reproduce._continuous_rows import continuous_rows
from strategic_envs.scripts.reproduce._finite_rows import finite_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["NAME", "SUMMARY", "reproduce"]

NAME = "double-oracle"
SUMMARY = "Double oracle on matrices and continuous games: iterations, supports, values and proved bounds."

_CURVES = {  # the starts are arbitrary, off the middle
    "(x - y)^2": ("squared_difference", {}, (0.3, 0.7)),
    "Parrilo 3.2": ("parrilo_3_2", {}, (0.3, 0.7)),
    "Townsend": ("townsend", {}, (0.5, 0.5)),
    "f_1 on [-3, 3]": ("f1", {"box": 3.0}, (0.3, 0.7)),
    "forsaken": ("forsaken", {}, (0.3, 0.7)),
    "Dresher": ("dresher", {}, (0.3, 0.7)),
}


def reproduce(out: Path, *, seed: int = 0, quick: bool = False) -> list[dict[str, Any]]:
    """Writes `double_oracle.png`, and compares our numbers with those expected.

    In full it takes about a minute and a half of one core.

    Args:
        out: The folder for the picture; it is made if it is not there.
        seed: Of the random starts, matrices and ties.
        quick: Two starts a game, smaller matrices, fewer proofs.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within` (whether ours is as close as it should be).
    """
    save_picture(out, iterations=10 if quick else 40)
    return [*finite_rows(seed, quick), *continuous_rows(seed, quick)]


def save_picture(out: Path, iterations: int = 40) -> None:
    """Writes the picture of supports and gaps."""
    runs = {label: _run(name, options, start, iterations) for label, (name, options, start) in _CURVES.items()}
    figure, (pursuit, townsend, dresher, gaps) = new_figure(2, 2, width=5.6, height=3.9)
    both = {"player 0": _played(runs["(x - y)^2"], 0), "player 1": _played(runs["(x - y)^2"], 1)}
    draw_supports(pursuit, both, title="(x - y)^2: player 0 keeps to the ends", ylabel="x and y in [-1, 1]")
    pursuit.legend(loc="lower right", bbox_to_anchor=(1, 0.1), fontsize=9)
    known = game("townsend").known().equilibria[0].points[0].squeeze(-1).tolist()
    title = "Townsend: dashed, the equilibrium's three points"
    draw_supports(townsend, {"player 0": _played(runs["Townsend"], 0)}, known=known, title=title, ylabel="x")
    title = "Dresher: only the uniform distribution is optimal"
    draw_supports(dresher, {"player 0": _played(runs["Dresher"], 0)}, title=title, ylabel="x in [0, 1]")
    _draw_gaps(gaps, {label: _gaps(run) for label, run in runs.items()})
    save(figure, out / "double_oracle.png", dpi=100)


def _run(name: str, options: Mapping[str, Any], start: tuple[float, float], iterations: int) -> DoubleOracleResult:
    points = [torch.tensor([x], dtype=torch.float64) for x in start]
    return continuous_double_oracle(game(name, **options), tolerance=1e-8, start=points, max_iterations=iterations)


def _played(run: DoubleOracleResult, player: int) -> list[list[float]]:
    return [[float(point) for point in record.played[player]] for record in run.history]


def _gaps(run: DoubleOracleResult) -> tuple[ArrayLike, ArrayLike]:
    return np.arange(1, len(run.history) + 1), np.minimum.accumulate([record.gap for record in run.history])


def _draw_gaps(axes: Axes, series: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> None:
    title = "Smallest gap so far (stops at 1e-8)"
    draw_curves(axes, series, title=title, xlabel="iteration", ylabel="NashConv", floor=1e-10)
    axes.legend(loc="upper right", ncols=2, fontsize=9)
