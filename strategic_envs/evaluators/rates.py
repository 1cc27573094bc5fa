"""How fast a local gap falls with the horizon: prefixes of one run, proved bounds, and the slope that was measured.

Online gradient ascent with step size eta has, for every player with a set of diameter D and gradients of norm at most
G, after T steps

    interpolation:  E <g, y - x>          <= D^2 / (2 eta T) + eta G^2 / 2                      for every fixed y,
    projection:     E <g, P(x + v) - x>   <= (delta^2 + 2 delta D) / (2 eta T) + eta G^2 / 2    for every |v| <= delta,

whatever the others do (Cai, Daskalakis, Luo, Wei and Zheng 2024; the second by telescoping `|x_t - P(x_t + v)|^2`).
With the best eta both fall like `1 / sqrt T`, a slope of -1/2 in logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidSettingError, InvalidStrategyError
from strategic_envs.evaluators.accumulator import interpolation_gap
from strategic_envs.evaluators.projection import check_shift, projection_gain
from strategic_envs.sets import StrategySet

__all__ = ["Rate", "fit_rate", "gaps_by_horizon", "regret_bound"]


@dataclass(frozen=True)
class Rate:
    """A power law `gap = factor * T^slope`, fitted by least squares in logarithms.

    Args:
        slope: The exponent; -1/2 is what online gradient promises.
        factor: The gap at T = 1 by the fit.
        spread: The largest distance of a logarithm from the fit.
    """

    slope: float
    factor: float
    spread: float


def fit_rate(horizons: Sequence[float], gaps: Sequence[float]) -> Rate:
    """The power law through gaps at several horizons; gaps of 0 or less are left out.

    Raises:
        InvalidSettingError: If fewer than two different horizons with a positive gap are left.

    Example:
        >>> round(fit_rate([100, 1000, 10000], [0.2, 0.2 / 10**0.5, 0.02]).slope, 6)
        -0.5
    """
    pairs = [(math.log(t), math.log(g)) for t, g in zip(horizons, gaps, strict=True) if g > 0 and t > 0]
    if len({t for t, _ in pairs}) < 2:
        raise InvalidSettingError(
            f"a rate: got {len(pairs)} positive gaps at horizons {list(horizons)}, expected two different ones at least"
        )
    mean_t, mean_g = (sum(p[k] for p in pairs) / len(pairs) for k in (0, 1))
    slope = sum((t - mean_t) * (g - mean_g) for t, g in pairs) / sum((t - mean_t) ** 2 for t, _ in pairs)
    constant = mean_g - slope * mean_t
    return Rate(slope, math.exp(constant), max(abs(g - constant - slope * t) for t, g in pairs))


def regret_bound(
    diameter: float,
    gradient_bound: float,
    horizon: int,
    *,
    family: str = "interpolation",
    delta: float | None = None,
    step_size: float | None = None,
) -> float:
    """What the linearised local CCE gap of online gradient ascent cannot exceed, for one player.

    Args:
        diameter: D, the diameter of the player's set.
        gradient_bound: G, a bound on the norm of its gradients along the run.
        horizon: T, the number of steps.
        family: `interpolation` (towards any fixed point, all the way) or `projection` (shifts by at most delta).
        delta: How far a shift goes, in Euclidean norm; for the projection family.
        step_size: eta, constant; the best one when it is not given: `D / (G sqrt T)` for interpolation.

    Example:
        >>> regret_bound(2.0, 4.0, 10_000), round(regret_bound(2.0, 4.0, 10_000, family="projection", delta=0.1), 6)
        (0.08, 0.025612)
    """
    if family not in ("interpolation", "projection"):
        raise InvalidSettingError(f"a regret bound: got family={family!r}, expected 'interpolation' or 'projection'")
    square = diameter**2
    if family == "projection":
        radius = check_shift(delta, "euclidean")
        square = radius**2 + 2 * radius * diameter
    if step_size is None:
        return gradient_bound * math.sqrt(square / horizon)
    return square / (2 * step_size * horizon) + step_size * gradient_bound**2 / 2


def gaps_by_horizon(
    sets: Sequence[StrategySet],
    points: Sequence[Tensor],
    fields: Sequence[Tensor],
    horizons: Sequence[int],
    *,
    family: str = "interpolation",
    delta: float | None = None,
    norm: str = "sup",
) -> Float[Tensor, "horizons *batch n"]:
    """The local CCE gap of the first T iterates of a run, for several T at once.

    Args:
        sets: One strategy set a player.
        points: The iterates, tensors `(T, *batch, d_i)`.
        fields: The own-utility gradients there, of the same shapes.
        horizons: How many of the first iterates count, each at most the number there are.
        family: `interpolation`, or `projection` (of which the lower bound is given where there are two).
        delta: How far a shift goes; for the projection family.
        norm: The norm of shifts, `sup` or `euclidean`.

    Example:
        >>> from strategic_envs.sets import Box
        >>> x, g = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [-2.0]])
        >>> gaps_by_horizon([Box(-1, 1)], [x], [g], [1, 2]).flatten().tolist()
        [2.0, 1.0]
    """
    if family not in ("interpolation", "projection"):
        raise InvalidSettingError(f"gaps by horizon: got family={family!r}, expected 'interpolation' or 'projection'")
    count = len(points[0])
    if not horizons or not all(0 < t <= count for t in horizons):
        raise InvalidStrategyError(f"gaps by horizon: got horizons {list(horizons)}, expected some from 1 to {count}")
    parts = []
    for strategies, x, g in zip(sets, points, fields, strict=True):
        if family == "interpolation":
            length = torch.tensor(horizons, dtype=x.dtype).reshape(-1, *[1] * (x.ndim - 1))
            rows = torch.tensor(horizons) - 1
            mean_field, mean_product = g.cumsum(0)[rows] / length, (g * x).sum(-1).cumsum(0)[rows] / length[..., 0]
            parts.append(interpolation_gap(strategies, mean_field, mean_product))
        else:
            radius, rows = check_shift(delta, norm), range(x[0, ..., 0].numel())
            a, b = x.reshape(count, -1, x.shape[-1]), g.reshape(count, -1, x.shape[-1])
            even = [x.new_full((t,), 1 / t) for t in horizons]
            gains = [
                [projection_gain(strategies, a[: len(w), r], b[: len(w), r], w, radius, norm).lower for r in rows]
                for w in even
            ]
            parts.append(x.new_tensor(gains).reshape(len(horizons), *x.shape[1:-1]))
    return torch.stack(parts, dim=-1)
