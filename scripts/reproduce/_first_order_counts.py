"""Who converges where: nine first-order methods on twelve games, from a grid of starts on nine tenths of the box.

A start counts as converged when at its last iterate `|P(x + V(x)) - x| < 1/1000`, over the coordinates of all players
together: the largest gap of a player, which `Trajectory.gaps` gives, is up to sqrt(2) smaller, and that decides for the
anchored method, whose gap falls like 1/t (f_2 on [-2, 2]: 88 starts by the first, 100 by the second). Methods whose
iterate leaves the box are judged at its projection. L is the Lipschitz constant that the step sizes of the expected
counts were made from; the true one of f_2 on [-1, 1] is 2.151.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from strategic_envs.agents.dynamics import (
    AlternatingGradient,
    AnchoredExtragradient,
    ConsensusOptimization,
    CurvatureEGPlus,
    Dynamic,
    EGPlus,
    Extragradient,
    OptimisticGradient,
    SimultaneousGradient,
    SymplecticGradient,
    Trajectory,
    run,
)
from strategic_envs.evaluators.local import projected_gaps
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile
from strategic_envs.sets import Box

__all__ = ["METHODS", "PROBLEMS", "TOLERANCE", "Count", "Method", "Problem", "count"]

TOLERANCE = 3  # of 100 starts
_SOLVED = 1e-3
_REST = 1e-10  # rows whose gap is below this are at rest: their last iterate is known, and they need not go on
_PROBE = 500  # steps before compiling: many runs are at rest by then
_LONG = 5_000  # steps for which compiling pays


@dataclass(frozen=True)
class Method:
    """A method with its step size, made from L, and its horizon."""

    label: str
    make: Callable[[float], Dynamic[Any]]
    steps: int = 20_000


@dataclass(frozen=True)
class Problem:
    """A game, the L of its step sizes, and the counts expected for each of `METHODS`."""

    label: str
    name: str
    smoothness: float
    expected: tuple[int, ...]
    settings: dict[str, float] = field(default_factory=dict)

    def game(self) -> VIGame:
        """The game itself."""
        found = catalogue_game(self.name, **self.settings)
        assert isinstance(found, VIGame)
        return found


@dataclass(frozen=True)
class Count:
    """How many starts, in percent, converged, and how many rest at no solution."""

    converged: int
    resting: int
    trajectory: Trajectory


METHODS = (
    Method("simultaneous gradient", lambda smooth: SimultaneousGradient(0.1 / smooth)),
    Method("alternating gradient", lambda smooth: AlternatingGradient(0.1 / smooth)),
    Method("extragradient", lambda smooth: Extragradient(0.5 / smooth)),
    Method("optimistic gradient", lambda smooth: OptimisticGradient(0.3 / smooth)),
    Method("EG+", lambda smooth: EGPlus(0.9 / smooth, weight=0.5)),
    Method("anchored extragradient", lambda smooth: AnchoredExtragradient(0.3 / smooth)),
    Method("consensus", lambda smooth: ConsensusOptimization(0.1 / (smooth * (1 + smooth)), gamma=1.0), 40_000),
    Method("symplectic gradient", lambda smooth: SymplecticGradient(0.1 / smooth), 10_000),
    Method("CurvatureEG+", lambda smooth: CurvatureEGPlus(), 6_000),
)

_ALL = (100, 100, 100, 100, 100)

PROBLEMS = (
    Problem("x y on [-1, 1]", "bilinear", 1.0, (0, 0, 100, 100, *_ALL)),
    Problem("f_1 on [-1, 1]", "f1", 13.29, (100, 100, 100, 100, 100, 100, 94, 0, 100), {"box": 1.0}),
    Problem("f_1 on [-3, 3]", "f1", 20.46, (0, 0, 0, 0, 0, 0, 24, 0, 0), {"box": 3.0}),
    Problem("f_1 on [-5, 5]", "f1", 27.03, (0, 0, 0, 0, 0, 0, 2, 0, 0), {"box": 5.0}),
    Problem("f_2 on [-1, 1]", "f2", 2.09, (32, 52, 100, 100, 100, 100, 100, 98, 100), {"box": 1.0}),
    Problem("f_2 on [-2, 2]", "f2", 2.84, (12, 12, 100, 22, 100, 88, 100, 40, 100), {"box": 2.0}),
    Problem("forsaken", "forsaken", 12.40, (1, 2, 2, 2, 2, 5, 80, 100, 100)),
    Problem("GlobalForsaken", "global_forsaken", 3.02, (48, 50, 100, 100, *_ALL)),
    Problem("polar, a = 1", "polar", 18.55, (32, 32, 32, 32, 44, 4, 100, 100, 100), {"a": 1.0}),
    Problem("polar, a = 3/4", "polar", 13.94, (32, 32, 44, 32, 100, 12, 100, 100, 100), {"a": 0.75}),
    Problem("polar, a = 1/3", "polar", 6.31, (32, 32, 100, 100, 100, 60, 100, 100, 100), {"a": 1 / 3}),
    Problem("squared difference", "squared_difference", 4.0, (100, 100, 100, 100, *_ALL)),
)


def count(problem: Problem, method: Method, *, side: int = 10, horizon: float = 1.0) -> Count:
    """Runs a method from a grid of starts.

    Args:
        problem: The game and its L.
        method: The method.
        side: The grid has `side * side` starts.
        horizon: The share of the method's steps that is taken.

    Example:
        >>> count(PROBLEMS[0], METHODS[2], side=2, horizon=0.1).converged
        100
    """
    game, dynamic, steps = problem.game(), method.make(problem.smoothness), round(method.steps * horizon)
    starts = _grid(game, side)
    end = _run(game, dynamic, starts, min(_PROBE, steps), compile=False)
    if steps > _PROBE and end.count()["converged"] < end.codes.numel():
        end = _run(game, dynamic, starts, steps, compile=steps >= _LONG)
    length = projected_gaps(game.sets, end.final, game.field(end.final)).norm(dim=-1)
    resting = [verdict == "resting" for verdict in end.verdicts(solved=_SOLVED)]
    return Count(_percent((length < _SOLVED).tolist()), _percent(resting), end)


def _run(game: VIGame, dynamic: Dynamic[Any], starts: Profile, steps: int, *, compile: bool) -> Trajectory:
    return run(game, dynamic, starts, steps, record=None, tolerance=_REST, check_every=100, compile=compile)


def _grid(game: VIGame, side: int) -> Profile:
    sets = game.sets[0]
    assert isinstance(sets, Box)
    axis = torch.linspace(-1, 1, side, dtype=torch.float64) * 0.9 * sets.high[0]
    return Profile.from_flat(torch.cartesian_prod(axis, axis), game.dims)


def _percent(flags: Sequence[bool]) -> int:
    return round(100 * sum(flags) / len(flags))
