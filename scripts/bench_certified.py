"""Certified best responses against a uniform grid with the same guarantee, for every small game of the catalogue.

At a seeded random profile (f_1 at the origin too) each player's best response is proved to 1e-6 from scratch.
`cells_*` counts the cells and points that were enclosed, `seconds_*` is the whole call with recording and the search it
starts from; `grid_f1` is how many points a uniform grid needs with f_1's largest slope, and `ratio_grid_f1` how many
times that is of ours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np

import strategic_envs as se
from strategic_envs.evaluators import best_response
from strategic_envs.evaluators.certified.graph import trace
from strategic_envs.evaluators.certified.intervals import point
from strategic_envs.evaluators.certified.objective import Objective
from strategic_envs.evaluators.certified.piyavskii import piyavskii
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.scripts.bench_common import emit, parse
from strategic_envs.seeding import torch_stream

TOLERANCE = 1e-6
LARGE = ("adversarial_digits", "gan_grid", "gan_ring", "layers")  # networks; some read data


def f1_at_the_origin() -> dict[str, float]:
    """Enclosures from scratch, by tolerance, and the points of a uniform grid for the finest."""
    figures: dict[str, float] = {}
    for exponent in (1, 2, 3, 4, 6):
        program = trace(se.game("f1"), 0)
        objective = Objective(program, [np.zeros((1, 1))] * 2, point(1.0))
        found = piyavskii(objective, -3.0, 3.0, 0.0, -math.inf, 10.0**-exponent)
        figures[f"cells_f1_origin_1e-{exponent}"] = found.evaluations
    slopes = objective.enclose(np.linspace(-3, 3, 1001)[:-1, None], np.linspace(-3, 3, 1001)[1:, None], 1).slopes
    steepest = float(np.maximum(np.abs(slopes.lo), np.abs(slopes.hi)).max())
    figures["grid_f1"] = math.ceil(6 * steepest / 2 / TOLERANCE)
    figures["ratio_grid_f1"] = figures["grid_f1"] / figures["cells_f1_origin_1e-6"]
    return figures


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the figures."""
    options = parse(__doc__, argv)
    figures = f1_at_the_origin()
    for name in [n for n in se.list_games(files=False) if n not in LARGE]:
        game = se.game(name)
        if not isinstance(game, Game) or isinstance(game, NormalFormGame) or max(game.dims) > 4:
            continue
        if not all(s.bounded for s in game.sets) or (options.quick and name not in ("f1", "forsaken")):
            continue
        play = game.sample(generator=torch_stream(0, "bench_certified", name))
        start = time.perf_counter()
        replies = [best_response(game, i, play, certify=TOLERANCE) for i in range(game.n_players)]
        figures[f"seconds_{name}"] = (time.perf_counter() - start) / game.n_players
        figures[f"cells_{name}"] = max(r.evaluations for r in replies)
        figures[f"proved_{name}"] = float(all(r.certified and r.exact for r in replies))
    emit(figures, "bench_certified.py", argv)


if __name__ == "__main__":
    main()
