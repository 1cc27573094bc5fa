"""True gains of small deviations, and in which regime a radius delta lies.

The gaps of a family are linearised: they replace what a deviation gains by `<g, phi(x) - x>`. With L the largest own
curvature the two differ by at most `L delta^2 / 2`. A linearised gain above that is a first-order fact, and a rate can
be promised for it; below it, curvature decides, and finding out is as hard as it gets (Cai, Daskalakis, Luo, Wei and
Zheng 2024: of order delta^2 is tractable, less than delta^2 is not). Here the true gains are measured, on a grid of
deviations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.accumulator import interpolation_gap
from strategic_envs.evaluators.expectation import joint_play
from strategic_envs.evaluators.family import FamilyGap, played_fields
from strategic_envs.evaluators.gap import Gap
from strategic_envs.evaluators.local import local_cce_gap
from strategic_envs.games.kinds.game import Game
from strategic_envs.play import Empirical
from strategic_envs.seeding import torch_stream
from strategic_envs.sets import Ball, Box, StrategySet

__all__ = ["Regime", "delta_regime", "local_deviation_gain"]

_ROWS = 2**18  # profiles evaluated in one call
_SIDE = 41  # of the grid in one dimension
_RANDOM = 256
_CURVED = 2**12  # points at which own curvature is sampled


def local_deviation_gain(game: Game, play: object, delta: float, *, family: str = "projection") -> Gap:
    """The largest true gain, not linearised, by one deviation of a family that moves every point by at most delta.

    Args:
        game: A game with utilities and strategies in bounded sets.
        play: A profile, `Empirical` or `Independent`.
        delta: How far a deviation moves a point at most, in Euclidean norm.
        family: `projection`: `x -> P(x + v)` with `|v| <= delta`; `interpolation`: `x -> (1 - s) x + s y` with a fixed
            y and `s = delta / D`.

    Returns:
        The best gain found on a grid of deviations: a lower bound, and `exact` is False.

    Example:
        >>> from strategic_envs.games.squared_difference import SquaredDifference
        >>> game = SquaredDifference()
        >>> round(local_deviation_gain(game, game.profile([0.5], [0.5]), 0.1).value, 12)
        0.01
    """
    _check_delta(delta)
    if family not in ("interpolation", "projection"):
        raise InvalidSettingError(
            f"local_deviation_gain: got family={family!r}, expected 'interpolation' or 'projection'"
        )
    joint = joint_play(game, play)
    parts = [_best_true_gain(game, i, joint, delta, family) for i in range(game.n_players)]
    best = max(parts)
    return FamilyGap(best, tuple(parts), best, math.inf, False, f"{family}, delta={delta:g}, true gain on a grid")


def _check_delta(delta: float) -> None:
    if not 0 < delta < math.inf:
        raise InvalidSettingError(f"local deviations: got delta={delta!r}, expected a finite number > 0")


def _best_true_gain(game: Game, player: int, play: Empirical, delta: float, family: str) -> float:
    strategies, own = game.sets[player], play.points[player]
    if family == "projection":
        targets = _grid(Ball(0.0, delta, dim=strategies.dim)) if strategies.dim > 1 else _grid(Box(-delta, delta))
    else:
        targets = _grid(strategies)
    with torch.no_grad():
        now = float(_mean_utility(game, player, play, own.unsqueeze(0))[0])
        share = min(1.0, delta / strategies.diameter)
        best = now
        for some in targets.split(max(1, _ROWS // len(play))):
            if family == "projection":
                moved = strategies.project(own + some.unsqueeze(1))
            else:
                moved = (1 - share) * own + share * some.unsqueeze(1)
            best = max(best, float(_mean_utility(game, player, play, moved).max()))
    return best - now


def _mean_utility(game: Game, player: int, play: Empirical, own: Tensor) -> Tensor:
    """The mean utility `(C,)` of C ways `(C, T, d)` to replace the player's own points."""
    points = [own if j == player else t.expand(len(own), *t.shape) for j, t in enumerate(play.points)]
    return game.utilities(tuple(points))[..., player].double() @ play.weights


def _grid(strategies: StrategySet) -> Tensor:
    """Points of a bounded set `(k, d)`: a grid in up to two dimensions, extreme and random points in more."""
    d = strategies.dim
    low, high = strategies.bounds()
    axes = torch.eye(d, dtype=torch.float64)
    parts = [strategies.centre().unsqueeze(0), strategies.support(torch.cat([axes, -axes])).argmax]
    if d <= 2:
        side = torch.linspace(0, 1, _SIDE, dtype=torch.float64)
        square = torch.cartesian_prod(*[side] * d).reshape(-1, d)
        parts.append(strategies.project(low + square * (high - low)))
    else:
        stream = torch_stream(0, "deviations")
        random = torch.randn(_RANDOM, d, generator=stream, dtype=torch.float64)
        parts += [strategies.support(random).argmax, strategies.sample((_RANDOM,), generator=stream)]
    return torch.cat(parts)


@dataclass(frozen=True)
class Regime:
    """What a radius delta can tell about play.

    Args:
        delta: How far deviations move.
        linearised: The largest linearised gain, the eps of an (eps, Phi(delta))-local equilibrium; at least 0.
        true: The largest true gain found.
        floor: `L delta^2 / 2`, how far the two can differ.
        label: `first order` where the linearised gain is above the floor, else `curvature`.
    """

    delta: float
    linearised: float
    true: float
    floor: float
    label: str


def delta_regime(
    game: Game,
    play: object,
    deltas: Sequence[float],
    *,
    family: str = "projection",
    smoothness: float | None = None,
) -> list[Regime]:
    """Linearised and true gains at several radii, and which of them curvature decides.

    Args:
        game: A game with utilities and bounded sets.
        play: A profile, `Empirical` or `Independent`.
        deltas: The radii.
        family: `projection` or `interpolation`, as in `local_deviation_gain`.
        smoothness: L, a bound on every own Hessian's norm; when it is not given, the largest one at the points of the
            play, which is an estimate.

    Example:
        >>> from strategic_envs.games.squared_difference import SquaredDifference
        >>> game = SquaredDifference()
        >>> row = delta_regime(game, game.profile([0.5], [0.5]), [0.1])[0]  # on the diagonal only curvature is left
        >>> row.linearised, round(row.true, 6), round(row.floor, 6), row.label
        (0.0, 0.01, 0.01, 'curvature')
    """
    joint, field = played_fields(game, play, separate=True)
    curvature = _own_curvature(game, joint) if smoothness is None else smoothness
    rows = []
    for delta in deltas:
        _check_delta(delta)
        if family == "projection":
            linear = local_cce_gap(game, joint, family=family, delta=delta, norm="euclidean").value
        else:
            w = joint.weights
            linear = max(
                min(1.0, delta / s.diameter) * float(interpolation_gap(s, w @ g, w @ (g * x).sum(-1)))
                for s, x, g in zip(game.sets, joint.points, field, strict=True)
            )
        true = local_deviation_gain(game, joint, delta, family=family).value
        floor = curvature * delta**2 / 2
        label = "first order" if linear > floor else "curvature"
        rows.append(Regime(delta, max(linear, 0.0), true, floor, label))
    return rows


def _own_curvature(game: Game, play: Empirical) -> float:
    rows = torch.linspace(0, len(play) - 1, min(len(play), _CURVED)).long()
    x = play.points.map(lambda t: t[rows])
    blocks = [game.hessian(x, i) for i in range(game.n_players)]
    return max(float(torch.linalg.matrix_norm(h, 2).max()) for h in blocks)
