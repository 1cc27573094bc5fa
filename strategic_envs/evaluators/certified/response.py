"""Certified best responses: a value that is reached and one that no strategy exceeds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.certified.branch_and_bound import Search, branch_and_bound
from strategic_envs.evaluators.certified.graph import Program, trace
from strategic_envs.evaluators.certified.intervals import point
from strategic_envs.evaluators.certified.objective import Objective, enclosed_mean, weights_of
from strategic_envs.evaluators.certified.operations import UnsupportedOperation
from strategic_envs.evaluators.certified.piyavskii import piyavskii
from strategic_envs.evaluators.certified.regions import Region, region_of
from strategic_envs.games.kinds.game import Game
from strategic_envs.play import BestResponse, Empirical
from strategic_envs.sets import StrategySet

__all__ = ["LARGEST_DIMENSION", "certified_response", "check_tolerance", "utility_bounds"]

LARGEST_DIMENSION = 4  # of a player whose best response is proved
_EVALUATIONS = {1: 20_000, 2: 100_000, 3: 200_000, 4: 200_000}  # cells and points, by own dimensions
_WORK = 2**24  # cells times points of the others' play
_LEAST = 1000  # cells and points, whatever the others play
_POINTS = 2**16  # of the others' play
_MEMBER = 2.0**-48  # how far, relative to its size, a point may lie outside a curved set by rounding


def check_tolerance(tolerance: float) -> float:
    """Returns the tolerance if it is one.

    Raises:
        InvalidSettingError: If it is not a number > 0.
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 < tolerance < math.inf:
        raise InvalidSettingError(
            f"certify: got {tolerance!r}, expected a tolerance > 0 in utility units, such as 1e-6"
        )
    return float(tolerance)


def certified_response(
    game: Game, player: int, others: Empirical, found: BestResponse, tolerance: float
) -> BestResponse:
    """Proves bounds of a best response's value.

    Args:
        game: The game.
        player: Whose response, in at most `LARGEST_DIMENSION` dimensions.
        others: The others' play; the player's own points in it are not looked at.
        found: A response that was found otherwise: its strategy is where the lower bound starts.
        tolerance: How near the bounds should be.

    Returns:
        The response with proved `lower` and `upper`, and `exact=True` if they are within the tolerance. If nothing
        could be proved, `found` with a `note` that says why; it is `exact` only if it was a closed form.
    """
    strategies = game.sets[player]
    if strategies.dim > LARGEST_DIMENSION:
        return _unproved(found, f"{strategies.dim} own dimensions, at most {LARGEST_DIMENSION} are searched")
    if len(others) > _POINTS:
        return _unproved(found, f"{len(others)} points of the others' play, at most {_POINTS} are enclosed")
    if not bool(found.strategy.isfinite().all()):
        return _unproved(found, "no finite strategy to start from")
    try:
        program = trace(game, player)
        objective = _objective(program, game, others)
        _agrees(game, player, objective, others, found.strategy)
        search = _search(objective, strategies, found.strategy, tolerance, len(others))
    except UnsupportedOperation as error:
        return _unproved(found, str(error))
    if not math.isfinite(search.lower):
        return _unproved(found, "the utility could not be enclosed at the best point found")
    exact = search.upper - search.lower <= tolerance
    strategy = torch.as_tensor(search.point, dtype=torch.float64)
    value = min(max(found.value, search.lower), search.upper)
    note = "" if exact else f"the bounds are {search.upper - search.lower:.3g} apart after {search.evaluations} cells"
    if math.isinf(search.upper):
        note = "no upper bound was found" + ("" if strategies.bounded else " on an unbounded set")
    return BestResponse(
        strategy,
        value,
        search.lower,
        search.upper,
        exact=exact,
        attained=found.attained,
        certified=True,
        evaluations=search.evaluations,
        note=note,
    )


def utility_bounds(game: Game, player: int, play: Empirical) -> tuple[float, float]:
    """Proved bounds of a player's expected utility under play; `(-inf, inf)` when the utility has no enclosure.

    Example:
        >>> from strategic_envs.games.squared_difference import SquaredDifference
        >>> game = SquaredDifference()
        >>> low, high = utility_bounds(game, 0, Empirical.pure(game.profile([0.5], [0.25])))
        >>> low <= 0.0625 <= high and high - low < 1e-15
        True
    """
    try:
        program = trace(game, player)
        points = [p.numpy() for p in play.points]
        return enclosed_mean(program, points[player], points, weights_of(play.weights.numpy(), game.n_players))
    except UnsupportedOperation:
        return -math.inf, math.inf


def _unproved(found: BestResponse, note: str) -> BestResponse:
    return replace(found, note=note)


def _objective(program: Program, game: Game, others: Empirical) -> Objective:
    return Objective(program, [p.numpy() for p in others.points], weights_of(others.weights.numpy(), game.n_players))


def _agrees(game: Game, player: int, objective: Objective, others: Empirical, strategy: Tensor) -> None:
    """Compares the record with the game itself at a few points.

    It catches a utility whose record is not what it calculates (one that draws, or looks at numbers behind torch's
    back).

    Raises:
        UnsupportedOperation: If they disagree by more than rounding can.
    """
    rows = torch.linspace(0, len(others) - 1, min(len(others), 8)).long()
    own = torch.cat([strategy[None], _spread(game.sets[player])])
    for y in own:
        profile = [p[rows] for p in others.points]
        profile[player] = y.expand(len(rows), -1)
        with torch.no_grad():
            paid = game.utilities(tuple(profile))[:, player].double().numpy()
        with np.errstate(all="ignore"):
            jet = objective.program.run(point(y.numpy()[None, None]), [p[rows].numpy() for p in others.points], 0)
        lo, hi = np.broadcast_to(jet.value.lo[0], paid.shape), np.broadcast_to(jet.value.hi[0], paid.shape)
        slack = 1e-9 * (1 + np.abs(paid))
        wrong = ~((lo - slack <= paid) & (paid <= hi + slack)) & np.isfinite(paid)
        if wrong.any():
            raise UnsupportedOperation("the recorded utility disagrees with the game")


def _spread(strategies: StrategySet) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.cat([strategies.centre()[None], strategies.sample((3,), generator=generator)])


def _search(objective: Objective, strategies: StrategySet, start: Tensor, tolerance: float, points: int) -> Search:
    region = region_of(strategies)
    first = start.numpy().astype(np.float64)
    if region.solid:
        first = np.clip(first, region.low, region.high)
    budget = max(_LEAST, min(_EVALUATIONS[objective.dim], _WORK // points))
    lower = _reached(objective, region, first)
    if region.solid and objective.dim == 1 and bool(np.isfinite(region.low) & np.isfinite(region.high)):
        low, high = float(region.low[0]), float(region.high[0])
        return piyavskii(objective, low, high, float(first[0]), lower, tolerance, budget)
    return branch_and_bound(objective, region, first, lower, tolerance, budget)


def _reached(objective: Objective, region: Region, point: np.ndarray) -> float:
    """A value that a member of the set reaches: of the point itself in a box, else of all points within rounding."""
    slack = _MEMBER * (1 + np.abs(point))
    low = high = point
    if not region.solid:
        low, high = point - slack, point + slack
    return float(objective.enclose(low[None], high[None], 0).value.lo[0])
