"""Double oracle on continuous games: iterations, values, supports and proved bounds, beside those expected."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from strategic_envs.agents.double_oracle.continuous import continuous_double_oracle
from strategic_envs.agents.double_oracle.log import DoubleOracleResult
from strategic_envs.games.catalogue import game
from strategic_envs.games.kinds.game import Game
from strategic_envs.play import BestResponse, Independent
from strategic_envs.seeding import torch_stream

__all__ = ["PROTOTYPE", "continuous_rows", "row"]

PROTOTYPE = "independent prototype of this project"
_CLUSTER = 0.05  # points of a support that are nearer stand for one point of the equilibrium
_LOOSE = 1e-3  # the tolerance of proofs where the support is large


def row(quantity: str, ours: float, expected: float, source: str, within: bool) -> dict[str, Any]:
    """One row of the table."""
    return {"quantity": quantity, "ours": ours, "expected": expected, "source": source, "within": bool(within)}


@dataclass(frozen=True)
class _Case:
    """A game, how near it is solved, and how many iterations the prototype took from starts that were not kept."""

    label: str
    name: str
    iterations: int
    starts: int = 10
    tolerance: float = 1e-6
    options: Mapping[str, Any] = field(default_factory=dict)
    sign: int = 1  # the catalogue gives the value of f, which player 0 minimises in a min-max game

    def game(self) -> Game:
        """The game, from the catalogue."""
        return game(self.name, **self.options)

    def value(self, problem: Game) -> float:
        """What the game is worth to player 0."""
        return self.sign * problem.known().values["value"] + 0.0  # not -0.0


PURSUIT = _Case("(x - y)^2", "squared_difference", 13, starts=50)
TOWNSEND = _Case("Townsend", "townsend", 28)
CASES = (
    PURSUIT,
    _Case("Parrilo 3.2", "parrilo_3_2", 16, tolerance=1e-8),
    TOWNSEND,
    _Case("f_1 on [-1, 1]", "f1", 13, options={"box": 1.0}, sign=-1),
    _Case("f_1 on [-3, 3]", "f1", 14, options={"box": 3.0}, sign=-1),
    _Case("f_2", "f2", 11, sign=-1),
    _Case("forsaken", "forsaken", 7, sign=-1),
)
_PROVED = (*CASES, _Case("Parrilo 3.1", "parrilo_3_1", 0), _Case("Dresher", "dresher", 0, tolerance=_LOOSE))


def continuous_rows(seed: int, quick: bool) -> list[dict[str, Any]]:
    """All rows; with `quick` from two starts a game, and fewer proofs."""
    rows = []
    for case in CASES:
        rows += _from_starts(case, seed, quick)
    rows += [*_quarters(), *_beyond(), *_parrilo_3_1(), *_smooth_larger_number()]
    rows += _dresher(20 if quick else 100)
    for case in _PROVED[:2] if quick else _PROVED:
        rows += _proved(case)
    return rows


def _from_starts(case: _Case, seed: int, quick: bool) -> list[dict[str, Any]]:
    problem, count = case.game(), 2 if quick else case.starts
    drawn = problem.sample((count,), generator=torch_stream(seed, "double-oracle", case.label))
    starts = [[points[k] for points in drawn] for k in range(count)]
    runs = [continuous_double_oracle(problem, tolerance=case.tolerance, start=start) for start in starts]
    counts = [len(run.history) for run in runs]
    middle, least, most = statistics.median(counts), min(counts), max(counts)
    quantity = f"{case.label}: iterations to {case.tolerance:g}, median of {count} random starts ({least} to {most})"
    near = least - 1 <= case.iterations <= most + 1 and abs(middle - case.iterations) <= max(1.5, 0.1 * middle)
    rows = [row(quantity, middle, case.iterations, f"{PROTOTYPE}; other starts, so within 1.5 or 10%", near)]
    value = case.value(problem)
    worst = max(runs, key=lambda run: abs(run.value - value))
    close = all(str(run.outcome) == "converged" for run in runs) and abs(worst.value - value) <= case.tolerance
    rows.append(row(f"{case.label}: value, farthest of all starts", worst.value, value, "known, derived", close))
    if case is PURSUIT:
        rows += _ends(runs)
    if case is TOWNSEND:
        points = [points.squeeze(-1).sort().values for run in runs for points in run.strategies]
        clusters = max(1 + int((x.diff() > _CLUSTER).sum()) for x in points)
        source = f"known; {PROTOTYPE} counts 4, near ones apart: ours has up to {max(map(len, points))} so"
        quantity = f"Townsend: points that a player mixes, those within {_CLUSTER:g} of each other as one"
        rows.append(row(quantity, clusters, 3, source, clusters == 3))
    return rows


def _ends(runs: Sequence[DoubleOracleResult]) -> list[dict[str, Any]]:
    off_ends = max(float((run.strategies[0].abs() - 1).abs().max()) for run in runs)
    uneven = max(float((run.weights[0] - 0.5).abs().max()) for run in runs)
    off_middle = max(float(run.weights[1] @ run.strategies[1].squeeze(-1).square()) for run in runs) ** 0.5
    return [
        row("(x - y)^2: distance of player 0's support from +-1", off_ends, 0.0, "derived", off_ends == 0),
        row("(x - y)^2: player 0's weights less 1/2, largest", uneven, 0.0, "derived", uneven <= 1e-3),
        row("(x - y)^2: player 1's root mean square, largest", off_middle, 0.0, "derived", off_middle <= 1e-3),
    ]


def _quarters() -> list[dict[str, Any]]:
    """From one point a player, away from the middle."""
    start = [torch.tensor([x], dtype=torch.float64) for x in (0.3, 0.7)]
    history = continuous_double_oracle(PURSUIT.game(), start=start).history
    ends: set[float] = set()
    gaps = []
    for record in history:
        if ends >= {-1.0, 1.0}:
            gaps.append(record.gap)
        ends |= {float(point) for point in record.added[:1] if point is not None}
    ratios = [a / b for a, b in itertools.pairwise(gaps[1:])]
    farthest = max(ratios, key=lambda ratio: abs(ratio - 4))
    quantity = "(x - y)^2: by what the gap is divided in an iteration once both ends are held, farthest from 4"
    return [row(quantity, farthest, 4.0, PROTOTYPE, abs(farthest - 4) < 1e-3)]


def _beyond() -> list[dict[str, Any]]:
    """A simplex that is exact to rounding goes on where an LP solver of feasibility 1e-7 stalls."""
    result = continuous_double_oracle(PURSUIT.game(), tolerance=1e-12)
    quantity = "(x - y)^2: smallest gap reached, at most"
    source = f"{PROTOTYPE}: stalls at about 1e-8 with an LP solver that is exact to 1e-7; ours is exact to rounding"
    return [row(quantity, result.gap, 1e-8, source, result.gap <= 1e-12)]


def _parrilo_3_1() -> list[dict[str, Any]]:
    problem = game("parrilo_3_1")
    result = continuous_double_oracle(problem, tolerance=1e-8, max_iterations=100)
    value = problem.known().values["value"]
    source = f"{PROTOTYPE}: stalls there after 100 iterations, ours stops after {len(result.history)}"
    return [
        row("Parrilo 3.1: gap, at most", result.gap, 6.6e-8, source, result.gap <= 1e-8),
        row("Parrilo 3.1: value", result.value, value, "-(3/4) 4^(-1/3), derived", abs(result.value - value) <= 1e-8),
    ]


def _dresher(iterations: int) -> list[dict[str, Any]]:
    result = continuous_double_oracle(game("dresher"), tolerance=1e-9, max_iterations=iterations)
    best = min(result.history, key=lambda record: record.gap)
    inside = result.lower <= 1 / 6 <= result.upper
    rows = [
        row(f"Dresher: value after {iterations} iterations", result.value, 1 / 6, "known; within the bounds", inside)
    ]
    if iterations == 100:
        ties = f"{PROTOTYPE}; its restricted games have many equilibria, and the solver picks one"
        rows += [
            row("Dresher: smallest gap of 100 iterations", best.gap, 1.8e-4, PROTOTYPE, 1e-4 <= best.gap <= 2.2e-4),
            row("Dresher: points mixed then", max(best.support), 97, ties, 80 <= max(best.support) <= 100),
        ]
    return rows


class _LowestTies(Game):
    """A game of two numbers on a grid, whose best responses are the lowest of those that tie in float64."""

    def best_response(self, player: int, play: Independent) -> BestResponse:
        """The lowest maximiser on the grid."""
        low, high = self.sets[player].bounds()
        grid = torch.linspace(float(low), float(high), 2001, dtype=torch.float64).unsqueeze(-1)
        others, weights = play.points[1 - player], play.weights[1 - player]
        pair = (grid.repeat_interleave(len(others), 0), others.repeat(len(grid), 1))
        u = self.utilities(pair if player == 0 else pair[::-1])[:, player].reshape(len(grid), -1) @ weights
        best = int(u.argmax())
        value = float(u[best])
        return BestResponse(grid[best], value, value, float("inf"), exact=False, attained=True)


def _smooth_larger_number() -> list[dict[str, Any]]:
    rows = []
    zero = torch.zeros(1, dtype=torch.float64)
    for smooth, expected in ((1.0, 2), (10.0, 7)):
        problem = game("larger_number", n=10, kind="reals", smooth=smooth)
        tied = _LowestTies(problem.utilities, problem.sets, name="lowest ties")
        own, lowest = (continuous_double_oracle(g, start=[zero, zero]) for g in (problem, tied))
        label = f"tanh({smooth:g}(x - y)) on [0, 10] from (0, 0)"
        source = f"{PROTOTYPE}; tanh is 1 in float64 from about 19 on, and the lowest of equal responses was taken"
        rows += [
            _same(f"{label}: iterations, ties to the lowest", len(lowest.history), expected, source),
            _same(f"{label}: iterations, closed form", len(own.history), 2, "10 is a best response to all"),
            _same(f"{label}: where both end", _end(own, lowest), 10, "derived"),
        ]
    return rows


def _same(quantity: str, ours: float, expected: float, source: str) -> dict[str, Any]:
    return row(quantity, ours, expected, source, ours == expected)


def _end(*results: DoubleOracleResult) -> float:
    ends: list[Tensor] = [points for result in results for points in result.strategies]
    return float(torch.cat(ends).min())


def _proved(case: _Case) -> list[dict[str, Any]]:
    problem = case.game()
    tolerance = max(case.tolerance, 1e-6)
    result = continuous_double_oracle(problem, tolerance=tolerance, certify=True)
    value = case.value(problem)
    inside = result.exact and result.lower <= value <= result.upper and result.gap <= tolerance
    rows = []
    for name, bound in (("lower", result.lower), ("upper", result.upper)):
        quantity = f"{case.label}: proved {name} bound of the value, within {tolerance:g}"
        rows.append(row(quantity, bound, value, "known, derived", inside))
    return rows
